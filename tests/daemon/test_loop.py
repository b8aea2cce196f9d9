"""The loop records what is new and stable, what is asked for, and a heartbeat; and nothing else."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.capture import Frame
from edge.daemon.follow import Follower
from edge.daemon.inbox import Inbox
from edge.daemon.live import FAILED, Live
from edge.daemon.loop import Loop
from edge.daemon.protocol import NoReadingError
from edge.daemon.settings import ReadingSettings, SourceSettings, StoreSettings
from edge.daemon.store import Store, StoreError
from edge.daemon.watched import parse_watched
from edge.reader import DigitReader

FAST = ReadingSettings(frames=3, agree=2, confidence=0.5, interval=0.02)
ORIGIN = {"device": "shelf", "source": "scripted", "model": "0" * 64}


def sheet(text: str) -> np.ndarray:
    """A sheet with a number on it, written as the built-in camera writes."""
    from edge.daemon.synthetic import Sheet

    return Sheet((640, 480)).showing(text) if text else np.full((480, 640, 3), 230, np.uint8)


class Script:
    """Frames as a camera gives them, each as often as it is asked for, until the next one is put there."""

    live = True

    def __init__(self, image: np.ndarray) -> None:
        self.source = self
        self.image = image
        self.given = 0
        self.asked_after: list[float] = []

    def newest(self, timeout: float) -> Frame | None:
        time.sleep(0.01)
        self.given += 1
        image = self.image
        return Frame(lambda: image, time.time(), self.given)

    def fresh(self, after: float, timeout: float) -> Frame | None:
        self.asked_after.append(after)
        return self.newest(timeout)


class Nothing(Script):
    def newest(self, timeout: float) -> Frame | None:
        time.sleep(min(timeout, 0.05))
        return None


@pytest.fixture(scope="module")
def reader() -> DigitReader:
    return DigitReader()


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    opened = Store(tmp_path / "readings.db", StoreSettings())
    yield opened
    opened.close()


@contextmanager
def running(
    reader: DigitReader,
    frames: Script,
    store: Store,
    settings: ReadingSettings = FAST,
    storing: StoreSettings | None = None,
    fields: str = "",
    live: Live | None = None,
    lamp: object = None,
) -> Iterator[Loop]:
    storing = storing or StoreSettings()
    loop = Loop(settings, storing, reader, frames, store, live or Live(), ORIGIN, lamp)  # type: ignore[arg-type]
    loop.configure(settings, storing, parse_watched(fields))
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop
    finally:
        loop.stop()
        thread.join(5)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def texts(store: Store) -> list[str]:
    return [record["text"] for record in store.readings(oldest_first=True)]


def test_a_reading_is_recorded_once_until_it_changes(reader, store) -> None:
    frames = Script(sheet("472"))
    with running(reader, frames, store):
        until(lambda: texts(store) == ["472"])
        frames.image = sheet("473")
        until(lambda: texts(store) == ["472", "473"])
        given = frames.given
        until(lambda: frames.given > given + 10)
    assert texts(store) == ["472", "473"]
    record = store.latest()
    assert record is not None
    assert record["event"] == "reading"
    assert record["path"] == record["source"] == "scripted"
    glyphs = store.glyphs(record["sequence"])
    assert glyphs is not None and len(glyphs) == 3


def test_a_restart_does_not_say_the_same_again(reader, store) -> None:
    for _ in range(2):
        frames = Script(sheet("58"))
        with running(reader, frames, store):
            until(lambda f=frames: f.given > 15)
    assert texts(store) == ["58"]


def test_a_value_that_jumps_in_between_is_not_recorded(reader, store) -> None:
    frames = Script(sheet("300"))
    right, wrong = sheet("300"), sheet("800")
    settings = replace(FAST, frames=5, agree=3)
    with running(reader, frames, store, settings):
        until(lambda: texts(store) == ["300"])
        for _ in range(5):
            given = frames.given
            frames.image = wrong
            until(lambda g=given: frames.given > g)
            frames.image = right
            until(lambda g=given: frames.given > g + 6)
    assert texts(store) == ["300"]


def test_what_does_not_change_becomes_a_heartbeat(reader, store) -> None:
    with running(reader, Script(sheet("58")), store, storing=StoreSettings(heartbeat_minutes=0.01)):
        until(lambda: store.count() >= 3)
    assert [record["event"] for record in store.readings(oldest_first=True)][:3] == [
        "reading",
        "heartbeat",
        "heartbeat",
    ]


def test_a_request_is_answered_with_a_record_of_frames_from_then_on(reader, store) -> None:
    frames = Script(sheet("61"))
    with running(reader, frames, store, replace(FAST, when="request")) as loop:
        time.sleep(0.3)
        assert frames.given == 0
        before = time.monotonic()
        record = loop.request("a test", 10)
        assert record["text"] == "61"
        assert frames.asked_after and min(frames.asked_after) >= before
        again = loop.request("a test", 10)
    assert again["sequence"] == record["sequence"] + 1
    assert store.latest() == again


def test_a_request_without_a_picture_says_why(reader, store) -> None:
    live = Live()
    live.report("source", FAILED, "/dev/video0: it was unplugged")
    with running(reader, Nothing(sheet("")), store, live=live) as loop, pytest.raises(NoReadingError) as error:
        loop.request("a test", 0.2)
    assert str(error.value) == "no picture: /dev/video0: it was unplugged"


def test_frames_that_do_not_agree_say_why(reader, store) -> None:
    class Flicker(Script):
        def newest(self, timeout: float) -> Frame | None:
            self.image = sheet(f"{self.given % 7 + 1}" * 2)
            return super().newest(timeout)

    live = Live()
    with running(reader, Flicker(sheet("11")), store, replace(FAST, frames=5, agree=5), live=live) as loop:
        with pytest.raises(NoReadingError) as error:
            loop.request("a test", 1.5)
        assert "digit 1 is" in str(error.value) or "frames seen" in str(error.value)
    assert store.count() == 0


def test_only_a_change_of_the_picture_is_read(reader, store) -> None:
    frames = Script(sheet("72"))
    live = Live()
    with running(reader, frames, store, replace(FAST, when="change"), live=live):
        until(lambda: texts(store) == ["72"])
        time.sleep(0.3)
        read = live.seen.number  # type: ignore[union-attr]
        given = frames.given
        until(lambda: frames.given > given + 10)
        assert live.seen.number <= read + 1  # type: ignore[union-attr]
        frames.image = sheet("19")
        until(lambda: texts(store) == ["72", "19"])


def test_somebody_who_watches_sees_frames_whatever_the_interval(reader, store) -> None:
    live = Live()
    with running(reader, Script(sheet("72")), store, replace(FAST, when="request"), live=live):
        first = live.wait(0, 10)
        assert first is not None
        second = live.wait(first.number, 10)
        assert second is not None and second.reading.text == "72"
    assert store.count() == 0


FIELDS = """
[[field]]
name = "meter"
box = [0, 0, 1, 1]
decimals = 1
never_decreasing = true
"""


def test_a_refused_value_is_recorded_with_its_reason(reader, store) -> None:
    frames = Script(sheet("905"))
    with running(reader, frames, store, fields=FIELDS):
        until(lambda: store.count() == 1)
        frames.image = sheet("106")
        until(lambda: store.count() == 2)
        refused = store.latest()
        assert refused is not None
        (field,) = refused["fields"]
        assert (field["text"], field["value"], field["valid"]) == ("106", None, False)
        assert field["reason"] == "10.6 is less than 90.5 before"


@pytest.mark.parametrize("when", ["interval", "change"])
def test_a_full_disk_is_said_and_the_reading_is_recorded_once_there_is_room(reader, store, monkeypatch, when) -> None:
    live = Live()
    settings = replace(FAST, when=when)
    add = store.add

    def fail(*_: object, **__: object) -> dict[str, object]:
        raise StoreError("the disk is full: nothing is recorded until there is space")

    monkeypatch.setattr(store, "add", fail)
    with running(reader, Script(sheet("31")), store, settings, live=live) as loop:
        until(lambda: "store" in live.parts and live.parts["store"].state == FAILED)
        with pytest.raises(StoreError):
            loop.request("a test", 10)
        monkeypatch.setattr(store, "add", add)
        until(lambda: texts(store) == ["31"])
        until(lambda: live.parts["store"].state != FAILED)


def test_a_database_that_cannot_be_asked_does_not_end_the_loop(reader, store, monkeypatch) -> None:
    live = Live()
    last_value, latest = store.last_value, store.latest

    def fail(*_: object) -> None:
        raise StoreError("readings.db is locked by another program")

    monkeypatch.setattr(store, "last_value", fail)
    monkeypatch.setattr(store, "latest", fail)
    with running(reader, Script(sheet("310")), store, fields=FIELDS, live=live) as loop:
        until(lambda: "locked" in live.verdict)
        assert live.parts["store"].state == FAILED
        with pytest.raises(StoreError):
            loop.request("a test", 10)
        monkeypatch.setattr(store, "last_value", last_value)
        monkeypatch.setattr(store, "latest", latest)
        until(lambda: store.count() == 1)
        until(lambda: live.parts["store"].state != FAILED)


def test_what_was_refused_is_said_again_once_a_correction_makes_it_valid(reader, store) -> None:
    frames = Script(sheet("905"))
    with running(reader, frames, store, fields=FIELDS):
        until(lambda: store.count() == 1)
        frames.image = sheet("106")
        until(lambda: store.count() == 2)
        given = frames.given
        until(lambda: frames.given > given + 10)  # by now the same picture is not read any more
        store.correct(1, "105", "meter")
        until(lambda: store.count() == 3)
    fields = [record["fields"][0] for record in store.readings(oldest_first=True)]
    assert [(field["text"], field["value"]) for field in fields] == [("905", "90.5"), ("106", None), ("106", "10.6")]
    with running(reader, frames, store, fields=FIELDS):
        given = frames.given
        until(lambda: frames.given > given + 10)
    assert store.count() == 3


def test_a_page_out_of_view_is_shown_and_said(reader, store) -> None:
    form = 'deskew = "marks"\nsize = [210, 297]\n[[field]]\nname = "meter"\nbox = [10, 10, 90, 30]\n'
    live = Live()
    frames = Script(sheet("905"))
    with running(reader, frames, store, fields=form, live=live) as loop:
        until(lambda: live.seen is not None)
        number = live.seen.number  # type: ignore[union-attr]
        assert "mark" in live.verdict
        until(lambda: live.seen.number > number)  # type: ignore[union-attr]
        with pytest.raises(NoReadingError, match="mark"):
            loop.request("a test", 0.3)
    assert store.count() == 0


def test_somebody_who_watches_sees_frames_that_are_not_read_for_want_of_change(reader, store) -> None:
    live = Live()
    with running(reader, Script(sheet("72")), store, replace(FAST, when="change"), live=live):
        until(lambda: texts(store) == ["72"])
        number = live.seen.number  # type: ignore[union-attr]
        for _ in range(3):
            seen = live.wait(number, 5)
            assert seen is not None
            number = seen.number
    assert texts(store) == ["72"]


def test_a_frame_from_before_a_request_does_not_answer_it(reader, store) -> None:
    class Slow(Script):
        asked = threading.Event()
        come = threading.Event()

        def newest(self, timeout: float) -> Frame | None:
            image = self.image
            self.asked.set()
            self.come.wait(5)
            self.given += 1
            return Frame(lambda: image, time.time(), self.given)

    frames = Slow(sheet("11"))
    with running(reader, frames, store, replace(FAST, frames=1, agree=1)) as loop:
        assert frames.asked.wait(5)
        threading.Timer(0.2, lambda: (setattr(frames, "image", sheet("22")), frames.come.set())).start()
        assert loop.request("a test", 10)["text"] == "22"


def test_frames_are_counted_on_from_one_loop_to_the_next(reader, store) -> None:
    class Noisy(Script):  # a picture that stays the same is not read over and over
        def newest(self, timeout: float) -> Frame | None:
            self.image = sheet("78"[self.given % 2])
            return super().newest(timeout)

    live = Live()
    for _ in range(2):
        before = 0 if live.seen is None else live.seen.number
        with running(reader, Noisy(sheet("7")), store, live=live):
            until(lambda b=before: live.seen is not None and live.seen.number > b + 3)
        assert live.seen is not None and live.seen.number > before + 3


def test_a_picture_that_comes_into_a_folder_answers_a_request(reader, store, tmp_path) -> None:
    folder = Inbox(str(tmp_path / "in"), store)
    (tmp_path / "in").mkdir()
    live = Live()
    follower = Follower(folder, SourceSettings(kind="folder"), live)
    follower.start()
    try:
        with running(reader, follower, store, live=live) as loop:  # type: ignore[arg-type]
            with pytest.raises(NoReadingError, match="no new picture in the folder"):
                loop.request("a test", 0.2)
            cv2.imwrite(str(tmp_path / "a.png"), sheet("83"))
            threading.Timer(0.3, lambda: (tmp_path / "a.png").rename(tmp_path / "in/a.png")).start()
            assert loop.request("a test", 10)["text"] == "83"
    finally:
        follower.stop()


def test_a_small_faint_digit_that_changes_in_a_large_picture_is_read(reader, store) -> None:
    def faint(text: str) -> np.ndarray:
        picture = np.full((1440, 2560, 3), 200, np.uint8)
        cv2.putText(picture, text, (400, 800), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (140, 140, 140), 2, cv2.LINE_AA)
        return cv2.resize(picture, (1280, 720), interpolation=cv2.INTER_AREA)

    frames = Script(faint("4440"))
    with running(reader, frames, store, replace(FAST, confidence=0.0)):
        for text in ("4448", "4446", "4445"):
            until(lambda: store.count() > 0)
            given = frames.given
            until(lambda g=given: frames.given > g + 10)  # by now the same picture is not read any more
            frames.image = faint(text)
            until(lambda t=text: texts(store)[-1] == t)


def test_the_lamp_is_lit_while_a_frame_is_taken(reader, store) -> None:
    class Lamp:
        lit = False
        times = 0

        def __enter__(self) -> None:
            self.lit, self.times = True, self.times + 1

        def __exit__(self, *_: object) -> None:
            self.lit = False

    lamp = Lamp()

    class Dark(Script):
        def newest(self, timeout: float) -> Frame | None:
            assert lamp.lit
            return super().newest(timeout)

    with running(reader, Dark(sheet("44")), store, lamp=lamp):
        until(lambda: texts(store) == ["44"])
    assert not lamp.lit
    assert lamp.times >= 2


def test_no_digit_in_view_is_a_reading_too(reader, store) -> None:
    frames = Script(sheet("15"))
    with running(reader, frames, store):
        until(lambda: texts(store) == ["15"])
        frames.image = cv2.GaussianBlur(sheet(""), (0, 0), 3)
        until(lambda: texts(store) == ["15", ""])


def test_a_picture_that_differs_by_noise_alone_is_not_read_again_once_all_votes_are_cast(reader, store) -> None:
    live, rng = Live(), np.random.default_rng(0)
    frames = Noisy(sheet("472"), rng)
    with running(reader, frames, store, live=live):
        until(lambda: texts(store) == ["472"] and live.seen is not None and live.seen.number >= FAST.frames)
        given = frames.given
        until(lambda: frames.given > given + 20)
        assert live.seen is not None and live.seen.number <= FAST.frames + 1
        frames.image = sheet("478")
        until(lambda: texts(store) == ["472", "478"])


@pytest.mark.parametrize("when", ["interval", "change"])
def test_who_watches_gets_new_frames_of_a_picture_that_stays_the_same(reader, store, when) -> None:
    live = Live()
    with running(reader, Script(sheet("472")), store, replace(FAST, when=when), live=live):
        until(lambda: texts(store) == ["472"])
        for _ in range(FAST.frames + 2):
            number = 0 if live.seen is None else live.seen.number
            assert live.wait(number, 20) is not None
    assert texts(store) == ["472"]


class Noisy(Script):
    """A camera whose every frame has its own noise."""

    def __init__(self, image: np.ndarray, rng: np.random.Generator) -> None:
        super().__init__(image)
        self._rng = rng

    def newest(self, timeout: float) -> Frame | None:
        frame = super().newest(timeout)
        noise = self._rng.normal(0, 3, self.image.shape)
        image = np.clip(self.image + noise, 0, 255).astype(np.uint8)
        return None if frame is None else replace(frame, load=lambda: image)

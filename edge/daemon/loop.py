"""The loop that does the work: take the newest frame, read it, let it vote, record what is new and stable."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture import Frame, Source
from edge.daemon.consensus import NOT_STABLE, PAGE, Consensus, Tally
from edge.daemon.inbox import Inbox
from edge.daemon.live import FAILED, WORKING, Live, Seen
from edge.daemon.plausible import value_of
from edge.daemon.protocol import NoReadingError, Record
from edge.daemon.settings import ReadingSettings, StoreSettings
from edge.daemon.store import Store, StoreError
from edge.daemon.watched import Watched
from edge.decode import decode
from edge.errors import PictureError
from edge.output import reading_record
from edge.reader import DigitReader
from edge.reading import Reading

Image = NDArray[np.uint8]
Said = tuple[str, bool]  # a text, and whether it was valid: what was refused is news once it can be

TURN_SECONDS = 0.5  # the loop comes around at least so often: it answers requests, and the watchdog lives on it
LOOK_SECONDS = 0.5  # between two frames that are read for somebody who watches the page
CHANGE_SIZE = (64, 48)  # cells in which a picture's change is looked for
CHANGE_LEVELS = 12  # grey levels by which a cell has changed
SAME_CELL = 4  # pixels, across and down, of a cell in which a picture is the same but for the camera's noise
SAME_LEVELS = 6  # grey levels, at most: a cell's mean of 16 pixels has a quarter of their noise

log = logging.getLogger("edge_digits.reading")


class Frames(Protocol):
    """Where the newest frame comes from: edge.daemon.follow.Follower."""

    source: Source

    def newest(self, timeout: float) -> Frame | None:
        """A frame not handed out before; None if none comes in time."""
        ...

    def fresh(self, after: float, timeout: float) -> Frame | None:
        """The same, but taken after a moment of time.monotonic()."""
        ...


@dataclass(slots=True)
class _Request:
    by: str
    since: float
    until: float
    answer: "Future[Record]" = field(default_factory=Future)


class Loop:
    """Reads frames until it is told to stop. `alive`: time.monotonic() when it last came around."""

    def __init__(
        self,
        settings: ReadingSettings,
        storing: StoreSettings,
        reader: DigitReader,
        frames: Frames,
        store: Store,
        live: Live,
        origin: dict[str, Any],
        lamp: AbstractContextManager[object] | None = None,
    ) -> None:
        """origin: what every record says of where it comes from. lamp: lit while a frame is taken."""
        self.alive = time.monotonic()
        self._reader, self._frames, self._store, self._live = reader, frames, store, live
        self._lamp = lamp
        self._origin = origin
        self._changing = threading.Condition()
        self._requests: list[_Request] = []
        self._stopping = False
        self._number = 0 if live.seen is None else live.seen.number
        self._next = self._next_look = 0.0
        self._votes_anew = False
        self._looked_at: Image | None = None
        self._same = 0  # frames read that show the same as it
        self._corrected = store.corrected
        self._recorded = time.monotonic()
        self._said: dict[str, Said] = {}
        self.configure(settings, storing, Watched())

    # From other threads

    def configure(self, settings: ReadingSettings, storing: StoreSettings, watched: Watched) -> None:
        """What to read, how and when, from the next frame on."""
        form = watched.form()
        tally = Tally(settings, watched.fields, last_values(self._store, watched))
        with self._changing:
            self._settings, self._storing, self._form, self._tally = settings, storing, form, tally
            self._watched = watched
            self._said = self._said_before(watched)
            self._settled, self._same = False, 0
            self._next = 0.0
            self._changing.notify_all()

    def _said_before(self, watched: Watched) -> dict[str, Said]:
        try:
            return _said_in(self._store.latest(), watched)
        except StoreError as error:
            self._store_failed(error)
            return {}

    def request(self, by: str, timeout: float) -> Record:
        """A stable reading of frames from now on, recorded. Raises NoReadingError, StoreError."""
        now = time.monotonic()
        request = _Request(by, now, now + timeout)
        with self._changing:
            if self._stopping:
                raise NoReadingError("the daemon is ending")
            self._requests.append(request)
            self._votes_anew = True
            self._changing.notify_all()
        try:
            return request.answer.result(timeout + 2 * TURN_SECONDS)
        except TimeoutError:
            raise NoReadingError(f"no reading in {timeout:g} s: {self._live.verdict}") from None

    def stop(self) -> None:
        """Has run() end at the next turn; requests are answered that there is no reading."""
        with self._changing:
            self._stopping = True
            self._changing.notify_all()

    # In the loop's own thread

    def run(self) -> None:
        """Until stop()."""
        while not self._stopping:
            self.alive = time.monotonic()
            self._expire()
            is_due = self._wait_until_due()
            if is_due is None:
                continue
            asked = time.monotonic()
            with self._lit() as after:
                frame = self._frames.newest(TURN_SECONDS) if after is None else self._frames.fresh(after, TURN_SECONDS)
            if frame is not None:
                self._take(frame, asked, counts=is_due)
        with self._changing:
            for request in self._requests:
                request.answer.set_exception(NoReadingError("the daemon is ending"))
            self._requests.clear()

    def _wait_until_due(self) -> bool | None:
        """Whether the next frame counts, or is for somebody who watches alone; None where it is not time for either."""
        with self._changing:
            now = time.monotonic()
            pictures = self._reads_pictures
            counts = self._settings.when != "request" or pictures
            if self._requests or (counts and now >= self._next):
                return None if self._stopping else True
            watched = self._live.is_watched and not pictures
            if watched and now >= self._next_look:
                return None if self._stopping else False
            wait = TURN_SECONDS
            if counts:
                wait = min(wait, self._next - now)
            if watched:
                wait = min(wait, self._next_look - now)
            self._changing.wait(wait)
        return None

    @property
    def _reads_pictures(self) -> bool:
        """Whether the source gives pictures one by one, each of which is read whatever the clock says."""
        return not self._frames.source.live

    @contextmanager
    def _lit(self) -> Iterator[float | None]:
        """The lamp on; from when on a frame has to be, None where any will do."""
        with self._changing:
            asked = max((request.since for request in self._requests), default=None)
        if self._lamp is None or self._reads_pictures:
            yield asked
            return
        with self._lamp:
            yield time.monotonic()

    def _expire(self) -> None:
        with self._changing:
            late = [request for request in self._requests if time.monotonic() >= request.until]
            self._requests = [request for request in self._requests if request not in late]
        for request in late:
            request.answer.set_exception(NoReadingError(self._why_none()))

    def _why_none(self) -> str:
        source = self._live.parts.get("source")
        if source is not None and source.state != WORKING:
            return f"no picture: {source.reason or source.state}"
        if self._reads_pictures:
            return "no new picture in the folder"
        return self._live.verdict or "no picture came in time"

    def _take(self, frame: Frame, asked: float, *, counts: bool) -> None:
        """asked: time.monotonic() when the frame was; it answers no request that came after that."""
        started = time.monotonic()
        if counts:
            self._next = started + (0 if frame.path is not None else self._settings.interval)
        image = None
        try:
            # A large picture is read by its path: then no more of it is decoded than is needed.
            by_path = isinstance(self._frames.source, Inbox) and not self._frames.source.turns
            image = decode(frame.path) if by_path and frame.path is not None else frame.load()
            loaded = time.monotonic()
            if counts and not self._is_wanted(frame, image):
                if not self._live.is_watched or started < self._next_look:
                    return
                counts = False
            self._next_look = started + LOOK_SECONDS
            with self._changing:
                form, tally = self._form, self._tally
                requests = [request for request in self._requests if request.since <= asked]
                if counts and self._votes_anew:
                    tally.clear()
                    self._votes_anew = len(requests) < len(self._requests)
            reading = self._reader.read(
                frame.path if by_path and frame.path is not None else image,
                fields=form,
                full_resolution=self._settings.full_resolution,
            )
        except PictureError as error:
            self._next_look = started + LOOK_SECONDS
            self._cannot_read(frame, image, str(error))
            return
        read = time.monotonic()
        seen = self._seen(image, reading, frame, {"load": loaded - started, "read": read - loaded})
        if frame.path is not None:
            self._live.see(seen, "")
            self._record_picture(frame.path, frame.time, reading)
            return
        if not counts:
            self._live.see(seen, self._live.verdict)
            return
        try:
            consensus = tally.add(reading)
        except StoreError as error:  # what a field's value was before cannot be looked up
            self._store_failed(error)
            self._live.see(seen, str(error))
            for request in requests:
                self._answer(request, error)
            return
        self._settled = consensus.is_stable
        self._same += 1
        self._live.see(seen, consensus.reason)
        self._record(frame, consensus, requests)

    def _is_wanted(self, frame: Frame, image: Image) -> bool:
        """Whether to read a frame: what all votes were cast on already is not read again, nor looked at too closely."""
        if frame.path is not None or self._requests:
            return True
        if self._corrected != self._store.corrected:  # what was refused may be valid now
            self._corrected, self._settled = self._store.corrected, False
        on_change = self._settings.when == "change"
        # No coarser in larger pictures: the smallest digits that are read, of 10 pixels, would be lost in a cell.
        height, width = (max(1, side // SAME_CELL) for side in image.shape[:2])
        cells = _cells(image, CHANGE_SIZE if on_change else (width, height))
        before = self._looked_at
        if before is None or before.shape != cells.shape:
            changed = True
        elif on_change:
            changed = np.count_nonzero(cv2.absdiff(cells, before) > CHANGE_LEVELS) > self._settings.change * cells.size
        else:
            changed = bool(cv2.absdiff(cells, before).max() > SAME_LEVELS)
        if changed:
            self._looked_at, self._settled, self._same = cells, False, 0
            if on_change:
                # The frames before show something else: their votes are void.
                self._votes_anew = True
        enough = on_change or self._same >= self._settings.frames
        return not (self._settled and enough) or self._is_heartbeat_due()

    def _is_heartbeat_due(self) -> bool:
        return time.monotonic() - self._recorded >= self._storing.heartbeat_minutes * 60

    def _seen(self, image: Image, reading: Reading, frame: Frame, seconds: dict[str, float]) -> Seen:
        self._number += 1
        return Seen(image, reading, frame.time, self._number, seconds)

    def _cannot_read(self, frame: Frame, image: Image | None, reason: str) -> None:
        if frame.path is None:
            log.warning("a frame cannot be read: %s", reason)
            if image is not None:  # such as a page that is not in view: whoever aims the camera has to see that
                nothing = Reading(image.shape[1], image.shape[0], ())
                self._live.see(self._seen(image, nothing, frame, {}), reason)
            return
        try:
            self._inbox.failed(frame.path, reason)
        except StoreError as error:
            self._store_failed(error)
            self._inbox.again(frame.path)

    @property
    def _inbox(self) -> Inbox:
        """The source, where its frames have paths."""
        assert isinstance(self._frames.source, Inbox)
        return self._frames.source

    def _record(self, frame: Frame, consensus: Consensus, requests: list[_Request]) -> None:
        """Records what the frames agree on, where it is new, asked for, or due."""
        valid = {field.name: field.valid for field in consensus.reading.fields}
        news = {name: (text, valid.get(name, True)) for name, text in consensus.texts.items() if text is not None}
        is_new = any(said != self._said.get(name) for name, said in news.items())
        is_answer = bool(requests) and consensus.is_stable
        is_heartbeat = consensus.is_stable and self._is_heartbeat_due()
        if not (is_new or is_answer or is_heartbeat):
            return
        event = "reading" if is_new or is_answer else "heartbeat"
        try:
            record = self._add(consensus.reading, self._origin["source"], frame.time, event)
        except StoreError as error:
            self._settled = False  # what is seen is still to be recorded
            self._store_failed(error)
            for request in requests if is_answer else ():
                self._answer(request, error)
            return
        self._said |= news
        self._recorded = time.monotonic()
        if is_answer:
            for request in requests:
                self._answer(request, record)

    def _record_picture(self, path: str, taken: float, reading: Reading) -> None:
        """Records a folder's picture, which is a reading by itself, and has it put away."""
        tally = Tally(_ONE_PICTURE, self._watched.fields, last_values(self._store, self._watched))
        try:
            record = self._add(tally.add(reading).reading, path, taken, "reading", self._inbox.picture(path))
            self._recorded = time.monotonic()
        except StoreError as error:
            self._store_failed(error)
            self._inbox.again(path)
            return
        self._inbox.done(path)
        with self._changing:
            requests = list(self._requests)
        for request in requests:
            self._answer(request, record)

    def _add(
        self, reading: Reading, path: str, taken: float, event: str, picture: tuple[str, str] | None = None
    ) -> Record:
        """Commits a record. Raises StoreError."""
        said_of_it = reading_record(path, reading) | {"time": taken} | self._origin
        glyphs = np.stack([digit.glyph for digit in reading.digits]) if reading.digits else None
        record: Record = self._store.add(
            said_of_it, event=event, glyphs=glyphs if event == "reading" else None, picture=picture
        )
        self._live.report("store", WORKING)
        said = (
            ", ".join(f"{f.name} = {f.value or f'({f.reason})'}" for f in reading.fields) or reading.text or "no digit"
        )
        log.info("%s %d: %s", event, record["sequence"], said.replace("\n", " / "))
        return record

    def _store_failed(self, error: StoreError) -> None:
        if self._live.report("store", FAILED, str(error)):
            log.error("%s", error)

    def _answer(self, request: _Request, answer: Record | StoreError) -> None:
        with self._changing:
            if request not in self._requests:
                return
            self._requests.remove(request)
        if isinstance(answer, StoreError):
            request.answer.set_exception(answer)
        else:
            request.answer.set_result(answer)


def _cells(image: Image, size: tuple[int, int]) -> Image:
    """uint8 (height, width) of the size: the mean grey of each cell of a picture."""
    grey = image if image.ndim == 2 else cv2.extractChannel(image, 1)  # a slice costs OpenCV three times as much
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def last_values(store: Store, watched: Watched) -> Callable[[str], str | None]:
    """What each field's last value was: the last valid one, or what a person said since then that it is."""
    fields = {field.form.name: field for field in watched.fields}

    def last_value(name: str) -> str | None:
        corrected = store.last_correction(name)
        if corrected is not None and corrected[1].isdecimal():
            return value_of(fields[name], corrected[1])
        said = store.last_value(name)
        return None if said is None else said.value

    return last_value


_ONE_PICTURE = ReadingSettings(frames=1, agree=1, confidence=0.0)


def _said_in(record: Record | None, watched: Watched) -> dict[str, Said]:
    """What was said last, so that a restart does not say it again."""
    if record is None:
        return {}
    if not watched.fields:
        return {} if record["fields"] else {PAGE: (record["text"], True)}
    return {
        field["name"]: (field["text"], field["valid"])
        for field in record["fields"]
        if field["valid"] or not field["reason"].startswith(NOT_STABLE)
    }

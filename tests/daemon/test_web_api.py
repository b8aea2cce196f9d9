"""What the API answers: readings, the live frame, pictures sent in, corrections, fields, metrics."""

import http.client
import threading
import time
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.daemon.settings import FieldSettings, HttpSettings, ReadingSettings, StoreSettings
from edge.fields import FormField
from tests.daemon.web_daemon import DEADLINE, TIME, jpeg, page, running

TOTAL = FieldSettings(FormField("total", (0.0, 0.0, 1.0, 1.0)), decimals=2, unit="m3")
LEFT_RIGHT = (
    FieldSettings(FormField("left", (0.0, 0.0, 0.5, 1.0))),
    FieldSettings(FormField("right", (0.5, 0.0, 0.5, 1.0))),
)


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as site:
        yield site


def metrics(site):
    """{name: {labels as a tuple of pairs: value}}"""
    found = {}
    for family in text_string_to_metric_families(site.get("/metrics").body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


# Health, latest, readings


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("degraded", 200), ("failed", 503)])
def test_health_is_the_daemons_and_its_status_that_of_the_answer(site, status, code):
    site.daemon.status = status
    answer = site.get("/api/health")
    assert answer.status == code
    assert answer.json == site.daemon.health()


def test_latest_is_null_with_the_reason_before_the_first_record(site):
    assert site.get("/api/latest").json == {"record": None, "verdict": "no frame yet", "sharpness": None}


def test_latest_is_the_newest_record_with_verdict_and_sharpness(site):
    record = site.daemon.record()
    site.daemon.see(page(), verdict="the frames differ: 5550100, 5550108")
    said = site.get("/api/latest").json
    assert said["record"] == record
    assert said["verdict"] == "the frames differ: 5550100, 5550108"
    assert 0 < said["sharpness"] <= 1


def test_readings_come_in_pages_the_newest_first_until_there_is_no_next(site):
    reading = site.daemon.see(page())
    for _ in range(7):
        site.daemon.record(reading)
    seen, before = [], ""
    while before is not None:
        said = site.get(f"/api/readings?limit=3&before={before}").json
        seen.append([record["sequence"] for record in said["readings"]])
        before = said["next"]
    assert [number for numbers in seen for number in numbers] == [7, 6, 5, 4, 3, 2, 1]
    assert [len(numbers) for numbers in seen] == [3, 3, 1]


def test_readings_are_chosen_by_sequence_time_field_and_event(site):
    bare = site.daemon.see(page())
    site.daemon.record(bare)
    site.daemon.record(bare, event="heartbeat", time=TIME + 60)
    site.daemon.save_fields('[[field]]\nname = "total"\nbox = [0, 0, 1, 1]\n')
    site.daemon.record(site.daemon.see(page()), time=TIME + 120)

    def numbers(query):
        return [record["sequence"] for record in site.get(f"/api/readings?{query}").json["readings"]]

    assert numbers("after=1") == [3, 2]
    assert numbers("before=3&after=1") == [2]
    assert numbers("event=heartbeat") == [2]
    assert numbers("field=total") == [3]
    assert numbers("since=2026-11-25T10:01:00Z") == [3, 2]
    assert numbers("since=2026-11-25T11:01:00%2B01:00&until=2026-11-25T10:02:00Z") == [2]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=501", "limit=-1", "limit=ten", "limit=1e2", "before=99999999999999999999", "after=%C2%B2",
        "since=yesterday", "until=9999-99-99", "event=all", "colour=red", "since=0001-01-01T00:00:00%2B14:00",
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_is_one_line_that_names_it(site, query):
    answer = site.get(f"/api/readings?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.error


def test_a_page_of_readings_ends_where_it_is_large_enough(site, monkeypatch):
    monkeypatch.setattr("edge.daemon.web.api.MAX_PAGE_BYTES", 500)
    monkeypatch.setattr("edge.daemon.web.api.BATCH", 2)
    reading = site.daemon.see(page())
    for _ in range(5):
        site.daemon.record(reading)
    said = site.get("/api/readings?limit=5").json
    assert [record["sequence"] for record in said["readings"]] == [5, 4]
    assert said["next"] == 4


# Live


def test_live_says_what_the_newest_frame_shows(site):
    site.daemon.see(page(), verdict="digit 5 is 1 or 7")
    said = site.get("/api/live").json
    assert (said["number"], said["width"], said["height"], said["text"]) == (1, 640, 240, "5550100")
    assert said["time"] == "2026-11-25T10:00:00.000Z"
    assert said["verdict"] == "digit 5 is 1 or 7"
    assert [digit["label"] for digit in said["digits"]] == list("5550100")


def test_live_never_says_1970(site):
    site.daemon.see(page(), time=12.0)
    assert site.get("/api/live").json["time"] is None


def test_live_waits_for_another_frame(site):
    site.daemon.see(page())
    later = threading.Timer(0.3, site.daemon.see, [page("123")])
    later.start()
    start = time.monotonic()
    said = site.get("/api/live?after=1&wait=10").json
    later.join()
    assert (said["number"], said["text"]) == (2, "123")
    assert 0.2 < time.monotonic() - start < 9


def test_live_waits_no_longer_than_asked(site):
    site.daemon.see(page())
    start = time.monotonic()
    assert site.get("/api/live?after=1&wait=0.3").json["number"] == 1
    assert 0.2 < time.monotonic() - start < 9


def test_more_pollers_than_may_wait_are_answered_at_once(site):
    site.daemon.see(page())
    waiting = [threading.Thread(target=site.get, args=["/api/live?after=1&wait=10"]) for _ in range(4)]
    for thread in waiting:
        thread.start()
    end = time.monotonic() + DEADLINE
    while site.server.app.api._waiting._value and time.monotonic() < end:
        time.sleep(0.01)
    start = time.monotonic()
    assert site.get("/api/live?after=1&wait=10").json["number"] == 1
    assert site.get("/healthz").body == b"ok\n"
    assert time.monotonic() - start < 5
    site.daemon.see(page())
    for thread in waiting:
        thread.join(DEADLINE)


def test_a_poller_that_goes_away_gives_its_place_back(site):
    site.daemon.see(page())
    gone = [site.connect() for _ in range(4)]
    for connection in gone:
        connection.sendall(b"GET /api/live?after=1&wait=10 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    waiting = site.server.app.api._waiting
    end = time.monotonic() + DEADLINE
    while waiting._value and time.monotonic() < end:
        time.sleep(0.01)
    for connection in gone:
        connection.close()
    start = time.monotonic()
    while waiting._value < 4 and time.monotonic() < end:
        time.sleep(0.01)
    assert waiting._value == 4
    assert time.monotonic() - start < 5


# The frame


def test_the_frame_is_a_jpeg_of_about_the_width_asked_for(site):
    site.daemon.see(page())
    answer = site.get("/api/frame.jpg?width=300")
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert picture.shape == (120, 320, 3)
    assert cv2.imdecode(np.frombuffer(site.get("/api/frame.jpg").body, np.uint8), 1).shape == (240, 640, 3)


def test_the_frame_is_never_larger_than_it_is(site):
    site.daemon.see(page(width=100, height=100))
    answer = site.get("/api/frame.jpg?width=1900")
    assert cv2.imdecode(np.frombuffer(answer.body, np.uint8), 1).shape == (100, 100, 3)


def test_a_grey_frame_is_a_jpeg_too(site):
    site.daemon.see(np.full((48, 64), 200, np.uint8))
    assert cv2.imdecode(np.frombuffer(site.get("/api/frame.jpg").body, np.uint8), -1).shape == (48, 64)


def test_the_same_frame_is_not_sent_twice(site):
    site.daemon.see(page())
    first = site.get("/api/frame.jpg")
    again = site.get("/api/frame.jpg", If_None_Match=first.headers["Etag"])
    assert (again.status, again.body) == (304, b"")
    site.daemon.see(page("123"))
    assert site.get("/api/frame.jpg", If_None_Match=first.headers["Etag"]).status == 200


def test_the_frame_of_a_number_stays_for_a_moment_when_the_next_one_is_there(site):
    site.daemon.see(page())
    first = site.get("/api/frame.jpg?number=1")
    site.daemon.see(page("123"))
    assert site.get("/api/frame.jpg?number=1").body == first.body
    assert site.get("/api/frame.jpg?number=1").headers["X-Frame-Number"] == "1"
    assert site.get("/api/frame.jpg?number=77").headers["X-Frame-Number"] == "2"


def test_the_picture_of_a_frame_that_was_told_is_its_own_though_another_came(site):
    site.daemon.see(page())
    number = site.get("/api/live").json["number"]
    site.daemon.see(page("123"))
    site.daemon.see(page("456"))
    answer = site.get(f"/api/frame.jpg?number={number}")
    assert answer.headers["X-Frame-Number"] == str(number)
    assert answer.body != site.get("/api/frame.jpg").body


def test_a_frame_is_encoded_once_for_all_clients(site, monkeypatch):
    encoded = []
    encode = cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda *arguments: encoded.append(1) or encode(*arguments))
    site.daemon.see(page())
    threads = [threading.Thread(target=site.get, args=["/api/frame.jpg?width=320"]) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert len(encoded) == 1


def test_without_a_frame_there_is_one_line(site):
    answer = site.get("/api/frame.jpg")
    assert (answer.status, answer.error) == (503, "no frame yet")


# Reading pictures


def multipart(data, name="picture"):
    boundary = "----edge"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="../../etc/x.jpg"\r\n'
        f"Content-Type: image/jpeg\r\n\r\n".encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    return body, {"Content_Type": f"multipart/form-data; boundary={boundary}"}


def test_a_picture_sent_as_the_body_is_read_and_not_stored(site):
    answer = site.post("/api/read", jpeg(page()), Content_Type="image/jpeg")
    assert answer.status == 200
    assert (answer.json["text"], answer.json["width"], answer.json["height"]) == ("5550100", 640, 240)
    assert "sequence" not in answer.json
    assert site.daemon.store.count() == 0


def test_a_picture_sent_as_a_form_is_read(site):
    body, headers = multipart(jpeg(page()))
    answer = site.post("/api/read", body, **headers)
    assert (answer.json["text"], answer.json["path"]) == ("5550100", "upload")


def test_a_large_photograph_is_read_with_boxes_in_its_own_pixels(site):
    large = cv2.resize(page(), (4800, 1800), interpolation=cv2.INTER_CUBIC)
    said = site.post("/api/read", jpeg(large), Content_Type="image/jpeg").json
    assert (said["text"], said["width"]) == ("5550100", 4800)
    assert 400 < said["digits"][0]["box"][0] < 560


@pytest.mark.parametrize(("full_resolution", "text"), [(False, ""), (True, "5550100")])
def test_small_digits_of_a_large_photograph_are_read_at_full_resolution_where_that_is_set(
    full_resolution, text, tmp_path
):
    large = np.full((2400, 3800, 3), page()[0, 0], np.uint8)
    small = cv2.resize(page(), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    large[1000 : 1000 + small.shape[0], 1500 : 1500 + small.shape[1]] = small
    with running(tmp_path, reading=ReadingSettings(full_resolution=full_resolution)) as site:
        assert site.post("/api/read", jpeg(large), Content_Type="image/jpeg").json["text"] == text


def test_a_picture_is_read_with_the_daemons_fields_where_asked(site):
    site.daemon.save_fields('[[field]]\nname = "total"\nbox = [0, 0, 1, 1]\ndecimals = 2\n')
    assert site.post("/api/read", jpeg(page()), Content_Type="image/jpeg").json["fields"] == []
    (field,) = site.post("/api/read?fields=1", jpeg(page()), Content_Type="image/jpeg").json["fields"]
    assert (field["name"], field["text"], field["value"]) == ("total", "5550100", "55501.00")


def png_header(width, height, depth):
    """A PNG without its pixels."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR" + size + bytes([depth, 6, 0, 0, 0]) + bytes(4)


def bmp_of(width, height):
    """The header of a BMP, and a few pixels."""
    return (
        b"BM"
        + (70).to_bytes(4, "little")
        + bytes(4)
        + (54).to_bytes(4, "little")
        + (40).to_bytes(4, "little")
        + (width.to_bytes(4, "little") + height.to_bytes(4, "little") + b"\x01\0\x18\0" + bytes(24))
    )


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"not a picture", 422),
        (jpeg(page())[:-300], 422),
        (bmp_of(4001, 3000), 413),
        (png_header(3000, 3000, 16), 413),
        (png_header(3000, 3000, 8), 422),
        (b"\0\0\0\x0cjP  " + b"\xff\x4f\xff\x51" + bytes(200), 422),
        (b"GIF89a" + bytes(100), 422),
        (b"II*\0" + bytes(100), 422),
    ],
)
def test_what_is_no_picture_is_one_line(site, data, status):
    answer = site.post("/api/read", data, Content_Type="application/octet-stream")
    assert answer.status == status
    assert answer.error


def test_a_picture_of_more_than_16_megabytes_is_refused(site):
    data = jpeg(page()) + bytes(16_000_000)
    assert site.post("/api/read", data, Content_Type="image/jpeg").status == 413
    body, headers = multipart(data)
    assert site.post("/api/read", body, **headers).status == 413


def test_a_body_that_is_no_picture_by_its_type_is_refused(site):
    answer = site.post("/api/read", b"{}", Content_Type="application/json")
    assert answer.status == 415
    body, headers = multipart(jpeg(page()), name="file")
    assert site.post("/api/read", body, **headers).status == 400


def test_one_picture_is_read_at_a_time(site):
    with site.server.app.api._uploads:
        answer = site.post("/api/read", jpeg(page()), Content_Type="image/jpeg")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert site.post("/api/read", jpeg(page()), Content_Type="image/jpeg").status == 200


# A reading on request


def test_trigger_answers_the_record_that_was_stored(site):
    said = site.post("/api/trigger").json
    assert said["text"] == "5550100"
    assert site.get("/api/latest").json["record"] == said


def test_trigger_says_why_there_is_no_reading(site):
    site.daemon.why_none = "no picture: the camera is unplugged"
    answer = site.post("/api/trigger", {})
    assert (answer.status, answer.error) == (503, "no picture: the camera is unplugged")


# Correcting


def corrected(site):
    """{file below the corrections: its pixels}"""
    folder = site.daemon.state / "corrections"
    return {str(path.relative_to(folder)): cv2.imread(str(path), -1) for path in folder.rglob("*.png")}


def test_a_correction_puts_the_glyphs_into_the_folders_of_their_labels(site):
    record = site.daemon.record()
    answer = site.post("/api/correct", {"sequence": 1, "field": None, "text": "5550700"})
    assert (answer.status, answer.json["glyphs"]) == (200, 7)
    found = corrected(site)
    name = record["id"]
    assert set(found) == {
        *(f"5/{name}-0{place}.png" for place in (0, 1, 2)),
        *(f"0/{name}-0{place}.png" for place in (3, 5, 6)),
        f"7/{name}-04.png",
    }
    glyphs = site.daemon.store.glyphs(1)
    assert np.array_equal(found[f"7/{name}-04.png"], glyphs[4])
    assert [(c.field, c.text) for c in site.daemon.store.corrections(1)] == [(None, "5550700")]


def test_correcting_again_moves_the_glyphs(site):
    name = site.daemon.record()["id"]
    for text in ("5550700", "5550700", "555010?"):
        assert site.post("/api/correct", {"sequence": 1, "text": text}).status == 200
    assert f"1/{name}-04.png" in corrected(site)
    assert f"none/{name}-06.png" in corrected(site)
    assert len(corrected(site)) == 7
    assert not (site.daemon.state / "corrections" / "7").exists()


def test_training_takes_the_corrections(site):
    from train.data import _class_folders, _read_folders

    site.daemon.record()
    site.post("/api/correct", {"sequence": 1, "text": "555070?"})
    folder = site.daemon.state / "corrections"
    classes = _class_folders(folder)
    assert [path.name for path in classes] == ["0", "5", "7"]
    images, labels, none_images, _ = _read_folders(folder, classes)
    assert sorted(labels.tolist()) == [0, 0, 1, 1, 1, 2]
    assert len(images) == 6
    assert len(none_images) == 1


def test_one_field_is_corrected(site):
    site.daemon.watched = replace(site.daemon.watched, fields=LEFT_RIGHT)
    record = site.daemon.record(site.daemon.see(page()))
    left, right = (field["text"] for field in record["fields"])
    assert left + right == "5550100"
    answer = site.post("/api/correct", {"sequence": 1, "field": "right", "text": "9" * len(right)})
    assert answer.json["glyphs"] == len(right)
    assert {path.split("/")[0] for path in corrected(site)} == {"9"}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"sequence": 1, "text": "555010"}, 400, "7 digits"),
        ({"sequence": 1, "text": "55501000"}, 400, "7 digits"),
        ({"sequence": 1, "text": "555010x"}, 400, "'x'"),
        ({"sequence": 1, "text": "5550100", "field": "nowhere"}, 400, "nowhere"),
        ({"sequence": 1, "text": "5550100", "colour": 1}, 400, "colour"),
        ({"sequence": 1, "text": "555\n0100"}, 400, "lines"),
        ({"sequence": 1, "text": 5550100}, 400, "text"),
        ({"sequence": "1", "text": "5550100"}, 400, "sequence"),
        ({"sequence": True, "text": "5550100"}, 400, "sequence"),
        ({"sequence": 2, "text": "5550100"}, 404, "2"),
        ({"sequence": 10**30, "text": "5550100"}, 400, "sequence"),
        ({"text": "5550100"}, 400, "sequence"),
    ],
)
def test_a_correction_that_does_not_fit_is_refused_with_the_reason(site, body, status, says):
    site.daemon.record()
    answer = site.post("/api/correct", body)
    assert answer.status == status
    assert says in answer.error
    assert corrected(site) == {}


def test_a_correction_whose_glyphs_are_gone_is_refused(tmp_path):
    with running(tmp_path, store=StoreSettings(keep_glyphs=0)) as site:
        site.daemon.record()
        assert site.post("/api/correct", {"sequence": 1, "text": "5550100"}).status == 410


def test_a_heartbeat_is_corrected_by_the_glyphs_of_the_reading_that_it_says_again(site):
    name = site.daemon.record()["id"]
    site.daemon.store.add(site.daemon.store.latest() | {"time": None}, event="heartbeat")
    assert site.post("/api/correct", {"sequence": 2, "text": "5550700"}).json["glyphs"] == 7
    assert f"7/{name}-04.png" in corrected(site)
    assert site.get("/api/glyphs.png?sequence=2").body == site.get("/api/glyphs.png?sequence=1").body


def test_a_text_with_another_number_of_digits_is_kept_alone(site):
    site.daemon.record()
    body = {"sequence": 1, "text": "555010", "glyphs": False}
    assert site.post("/api/correct", body).json["glyphs"] == 0
    assert corrected(site) == {}
    assert [c.text for c in site.daemon.store.corrections(1)] == ["555010"]
    assert site.post("/api/correct", body | {"text": "555x"}).status == 400
    assert site.post("/api/correct", body | {"field": "nowhere"}).status == 400
    assert site.post("/api/correct", body | {"glyphs": "no"}).status == 400


def test_readings_say_what_was_corrected_in_them(site):
    for _ in range(3):
        site.daemon.record()
    site.post("/api/correct", {"sequence": 2, "text": "5550700"})
    site.post("/api/correct", {"sequence": 2, "text": "5550701"})
    said = site.get("/api/readings").json
    assert list(said["corrections"]) == ["2"]
    assert [(c["field"], c["text"]) for c in said["corrections"]["2"]] == [(None, "5550700"), (None, "5550701")]
    assert site.get("/api/readings?before=2").json["corrections"] == {}


def test_the_glyphs_of_a_reading_are_shown(site):
    site.daemon.record()
    answer = site.get("/api/glyphs.png?sequence=1")
    assert answer.headers["Content-Type"] == "image/png"
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), -1)
    glyphs = site.daemon.store.glyphs(1)
    assert picture.shape == (28, 7 * 28)
    assert np.array_equal(picture[:, 4 * 28 : 5 * 28], glyphs[4])
    assert site.get("/api/glyphs.png?sequence=2").status == 404
    assert site.get("/api/glyphs.png").status == 400


def test_many_glyphs_are_in_rows():
    from edge.daemon.web.images import sheet

    glyphs = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    picture = cv2.imdecode(np.frombuffer(sheet(glyphs), np.uint8), -1)
    assert picture.shape == (56, 32 * 28)
    assert picture[30, 7 * 28 + 3] == 39 and picture[30, 8 * 28 + 3] == 0


@pytest.mark.parametrize(
    ("label", "folder"), [("..", "%2E%2E"), ("/etc", "%2F%65%74%63"), (".", "%2E"), ("a\0b", "%61%00%62")]
)
def test_no_label_leads_out_of_the_folder(tmp_path, label, folder):
    from edge.daemon.web.corrections import Corrections

    corrections = Corrections(tmp_path / "state", [label, "7"], None)
    corrections.keep("id-1", np.zeros((1, 28, 28), np.uint8), [(0, label)])
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")] == [
        f"state/corrections/{folder}/id-1-00.png"
    ]


def test_a_full_disk_is_one_line(site):
    site.daemon.record()
    (site.daemon.state / "corrections").write_text("a file is in the way")
    answer = site.post("/api/correct", {"sequence": 1, "text": "5550100"})
    assert answer.status == 503
    assert "corrections" in answer.error
    assert site.daemon.store.corrections(1) == []


# Fields


FIELDS = {
    "size": [640, 240],
    "deskew": None,
    "fields": [
        {"name": "total", "box": [20, 20, 600, 200], "length": 7, "decimals": 2, "pattern": r"\d+", "cells": None}
    ],
}


def test_fields_are_given_and_taken_as_json(site):
    assert site.get("/api/fields?format=json").json == {"editable": True, "size": None, "deskew": None, "fields": []}
    answer = site.ask("PUT", "/api/fields", FIELDS)
    assert answer.status == 200
    said = site.get("/api/fields?format=json").json
    assert said == answer.json
    assert said["size"] == [640, 240]
    (field,) = said["fields"]
    assert (field["name"], field["box"], field["decimals"], field["pattern"]) == (
        "total",
        [20, 20, 600, 200],
        2,
        r"\d+",
    )
    assert site.ask("PUT", "/api/fields", said).json == said


def test_fields_are_given_and_taken_as_toml(site):
    text = 'size = [640, 240]\n\n[[field]]\nname = "total"\nbox = [20, 20, 600, 200]\ndecimals = 2\n'
    assert site.ask("PUT", "/api/fields", text, Content_Type="application/toml").status == 200
    answer = site.get("/api/fields")
    assert (answer.headers["Content-Type"], answer.body.decode()) == ("text/plain; charset=utf-8", text)


@pytest.mark.parametrize(
    "body",
    [
        {"fields": [{"name": "a"}]},
        {"fields": [{"name": "a", "box": [0, 0, 2, 1]}]},
        {"fields": [{"name": "a", "box": [0, 0, 1, 1], "colour": 1}]},
        {"fields": [{"name": "a", "box": [0, 0, 1, 1]}, {"name": "a", "box": [0, 0, 1, 1]}]},
        {"fields": [{"name": {"x": 1}, "box": [0, 0, 1, 1]}]},
        {"fields": [{"name": "a", "box": [0, 0, 1, 1], "pattern": "("}]},
        {"fields": [{"name": "a", "box": [0, 0, 1, 1], "largest_step": 1e999}]},
        {"fields": ["a"]},
        {"fields": 3},
        {"size": [1, 1]},
        {"fields": [{"name": "a", "box": [0, 0, 1, 1]}], "deskew": "sideways"},
    ],
)
def test_fields_with_a_mistake_are_refused_with_the_reason(site, body):
    answer = site.ask("PUT", "/api/fields", body)
    assert answer.status == 400
    assert answer.error
    assert site.daemon.fields() == ()


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[[field]", b'[[field]]\nname = "a"', b"a = " + b"[" * 5000])
def test_toml_with_a_mistake_is_refused_with_the_reason(site, text):
    answer = site.ask("PUT", "/api/fields", text, Content_Type="text/plain")
    assert answer.status == 400
    assert answer.error


def test_fields_of_the_configuration_cannot_be_changed(tmp_path):
    with running(tmp_path, fields=(TOTAL,)) as site:
        assert site.get("/api/fields?format=json").json["editable"] is False
        assert site.ask("PUT", "/api/fields", FIELDS).status == 400


# Metrics


def test_metrics_say_what_was_read_and_recorded(site):
    site.daemon.watched = replace(site.daemon.watched, fields=(TOTAL,))
    reading = site.daemon.see(page())
    site.daemon.record(reading)
    site.daemon.record(reading, event="heartbeat")
    found = metrics(site)
    assert found["edge_digits_frames_read_total"] == {(): 1}
    assert found["edge_digits_frames_dropped_total"] == {(): 0}
    assert found["edge_digits_readings_total"] == {(("event", "reading"),): 1, (("event", "heartbeat"),): 1}
    assert found["edge_digits_read_seconds_count"] == {(("step", "load"),): 1, (("step", "read"),): 1}
    assert found["edge_digits_field_value"] == {(("field", "total"),): 5550100}
    assert found["edge_digits_part_up"] == {(("part", name),): 1 for name in ("http", "source", "store")}
    assert found["edge_digits_sink_backlog"] == {(("sink", "mqtt"),): 3}
    assert found["edge_digits_temperature_celsius"] == {(): 47.2}
    assert found["edge_digits_under_voltage"] == {(): 0}
    assert found["edge_digits_database_bytes"][()] > 0
    assert found["edge_digits_database_written_bytes_total"][()] >= 0
    assert 0 < found["edge_digits_sharpness_ratio"][()] <= 1
    ((labels, value),) = found["edge_digits_info"].items()
    assert dict(labels)["device"] == "shelf"
    assert value == 1


def test_metrics_count_refused_values_by_reason_and_say_no_value(site):
    field = FieldSettings(FormField("total", (0.0, 0.0, 1.0, 1.0), length=5))
    site.daemon.watched = replace(site.daemon.watched, fields=(field,))
    site.daemon.record()
    found = metrics(site)
    assert found["edge_digits_refused_total"] == {(("field", "total"), ("reason", "length")): 1}
    assert found["edge_digits_field_valid"] == {(("field", "total"),): 0}
    assert "edge_digits_field_value" not in found


def test_metrics_are_there_when_the_store_is_not(site):
    site.daemon.store.close()
    answer = site.get("/metrics")
    assert answer.status == 200
    assert b"edge_digits_part_up" in answer.body
    assert site.get("/api/latest").status == 503


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("a character was not a digit", "character"),
        ("no digit found", "empty"),
        ("6 digits instead of 7", "length"),
        ("1 digit instead of 7", "length"),
        (r"does not match \d{7}", "pattern"),
        ("12.3 is less than 12.4 before", "decreasing"),
        ("99.0 is +87.7 from 12.3 before, more than 5", "step"),
        ("not one number", "range"),
        ("digit 5 is 1 or 7", "unstable"),
        ("the cat sat on it", "other"),
        (None, "other"),
    ],
)
def test_reasons_are_of_a_handful_of_kinds(reason, kind):
    from edge.daemon.web.metrics import reason_class

    assert reason_class(reason) == kind


# The rest


def test_an_unknown_address_and_a_wrong_method_are_one_line(site):
    assert site.get("/api/secrets").status == 404
    answer = site.ask("DELETE", "/api/readings")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.error == "this address takes GET, HEAD"
    assert site.ask("OPTIONS", "/api/readings").status == 405
    assert site.ask("TRACE", "/api/readings").status == 405


def test_head_is_get_without_a_body(site):
    answer = site.ask("HEAD", "/api/latest")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/", "/static/x"]
)
def test_no_path_leads_to_a_file_that_is_not_the_pages(site, path):
    assert site.get(f"/static/{path}").status == 404


def test_the_page_and_its_files_are_served(site):
    answer = site.get("/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    style = site.get("/static/style.css")
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert site.get("/static/style.css", If_None_Match=style.headers["Etag"]).status == 304


def test_an_internal_error_is_one_line_without_a_word_of_the_inside(site, monkeypatch, caplog):
    monkeypatch.setattr(site.daemon, "health", lambda: 1 / 0)
    answer = site.get("/api/health")
    assert (answer.status, answer.error) == (500, "internal error; the daemon's log has more")
    assert "ZeroDivisionError" in caplog.text


def test_a_taken_port_is_said_and_tried_again(site, tmp_path, monkeypatch):
    monkeypatch.setattr("edge.daemon.web.server.RETRY_SECONDS", 0.05)
    other = tmp_path / "other"
    other.mkdir()
    with running(other, http=HttpSettings(port=site.port)) as second:
        part = second.daemon.live.parts["http"]
        assert (part.state, "Address already in use" in part.reason) == ("failed", True)
        site.server.stop()
        end = time.monotonic() + DEADLINE
        while second.daemon.live.parts["http"].state != "working" and time.monotonic() < end:
            time.sleep(0.02)
        assert second.get("/healthz").status == 200


def test_it_stops_while_somebody_waits(site):
    site.daemon.see(page())

    def wait():
        with suppress(OSError, http.client.HTTPException):
            site.get("/api/live?after=1&wait=10")

    thread = threading.Thread(target=wait)
    thread.start()
    end = time.monotonic() + DEADLINE
    while site.server.app.api._waiting._value == 4 and time.monotonic() < end:
        time.sleep(0.01)
    start = time.monotonic()
    site.server.stop()
    assert time.monotonic() - start < 2
    thread.join(DEADLINE)

"""The page in a real browser: what people see, draw, type and drop, on a desktop and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from tests.daemon.browser import DESKTOP, PHONE, Page, chromium, near, show_as, touch_drag
from tests.daemon.standin import HEIGHT, WIDTH, Device, StandIn, box_of, picture_of, record_of

FIELD = {
    "name": "water",
    "box": [0.1, 0.3, 0.6, 0.4],
    "pattern": None,
    "length": 5,
    "cells": None,
    "decimals": 1,
    "skip_marks": False,
    "never_decreasing": True,
    "largest_step": None,
    "roll_over": None,
    "unit": "m³",
    "device_class": "water",
}
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3


class DevicePage(Page):
    """The page of a device that does as the test says."""

    def __init__(self, driver: webdriver.Chrome, server: StandIn) -> None:
        super().__init__(driver, server.url)
        self.server, self.device = server, server.device

    def open_live(self, text: str = "41873", **how: Any) -> None:
        """Opened, with the text's picture shown."""
        self.device.show(text)
        self.open(**how)
        self.until(lambda: self.text("seen-text") == text, "the live picture appears")

    def saved(self) -> dict[str, Any]:
        """The body of the PUT that saved the fields."""
        self.id("save-fields").click()
        return self.until(lambda: self.device.asked("PUT", "/api/fields"), "fields are sent")[-1].json


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome) -> Iterator[DevicePage]:
    """Whatever a test does, nothing in the page goes wrong."""
    with StandIn(Device()) as server:
        page = DevicePage(driver, server)
        with page.watched():
            yield page


def test_a_reading_appears_and_changes(page: DevicePage) -> None:
    page.device.add("41873")
    page.open_live("41873")
    page.until(lambda: page.text("reading-text") == "41873", "the reading appears")
    page.device.add("41874")
    page.until(lambda: page.text("reading-text") == "41874", "the next reading appears")
    page.until(lambda: len(page.all("#history li")) == 2, "both are in the list")
    assert [row.text.split("\n")[0] for row in page.all("#history li")] == ["41874", "41873"]
    assert page.script("return document.querySelector('#reading-text').closest('[aria-live=polite]') !== null")


def test_the_page_says_why_there_is_no_stable_reading(page: DevicePage) -> None:
    page.device.verdict = "only 2 of 5 frames agree"
    page.open_live()
    page.until(lambda: "only 2 of 5 frames agree" in page.text("verdict"), "the verdict")
    page.device.verdict = ""
    page.device.show("41873")
    page.until(lambda: not page.id("verdict").is_displayed(), "the verdict goes away")


@pytest.mark.parametrize(("size", "touch"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"])
def test_boxes_stand_where_the_digits_are(page: DevicePage, size: tuple[int, int], touch: bool) -> None:
    page.open_live("41873", size=size, touch=touch)
    boxes = page.until(lambda: page.all(".digit-box"), "boxes")
    left, top, width, height = page.place("#picture")
    assert near([width / height], [WIDTH / HEIGHT], 0.02)
    scale = width / WIDTH
    assert [box.get_attribute("data-label") for box in boxes] == list("41873")
    for index, box in enumerate(boxes):
        x, y, w, h = box_of(index)
        rect = page.script("const r = arguments[0].getBBox(); return [r.x, r.y, r.width, r.height]", box)
        assert near(rect, [x * scale, y * scale, w * scale, h * scale])
    assert near(page.place(".digit-box"), [left + box_of(0)[0] * scale, top + box_of(0)[1] * scale, *rect[2:]], 3)


def test_boxes_follow_when_the_window_changes(page: DevicePage) -> None:
    page.open_live("7")
    page.until(lambda: page.all(".digit-box"), "a box")
    show_as(page.driver, (700, 700))
    scale = page.until(lambda: (w := page.place("#picture")[2]) < 700 and w, "the picture shrinks") / WIDTH
    x, _, _, h = box_of(0)
    box = page.all(".digit-box")[0]
    page.until(
        lambda: (
            near([float(box.get_attribute("x")), float(box.get_attribute("height"))], [x * scale, h * scale])
            if (box := page.all(".digit-box")[0])
            else False
        ),
        "the box is drawn again",
    )
    assert box is not None


def test_a_refused_and_an_unsure_digit_look_different(page: DevicePage) -> None:
    page.device.show("4?7")
    page.device.seen["digits"][0]["confidence"] = 0.6
    page.open()
    boxes = page.until(lambda: page.all(".digit-box"), "boxes")
    assert [box.get_attribute("class").split()[1:] for box in boxes] == [["unsure"], ["refused"], []]
    assert page.texts(".digits-layer .tag")[:2] == ["4 60", "? 30"]


def test_a_picture_that_stays_the_same_says_how_old_it_is(page: DevicePage) -> None:
    page.open_live("1")
    assert page.text("rate") == "2.0 frames/s"
    page.until(lambda: "no new picture for" in page.text("rate"), "its age")
    page.device.show("2")
    page.until(lambda: page.text("rate") == "2.0 frames/s", "the next picture")


def test_sharpness_is_shown_with_its_best(page: DevicePage) -> None:
    page.open_live("1")
    page.device.show("2", sharpness=0.3)
    page.until(lambda: page.text("sharpness-words") == "30 · best 42", "the best stays")
    assert page.id("sharpness").get_attribute("aria-valuenow") == "30"
    fill, whole = page.place(".meter-fill")[2], page.place("#sharpness")[2]
    page.until(lambda: near([page.place(".meter-fill")[2]], [0.3 * whole], 2), f"the bar, {fill} of {whole} wide")


@pytest.mark.parametrize("way", ["mouse", "finger"])
def test_a_field_is_drawn_named_and_saved(page: DevicePage, way: str) -> None:
    page.open_live(size=PHONE if way == "finger" else DESKTOP, touch=way == "finger")
    page.edit()
    page.script("document.getElementById('stage').scrollIntoView({block: 'center'})")
    if way == "mouse":
        page.mouse_drag((0.1, 0.3), (0.7, 0.7))
    else:
        touch_drag(page.driver, page.on_picture(0.1, 0.3), page.on_picture(0.7, 0.7))
    form = page.until(lambda: page.id("field-form").is_displayed() and page.id("field-form"), "the form")
    top = page.place("#stage")[1]
    assert top >= 0 and top + page.place("#stage")[3] <= page.script("return innerHeight")  # and the picture stays
    for name, typed in {"name": "water", "length": "5", "decimals": "1", "unit": "m³"}.items():
        box = form.find_element(By.NAME, name)
        box.clear()
        box.send_keys(typed)
    form.find_element(By.NAME, "never_decreasing").click()
    body = page.saved()
    assert set(body) == {"fields", "size", "deskew"}
    (field,) = body["fields"]
    assert near(field.pop("box"), [0.1, 0.3, 0.6, 0.4], 0.01)
    assert field == {key: value for key, value in FIELD.items() if key != "box"} | {"device_class": ""}
    page.until(lambda: page.id("edit").is_displayed(), "editing ends")
    sent = page.device.asked("PUT", "/api/fields")[0].headers
    assert (sent["Content-Type"], sent["X-Requested-With"]) == ("application/json", "edge-digits")


def test_a_field_is_moved_resized_and_deleted(page: DevicePage) -> None:
    page.device.fields["fields"] = [FIELD, FIELD | {"name": "gas", "box": [0.1, 0.75, 0.3, 0.2]}]
    page.open_live()
    page.edit()
    page.mouse_drag((0.4, 0.5), (0.5, 0.4))  # moved
    page.mouse_drag((0.8, 0.6), (0.9, 0.5))  # by its lower right corner
    page.mouse_drag((0.2, 0.85), (0.2, 0.85))  # chosen
    page.id("delete-field").click()
    (field,) = page.saved()["fields"]
    assert field["name"] == "water"
    assert near(field["box"], [0.2, 0.2, 0.7, 0.3], 0.01)


def test_a_field_cannot_leave_the_picture(page: DevicePage) -> None:
    page.device.fields["fields"] = [FIELD]
    page.open_live()
    page.edit()
    page.mouse_drag((0.4, 0.5), (0.95, 0.05))
    x, y, width, height = page.saved()["fields"][0]["box"]
    assert near([x + width, y, width, height], [1, 0, 0.6, 0.4], 0.001)
    assert x + width <= 1


def test_a_field_is_made_and_moved_by_keyboard(page: DevicePage) -> None:
    page.open_live()
    page.edit()
    page.id("add-field").send_keys(Keys.ENTER)
    page.until(lambda: page.driver.switch_to.active_element.get_attribute("name") == "name", "its name can be typed")
    page.driver.switch_to.active_element.send_keys("total")
    before = page.place(".field-box")
    page.script("document.querySelector('.field-group').focus()")
    ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT * 5, Keys.ARROW_DOWN).perform()
    assert near(page.place(".field-box"), [before[0] + 10, before[1] + 2, *before[2:]], 1.0)
    assert page.saved()["fields"][0]["name"] == "total"


def test_boxes_in_units_of_the_page_stay_in_them(page: DevicePage) -> None:
    page.device.fields |= {"fields": [FIELD | {"box": [21, 30, 84, 20]}], "size": [210, 100]}
    page.open_live()
    page.edit()
    page.mouse_drag((0.3, 0.4), (0.4, 0.4))
    body = page.saved()
    assert body["size"] == [210, 100]
    assert near(body["fields"][0]["box"], [42, 30, 84, 20], 0.5)


def test_fields_of_a_straightened_page_are_placed_in_numbers(page: DevicePage) -> None:
    page.device.fields |= {"fields": [FIELD], "deskew": "page"}
    page.open_live()
    page.edit()
    assert "straightened" in page.text("editor-help")
    assert not page.all(".editor-layer .field-box")
    page.all("#field-list button")[0].click()
    page.all("#field-form summary")[0].click()
    left = page.all("#field-form [name=x]")[0]
    left.clear()
    left.send_keys("0.25")
    body = page.saved()
    assert body["deskew"] == "page"
    assert body["fields"][0]["box"] == [0.25, 0.3, 0.6, 0.4]


def test_fixed_fields_are_shown_and_cannot_be_edited(page: DevicePage) -> None:
    page.device.fields |= {"fields": [FIELD], "editable": False}
    page.open_live()
    page.until(lambda: "fixed in the configuration" in page.text("editor-help"), "why not")
    assert not page.id("edit").is_displayed()
    assert page.text("field-list") == "water"


def test_what_the_server_has_against_fields_is_shown_and_they_stay(page: DevicePage) -> None:
    page.failures_expected = True
    page.device.fields["fields"] = [FIELD]
    page.device.failures["PUT /api/fields"] = (400, "field 'water': pattern '(' is not a regular expression")
    page.open_live()
    page.edit()
    page.id("save-fields").click()
    page.until(lambda: "is not a regular expression" in page.text("editor-error"), "the server's line")
    assert page.id("field-form").is_displayed()
    del page.device.failures["PUT /api/fields"]
    page.id("save-fields").click()
    page.until(lambda: page.id("edit").is_displayed(), "saved at last")
    assert not page.id("editor-error").is_displayed()


def test_two_fields_of_one_name_are_not_sent(page: DevicePage) -> None:
    page.device.fields["fields"] = [FIELD]
    page.open_live()
    page.edit()
    page.id("add-field").click()
    page.driver.switch_to.active_element.send_keys("water")
    page.id("save-fields").click()
    page.until(lambda: "Two fields are named 'water'" in page.text("editor-error"), "what is wrong")
    assert not page.device.asked("PUT", "/api/fields")


def test_a_misread_digit_is_corrected(page: DevicePage) -> None:
    for text in ("41873", "41874"):
        page.device.add(text)
    page.open_live()
    page.until(lambda: len(page.all("#history button")) == 2, "the list")
    page.all("#history button")[1].click()
    assert page.texts(".tile b") == list("41873")
    field = page.driver.switch_to.active_element
    field.send_keys(Keys.END, Keys.BACKSPACE, "8")
    assert page.texts(".tile.changed") == ["8\nread 3"]
    field.send_keys(Keys.ENTER)
    sent = page.until(lambda: page.device.asked("POST", "/api/correct"), "a correction is sent")[0]
    assert sent.json == {"sequence": 1, "field": None, "text": "41878"}
    page.until(lambda: not page.id("correct").is_displayed(), "the dialog closes")
    assert "Thank you" in page.text("announce")
    page.until(lambda: page.texts("#history .corrected") == ["corrected: 41878"], "the mark")
    assert len(page.all("#history button")) == 2


def test_the_digits_are_shown_as_the_network_saw_them(page: DevicePage) -> None:
    page.device.add("41873")
    page.open_live()
    page.until(lambda: page.all("#history button"), "the list")[0].click()
    page.until(lambda: len(page.all(".tile canvas")) == 5, "the digits' pictures")
    pixel = "return document.querySelector('.tile canvas').getContext('2d').getImageData(5, 5, 1, 1).data[0]"
    assert page.script(pixel) == 200


def test_a_digit_that_was_missed_is_corrected_by_the_text_alone(page: DevicePage) -> None:
    page.device.add("4187")
    page.open_live()
    page.until(lambda: page.all("#history button"), "the list")[0].click()
    assert not page.id("correct-more").is_displayed()
    page.driver.switch_to.active_element.send_keys("41873")
    assert page.id("correct-more").is_displayed()
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    sent = page.until(lambda: page.device.asked("POST", "/api/correct"), "a correction is sent")[0]
    assert sent.json == {"sequence": 1, "field": None, "text": "41873", "glyphs": False}


def test_a_field_is_corrected_by_its_name(page: DevicePage) -> None:
    found = {"name": "water", "text": "41873", "value": "4187.3", "confidence": 0.9, "valid": True, "reason": None}
    page.device.add("41873", fields=[found | {"box": [100, 100, 400, 150]}])
    page.open_live()
    page.until(lambda: page.all("#history button"), "the list")[0].click()
    page.driver.switch_to.active_element.send_keys("41878", Keys.ENTER)
    sent = page.until(lambda: page.device.asked("POST", "/api/correct"), "a correction is sent")[0]
    assert sent.json == {"sequence": 1, "field": "water", "text": "41878"}


def test_a_correction_that_is_refused_says_why(page: DevicePage) -> None:
    page.failures_expected = True
    page.device.add("41873")
    page.device.failures["POST /api/correct"] = (410, "the glyphs of reading 1 are no longer kept")
    page.open_live()
    page.until(lambda: page.all("#history button"), "the list")[0].click()
    page.id("correct-send").click()
    page.until(lambda: "no longer kept" in page.text("correct-error"), "the server's line")
    assert page.id("correct").is_displayed()
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    page.until(lambda: not page.id("correct").is_displayed(), "Escape closes it")


def write_picture(folder: Path, text: str) -> Path:
    path = folder / "picture.png"
    cv2.imwrite(str(path), picture_of(text))
    return path


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_a_picture_is_read(page: DevicePage, tmp_path: Path, way: str) -> None:
    path = write_picture(tmp_path, "42")
    page.open_live()
    if way == "chosen":
        page.id("file").send_keys(str(path))
    else:
        x, y, width, height = page.place("#reading")  # anywhere on the page
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": x + width / 2, "y": y + height / 2, "data": data}
            page.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
    page.until(lambda: page.text("upload-text") == "42", "its text")
    sent = page.device.asked("POST", "/api/read")[0]
    assert (sent.body, sent.headers["Content-Type"]) == (path.read_bytes(), "image/png")
    boxes = page.until(lambda: page.all("#upload-overlay .digit-box"), "its boxes")
    scale = page.until(lambda: page.place("#upload-picture")[2], "the picture") / WIDTH
    assert near([float(boxes[1].get_attribute("x"))], [box_of(1)[0] * scale])
    assert '"text": "42"' in page.script("return document.getElementById('upload-record').textContent")


def test_a_picture_that_cannot_be_read_says_why(page: DevicePage, tmp_path: Path) -> None:
    page.failures_expected = True
    page.device.failures["POST /api/read"] = (422, "not a picture that can be decoded")
    page.open_live()
    page.id("file").send_keys(str(write_picture(tmp_path, "1")))
    page.until(lambda: page.text("upload-error") == "Not a picture that can be decoded", "the server's line")
    assert not page.id("upload-result").is_displayed()


def test_read_now_shows_the_reading_or_why_there_is_none(page: DevicePage) -> None:
    page.failures_expected = True
    page.device.failures["POST /api/trigger"] = (503, "no reading in 10 s: no digit found")
    page.open_live()
    page.id("trigger").click()
    page.until(lambda: "no digit found" in page.text("trigger-error"), "why")
    del page.device.failures["POST /api/trigger"]
    page.device.add("55")
    page.id("trigger").click()
    page.until(lambda: page.text("reading-text") == "55", "the reading")
    assert not page.id("trigger-error").is_displayed()


def test_a_refused_value_is_listed_with_its_reason(page: DevicePage) -> None:
    reason = "smaller than before (4187.3)"
    refused = {"name": "water", "text": "41003", "value": None, "confidence": 0.9, "valid": False, "reason": reason}
    page.device.add("41003", fields=[refused | {"box": [100, 100, 400, 150]}])
    page.open_live()
    page.until(lambda: reason in page.text("history"), "why, in the list")
    assert "no value" in page.text("history")
    assert reason in page.text("reading-fields")


def test_the_plot_follows_a_field(page: DevicePage) -> None:
    def field(name: str, value: str) -> dict[str, Any]:
        said = {"name": name, "text": value, "value": value, "confidence": 0.9, "valid": True, "reason": None}
        return said | {"box": [0, 0, 10, 10]}

    for step in range(5):
        page.device.add("1", fields=[field("water", f"{100 + step}.5"), field("gas", f"{700 - step}")])
    page.open_live()
    page.until(lambda: "104.5 at" in page.text("plot-words"), "the last value")
    assert "5 values from 100.5 to 104.5, last 104.5" in page.id("plot").get_attribute("aria-label")
    choice = page.id("series")
    choice.send_keys("gas")
    page.until(lambda: "696 at" in page.text("plot-words"), "the other field")
    left, _, width, _ = page.place("#plot")
    ActionChains(page.driver).move_to_element_with_offset(page.id("plot"), round(-width * 0.3), 0).perform()
    page.until(lambda: "699 at" in page.text("plot-words"), "the value under the pointer")
    assert left >= 0


def test_older_readings_are_asked_for(page: DevicePage) -> None:
    for number in range(120):
        page.device.add(str(number))
    page.open_live(size=PHONE, touch=True)
    page.until(lambda: 0 < len(page.all("#history li")) < 20, "a short list on a phone")
    while page.id("older").is_displayed():
        count = len(page.all("#history li"))
        page.script("document.getElementById('older').click()")
        page.until(lambda before=count: len(page.all("#history li")) > before, "more of them")
    found = [int(row.get_attribute("data-sequence")) for row in page.all("#history li")]
    assert found == list(range(120, 0, -1))


def test_health_is_said_in_plain_words(page: DevicePage) -> None:
    page.device.health |= {
        "status": "degraded",
        "parts": {"mqtt": {"state": "waiting", "reason": "the broker refuses the connection", "since_seconds": 150}},
        "device": {"temperature_c": 83.1, "throttled": ["throttled"], "under_voltage": True, "disk_free_bytes": 5e7},
        "backlog": {"mqtt": 12},
    }
    page.open_live()
    page.until(lambda: "refuses the connection" in page.text("health"), "why")
    said = page.text("health")
    for words in ("MQTT broker", "waiting for 2 min", "83 °C", "too weak", "50.0 MB", "12 readings", "slowed down"):
        assert words in said
    assert page.text("status-words") == "Needs a look"
    assert page.script("return document.title") == "shelf – Edge Digits"


def test_a_device_that_fails_still_says_its_health(page: DevicePage) -> None:
    page.failures_expected = True
    answer = page.device.answer
    page.device.answer = lambda request, query: (  # type: ignore[method-assign]
        (503, page.device.health | {"status": "failed"}) if request.path == "/api/health" else answer(request, query)
    )
    page.open_live()
    page.until(lambda: page.text("status-words") == "Not working", "the status")
    assert not page.id("connection").is_displayed()


def test_a_lost_connection_is_said_and_comes_back(page: DevicePage) -> None:
    page.failures_expected = True
    page.device.add("1")
    page.open_live("1")
    page.server.stop()
    page.until(lambda: "trying again" in page.text("connection"), "that it is gone")
    assert page.text("status-words") == "No connection"
    page.device.add("2")
    page.device.show("22", number=1)  # it starts again, and counts from the start
    page.server.start()
    page.until(lambda: page.text("seen-text") == "22", "the live picture again")
    page.until(lambda: page.text("reading-text") == "2", "the reading that was missed")
    assert not page.id("connection").is_displayed()


def test_what_is_being_edited_survives_a_lost_connection(page: DevicePage) -> None:
    page.failures_expected = True
    page.open_live()
    page.edit()
    page.mouse_drag((0.1, 0.3), (0.7, 0.7))
    page.server.stop()
    page.until(lambda: page.id("connection").is_displayed(), "that it is gone")
    page.id("save-fields").click()
    page.until(lambda: "No connection" in page.text("editor-error"), "that it was not saved")
    page.server.start()
    page.until(lambda: not page.id("connection").is_displayed(), "that it is back")
    assert len(page.saved()["fields"]) == 1


def test_who_is_not_logged_in_is_asked_for_the_token(page: DevicePage) -> None:
    page.failures_expected = True
    page.device.failures["GET /api/latest"] = (401, "log in first")
    page.open()
    page.until(lambda: page.all("#token") and page.script("return document.readyState") == "complete", "the login page")
    page.device.failures = {"POST /login": (401, "this is not the token")}
    page.id("token").send_keys("wrong", Keys.ENTER)
    page.until(lambda: page.text("login-error") == "This is not the token", "the server's line")
    page.device.failures = {}
    page.id("token").send_keys("right", Keys.ENTER)
    page.until(lambda: page.all("#reading"), "the page")
    assert page.device.asked("POST", "/login")[-1].json == {"token": "right"}
    page.until(lambda: page.id("logout").is_displayed(), "logging out")
    page.id("logout").click()
    page.until(lambda: page.driver.current_url.endswith("/login"), "the login page again")


def test_a_phone_never_scrolls_sideways(page: DevicePage) -> None:
    page.device.health["name"] = "a-shelf-with-a-very-long-name-in-the-far-cellar.example"
    page.device.health["parts"]["mqtt"] = {"state": "failed", "reason": "x" * 90, "since_seconds": 1}
    long = {"name": "n" * 60, "text": "1" * 40, "value": "1" * 40, "confidence": 1, "valid": True, "reason": "r" * 90}
    page.device.add("8" * 60, fields=[long | {"box": [0, 0, 600, 300]}])
    page.device.add("7" * 80 + "\n" + "6" * 80)
    page.device.fields["fields"] = [FIELD | {"name": "n" * 60}]
    page.device.verdict = "v" * 100
    page.open_live("4" * 8, size=PHONE, touch=True)
    page.until(lambda: page.all("#history button") and page.all("#parts li"), "all of it")
    assert page.width_beyond() == 0
    page.edit()
    page.script("document.querySelector('#field-list button').click()")
    page.script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.width_beyond() == 0
    page.script("document.querySelector('#history button').click()")
    left, _, width, _ = page.place("#correct")
    assert left >= 0 and left + width <= PHONE[0]
    assert page.width_beyond() == 0


def test_every_control_has_a_name_for_a_screen_reader(page: DevicePage) -> None:
    page.device.add("41873\n12")
    page.device.fields["fields"] = [FIELD]
    page.open_live()
    page.edit()
    page.all("#field-list button")[0].click()
    page.script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    page.driver.execute_cdp_cmd("Accessibility.disable", {})
    roles = {"button", "textbox", "spinbutton", "combobox", "checkbox", "link", "meter", "image", "DisclosureTriangle"}
    found = [
        (n["role"]["value"], n["name"]["value"]) for n in nodes if not n["ignored"] and n["role"]["value"] in roles
    ]
    assert {role for role, _ in found} >= {"button", "textbox", "spinbutton", "combobox", "checkbox", "meter"}
    assert [role for role, name in found if not name.strip()] == []


def test_the_focus_can_be_seen(page: DevicePage) -> None:
    page.open_live()
    ActionChains(page.driver).send_keys(Keys.TAB * 2).perform()
    style = page.script(
        "const s = getComputedStyle(document.activeElement); return [document.activeElement.id, s.outlineStyle]"
    )
    assert style == ["trigger", "solid"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_their_ground(page: DevicePage, dark: bool) -> None:
    page.device.verdict = "only 2 of 5 frames agree"
    page.device.add("41873")
    page.open_live(dark=dark)
    page.until(lambda: page.all("#history button") and page.id("verdict").is_displayed(), "the words")
    found = page.script("""
        const parse = (color) => color.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
          .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
          .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (one) => {
          const color = parse(getComputedStyle(one).backgroundColor);
          return color.length === 4 && color[3] === 0 && one.parentElement ? ground(one.parentElement) : color;
        };
        const contrast = (one) => {
          const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        };
        const ids = ["reading-text", "reading-when", "verdict", "trigger", "status-words", "edit", "plot-words"];
        return ids.map((id) => [id, contrast(document.getElementById(id))]);
    """)
    assert [(name, ratio) for name, ratio in found if ratio < LEAST_CONTRAST] == []


def test_nothing_of_a_record_is_taken_for_markup(page: DevicePage) -> None:
    markup = "<img src=x onerror=alert(1)>"
    field = {"name": markup, "text": "1", "value": markup, "confidence": 1, "valid": True, "reason": markup}
    page.device.records.append(record_of(1, "1", [field | {"box": [0, 0, 9, 9]}]))
    page.device.fields["fields"] = [FIELD | {"name": markup}]
    page.open_live()
    page.until(lambda: markup in page.text("history"), "as it is")
    assert markup in page.text("reading-fields")
    assert not page.all("img[src=x]")

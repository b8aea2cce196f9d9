"""The page in a real browser over the real server, store and reader: from the frame to the file on the disk."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver import Keys

from edge.daemon.settings import HttpSettings
from edge.daemon.web.server import WebServer
from tests.daemon.browser import PHONE, Page, chromium, near
from tests.daemon.web_daemon import TOKEN, Site, jpeg, running
from tests.daemon.web_daemon import page as picture_of

DARK = 110  # of 255: ink, and not paper; nor the box drawn over them, which is no part of the picture


class SitePage(Page):
    """The page of a running server."""

    def __init__(self, driver: webdriver.Chrome, site: Site) -> None:
        super().__init__(driver, f"http://127.0.0.1:{site.port}")
        self.site, self.daemon = site, site.daemon


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome, tmp_path: Path) -> Iterator[SitePage]:
    with running(tmp_path) as site:
        page = SitePage(driver, site)
        with page.watched():
            yield page


@pytest.fixture
def guarded(driver: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SitePage]:
    """A server that wants the token."""
    monkeypatch.setenv("EDGE_DIGITS_TOKEN", TOKEN)
    driver.delete_all_cookies()
    with running(tmp_path) as site:
        page = SitePage(driver, site)
        page.failures_expected = True
        with page.watched():
            yield page


@pytest.mark.parametrize("touch", [False, True], ids=["desktop", "phone"])
def test_all_ink_of_the_live_picture_lies_in_the_boxes(page: SitePage, touch: bool) -> None:
    page.daemon.see(picture_of("5550100"))
    if touch:
        page.open(size=PHONE, touch=True)
    else:
        page.open()
    page.until(lambda: len(page.all(".digit-box")) == 7, "a box for each digit")
    inside, outside = page.script(
        """
        const picture = document.getElementById("picture"), place = picture.getBoundingClientRect();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [Math.round(place.width), Math.round(place.height)];
        const drawn = canvas.getContext("2d");
        drawn.drawImage(picture, 0, 0, canvas.width, canvas.height);
        const { data } = drawn.getImageData(0, 0, canvas.width, canvas.height);
        const boxes = [...document.querySelectorAll(".digit-box")].map((box) => box.getBoundingClientRect());
        let inside = 0, outside = 0;
        for (let y = 0; y < canvas.height; y += 1) {
          for (let x = 0; x < canvas.width; x += 1) {
            if (data[4 * (y * canvas.width + x)] >= arguments[0]) continue;
            const [left, top] = [x + place.left, y + place.top];
            const boxed = boxes.some((box) => left >= box.left - 1 && left <= box.right + 1
              && top >= box.top - 1 && top <= box.bottom + 1);
            if (boxed) inside += 1; else outside += 1;
          }
        }
        return [inside, outside];
        """,
        DARK,
    )
    assert inside > 100
    assert outside == 0


def test_a_recorded_reading_appears(page: SitePage) -> None:
    page.daemon.record()
    page.open()
    page.until(lambda: page.text("reading-text") == "5550100", "the reading")
    page.daemon.record(page.daemon.see(picture_of("5550101")))
    page.until(lambda: page.text("reading-text") == "5550101", "the next one")
    page.until(lambda: len(page.all("#history li")) == 2, "both in the list")
    assert not page.id("logout").is_displayed()  # no token, nothing to log out of


def test_a_drawn_field_is_read_from_the_next_frame_on(page: SitePage) -> None:
    page.daemon.see(picture_of("5550100"))
    page.open()
    page.until(lambda: page.all(".digit-box"), "the live picture")
    page.edit()
    page.mouse_drag((0.02, 0.2), (0.98, 0.8))
    page.driver.switch_to.active_element.send_keys("water")
    page.all("#field-form [name=decimals]")[0].send_keys("2")
    page.id("save-fields").click()
    page.until(lambda: page.id("edit").is_displayed(), "it is saved")
    (field,) = page.daemon.fields()
    assert (field.form.name, field.decimals, field.form.length) == ("water", 2, None)
    assert near(list(field.form.box), [0.02, 0.2, 0.96, 0.6], 0.01)
    page.daemon.see(picture_of("5550100"))
    page.until(lambda: "water" in "".join(page.texts(".fields-layer .field-tag")), "its box, live")
    page.edit()
    page.all("#field-list button")[0].click()
    page.id("delete-field").click()
    page.id("save-fields").click()
    page.until(lambda: page.daemon.fields() == (), "it is gone")


def test_what_the_server_refuses_is_said_beside_the_field(page: SitePage) -> None:
    page.failures_expected = True
    page.daemon.see(picture_of())
    page.open()
    page.edit()
    page.id("add-field").click()
    page.all("#field-form [name=pattern]")[0].send_keys("(")
    page.id("save-fields").click()
    page.until(lambda: "not a regular expression" in page.text("editor-error"), "the server's line")
    assert page.daemon.fields() == ()
    page.all("#field-form [name=pattern]")[0].send_keys(Keys.BACKSPACE, r"\d+")
    page.id("save-fields").click()
    page.until(lambda: page.daemon.fields(), "it is saved at last")
    assert page.daemon.fields()[0].form.pattern == r"\d+"


def test_a_corrected_digit_goes_where_training_finds_it(page: SitePage) -> None:
    page.failures_expected = True
    record = page.daemon.record()
    page.open()
    page.until(lambda: page.all("#history button"), "the list")[0].click()
    page.driver.switch_to.active_element.send_keys(Keys.END, Keys.BACKSPACE, "x")
    page.until(lambda: len(page.all(".tile canvas")) == 7, "the digits' pictures")
    page.id("correct-send").click()
    page.until(lambda: "'x' is none of the labels" in page.text("correct-error"), "why not")
    page.id("correct-text").send_keys(Keys.END, Keys.BACKSPACE, "8", Keys.ENTER)
    page.until(lambda: not page.id("correct").is_displayed(), "it is taken")
    assert (page.daemon.state / "corrections" / "8" / f"{record['id']}-06.png").is_file()
    assert page.daemon.store.corrections(record["sequence"])
    page.until(lambda: page.texts("#history .corrected") == ["corrected: 5550108"], "the mark")


def test_a_picture_that_is_chosen_is_read(page: SitePage, tmp_path: Path) -> None:
    page.failures_expected = True
    path = tmp_path / "page.jpg"
    path.write_bytes(jpeg(picture_of("5550100")))
    page.open()
    page.id("file").send_keys(str(path))
    page.until(lambda: page.text("upload-text") == "5550100", "its text")
    assert len(page.all("#upload-overlay .digit-box")) == 7
    path.write_bytes(b"no picture")
    page.id("file").send_keys(str(path))
    page.until(lambda: page.id("upload-error").is_displayed(), "why not")
    assert not page.id("upload-result").is_displayed()


def test_read_now_takes_a_reading(page: SitePage) -> None:
    page.failures_expected = True
    page.daemon.why_none = "no reading in 10 s: no digit found"
    page.open()
    page.id("trigger").click()
    page.until(lambda: "no digit found" in page.text("trigger-error"), "why there is none")
    page.daemon.why_none = None
    page.id("trigger").click()
    page.until(lambda: page.text("reading-text") == "5550100", "the reading")


def test_a_server_that_was_gone_is_found_again(page: SitePage) -> None:
    page.failures_expected = True
    page.daemon.record()
    page.open()
    page.until(lambda: page.text("reading-text") == "5550100", "the reading")
    port = page.site.port
    page.site.server.stop()
    page.until(lambda: "trying again" in page.text("connection"), "that it is gone")
    page.daemon.settings = replace(page.daemon.settings, http=HttpSettings(port=port))
    page.daemon.record(page.daemon.see(picture_of("77")))
    again = WebServer(page.daemon)
    again.start()
    try:
        page.until(lambda: page.text("reading-text") == "77", "the reading that was missed")
        page.until(lambda: page.text("seen-text") == "77", "the live picture")
        assert not page.id("connection").is_displayed()
        page.driver.get("about:blank")
    finally:
        again.stop()


def test_the_link_printed_at_start_logs_in_once(guarded: SitePage) -> None:
    guarded.daemon.record()
    link = guarded.site.server.login_link().removeprefix(guarded.url)
    guarded.open(link)
    guarded.until(lambda: guarded.text("reading-text") == "5550100", "the reading")
    guarded.until(lambda: guarded.id("logout").is_displayed(), "logging out")
    guarded.id("logout").click()
    guarded.until(lambda: guarded.all("#token"), "the login page")
    guarded.open(link)
    guarded.until(lambda: "was used" in guarded.text("login-error"), "that it cannot be used again")


def test_the_token_logs_in(guarded: SitePage) -> None:
    guarded.daemon.record()
    guarded.open()
    guarded.until(
        lambda: guarded.all("#token") and guarded.script("return document.readyState") == "complete", "the login page"
    )
    guarded.id("token").send_keys("not-the-token", Keys.ENTER)
    guarded.until(lambda: guarded.text("login-error") == "This is not the token", "that it is wrong")
    guarded.id("token").clear()
    guarded.id("token").send_keys(TOKEN, Keys.ENTER)
    guarded.until(lambda: guarded.text("reading-text") == "5550100", "the reading")


def test_a_session_that_ended_leads_to_the_login_page(guarded: SitePage) -> None:
    guarded.open(guarded.site.server.login_link().removeprefix(guarded.url))
    guarded.until(lambda: guarded.text("status-words") == "All is well", "the page")
    guarded.driver.delete_all_cookies()
    guarded.until(lambda: guarded.all("#token"), "the login page")

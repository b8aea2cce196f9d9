"""Debian's Chromium, driven: what a page shows, what went wrong in it, and whom it asked."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"  # Debian's packages chromium and chromium-driver
DESKTOP, PHONE = (1280, 900), (360, 760)  # CSS pixels
DEADLINE = 20.0  # seconds for anything to appear: a loaded machine is slow


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window, which logs its console and its requests."""
    options = Options()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show_as(driver: webdriver.Chrome, size: tuple[int, int], touch: bool = False, dark: bool = False) -> None:
    """The page as a device of this size sees it."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if touch else 1, "mobile": touch}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd(
        "Emulation.setTouchEmulationEnabled", {"enabled": touch, "maxTouchPoints": 2 if touch else 1}
    )
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


def problems(driver: webdriver.Chrome) -> list[str]:
    """What the console complained of since the last time: errors, and what the security policy kept out."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def addresses(driver: webdriver.Chrome) -> set[str]:
    """Whatever the browser asked for since the last time."""
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}


def touch_drag(driver: webdriver.Chrome, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
    """A finger goes from one place of the window to another."""

    def dispatch(kind: str, points: list[dict[str, Any]]) -> None:
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for step in range(steps + 1):
        x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
        dispatch("touchStart" if step == 0 else "touchMove", [{"x": x, "y": y}])
    dispatch("touchEnd", [])


def screenshot(driver: webdriver.Chrome, path: Path, whole: bool = True) -> None:
    """A picture of the page, PNG: for people to look at."""
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
    path.write_bytes(base64.b64decode(shot["data"]))


def near(found: list[float], wanted: list[float], by: float = 1.0) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


class Page:
    """The daemon's page in the browser. `failures_expected`: whether requests may fail while it is watched."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url
        self.failures_expected = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Afterwards nothing went wrong in the page, and it asked nobody but its server."""
        for told in (problems, addresses):  # of the page before
            told(self.driver)
        yield
        wrong = [said for said in problems(self.driver) if not (self.failures_expected and "Failed to load" in said)]
        outside = {a for a in addresses(self.driver) if not a.startswith((self.url, "blob:", "data:", "about:"))}
        self.driver.get("about:blank")
        assert not wrong
        assert not outside

    def open(self, path: str = "/", size: tuple[int, int] = DESKTOP, touch: bool = False, dark: bool = False) -> None:
        show_as(self.driver, size, touch, dark)
        self.driver.get(self.url + path)

    def edit(self) -> None:
        """Begins to edit the fields."""
        self.until(lambda: self.id("edit").is_displayed(), "fields can be edited")
        self.id("edit").click()

    def id(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What the elements say; asked for again where the page draws them anew meanwhile."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return [element.text for element in self.all(selector)]
            except StaleElementReferenceException:
                assert time.monotonic() < end, f"in {DEADLINE:g} s {selector} does not stay"

    def text(self, name: str) -> str:
        return self.script("return document.getElementById(arguments[0])?.innerText ?? ''", name)

    def script(self, source: str, *arguments: Any) -> Any:
        return self.driver.execute_script(source, *arguments)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """The condition's value, once it is true."""
        end = time.monotonic() + DEADLINE
        while not (value := condition()):
            assert time.monotonic() < end, f"in {DEADLINE:g} s not: {what}"
            time.sleep(0.05)
        return value

    def place(self, selector: str) -> list[float]:
        """x, y, width, height in the window."""
        return self.script(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.x, r.y, r.width, r.height]",
            selector,
        )

    def on_picture(self, x: float, y: float) -> tuple[float, float]:
        """Where in the window a part of the live picture is."""
        left, top, width, height = self.place("#overlay")
        return left + x * width, top + y * height

    def mouse_drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From one part of the live picture to another."""
        overlay = self.id("overlay")
        _, _, width, height = self.place("#overlay")
        offsets = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in (start, end)]
        drag = ActionChains(self.driver, duration=50).move_to_element_with_offset(overlay, *offsets[0]).click_and_hold()
        drag.move_to_element_with_offset(overlay, *offsets[1]).release().perform()

    def width_beyond(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

"""Debian's Chromium, driven: what a page shows, what went wrong in it, and whom it asked."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"  # Debian's packages chromium and chromium-driver
DESKTOP, PHONE = (1280, 900), (360, 760)  # CSS pixels


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

"""A lamp and a button on a Raspberry Pi's pins, through gpiozero: imported only where a pin is configured."""

import logging
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from edge.daemon.settings import GpioSettings
from edge.errors import EdgeDigitsError, UsageError

BOUNCE_SECONDS = 0.05  # a button's contact rattles for so long
CLOSE_SECONDS = 1.0  # for the button's thread to come back

_log = logging.getLogger("edge_digits.gpio")


class Lamp:
    """Lit while a frame is taken: `with lamp: ...`. Does nothing where there is no pin for it."""

    def __init__(self, settings: GpioSettings) -> None:
        """Raises UsageError where there is a pin for it and it cannot be used."""
        self._before = settings.lamp_seconds
        self._light = _device("LED", "lamp", settings.lamp) if settings.lamp >= 0 else None

    def __enter__(self) -> "Lamp":
        if self._light is not None:
            self._light.on()
            time.sleep(self._before)  # the camera adapts
        return self

    def __exit__(self, *_: object) -> None:
        if self._light is not None:
            self._light.off()

    def close(self) -> None:
        """Puts it out and lets go of its pin."""
        if self._light is not None:
            self._light.close()
            self._light = None


class Button:
    """Calls back when it is pressed, in a thread of its own. Does nothing where there is no pin for it.

    It connects its pin to ground. Presses while the call lasts are not counted.
    """

    def __init__(self, settings: GpioSettings, pressed: Callable[[], object]) -> None:
        """pressed: an EdgeDigitsError that it raises is logged. Raises UsageError as `Lamp` does."""
        self._pressed = pressed
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._button: Any = None
        if settings.button >= 0:
            self._button = _device("Button", "button", settings.button, bounce_time=BOUNCE_SECONDS)
            self._thread = threading.Thread(target=self._serve, name="button", daemon=True)
            self._thread.start()
            self._button.when_pressed = self._wake.set

    def _serve(self) -> None:
        while True:
            self._wake.wait()
            if self._closing:
                return
            try:
                self._pressed()
            except EdgeDigitsError as error:
                _log.warning("button: %s", error)
            self._wake.clear()
            if self._closing:
                return

    def close(self) -> None:
        """Lets go of its pin. A call that lasts is left to its thread after a moment."""
        if self._button is not None:
            self._button.close()
            self._button = None
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)


def _device(kind: str, key: str, pin: int, **options: Any) -> Any:
    try:
        gpiozero = import_module("gpiozero")
    except ImportError:
        raise UsageError(
            f"gpio.{key} is {pin}, and gpiozero is not installed: "
            f"pip install 'edge-digits[gpio]', sudo apt install python3-lgpio; or leave it out"
        ) from None
    try:
        return getattr(gpiozero, kind)(pin, **options)
    except gpiozero.BadPinFactory:
        raise UsageError(
            f"gpio.{key} is {pin}, and gpiozero finds no pins on this machine; on a Raspberry Pi: "
            "sudo apt install python3-lgpio, in an environment that sees the system's packages"
        ) from None
    except (gpiozero.GPIOZeroError, OSError, ValueError) as error:
        raise UsageError(f"gpio.{key} is {pin}: {error}") from None

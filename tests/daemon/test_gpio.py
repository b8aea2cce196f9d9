"""Lamp and button on gpiozero's pins that are none, and the errors where there is no gpiozero or no pin."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from edge.daemon.gpio import Button, Lamp
from edge.daemon.settings import GpioSettings
from edge.errors import EdgeDigitsError, UsageError

PATIENCE = 10.0  # seconds


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


def press(pins: MockFactory, number: int) -> None:
    pins.pin(number).drive_low()
    time.sleep(0.01)
    pins.pin(number).drive_high()


def test_the_lamp_is_lit_for_a_while_before_a_frame_and_out_afterwards(pins: MockFactory) -> None:
    lamp = Lamp(GpioSettings(lamp=17, lamp_seconds=0.1))
    assert not pins.pin(17).state
    start = time.monotonic()
    with lamp:
        assert pins.pin(17).state
        assert time.monotonic() - start >= 0.1
    assert not pins.pin(17).state
    with pytest.raises(EdgeDigitsError), lamp:
        raise EdgeDigitsError
    assert not pins.pin(17).state, "also where taking the frame fails"
    lamp.close()
    Lamp(GpioSettings(lamp=17)).close()  # its pin is free again


def test_the_button_calls_back_in_its_own_thread_and_goes_on_after_a_failure(pins: MockFactory) -> None:
    calls: list[str] = []
    called = threading.Semaphore(0)

    def pressed() -> None:
        calls.append(threading.current_thread().name)
        called.release()
        if len(calls) == 1:
            raise EdgeDigitsError("no reading")

    button = Button(GpioSettings(button=4), pressed)
    deadline = time.monotonic() + PATIENCE
    while len(calls) < 2 and time.monotonic() < deadline:
        press(pins, 4)
        called.acquire(timeout=0.2)
    button.close()
    assert calls[:2] == ["button", "button"]
    assert not any(thread.name == "button" for thread in threading.enumerate())


def test_presses_while_a_reading_is_made_are_not_counted(pins: MockFactory) -> None:
    begun, release, calls = threading.Event(), threading.Event(), []

    def pressed() -> None:
        calls.append(1)
        begun.set()
        release.wait(PATIENCE)

    button = Button(GpioSettings(button=4), pressed)
    deadline = time.monotonic() + PATIENCE
    while not begun.is_set() and time.monotonic() < deadline:
        press(pins, 4)
        begun.wait(0.2)
    for _ in range(3):
        time.sleep(0.06)
        press(pins, 4)
    release.set()
    button.close()
    assert calls == [1]


def test_without_pins_nothing_is_imported_and_nothing_happens() -> None:
    code = """if True:
        import sys
        from edge.daemon.gpio import Button, Lamp
        from edge.daemon.settings import GpioSettings
        lamp, button = Lamp(GpioSettings()), Button(GpioSettings(), print)
        with lamp: pass
        lamp.close(); button.close()
        assert "gpiozero" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_gpiozero_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(UsageError, match=r"^gpio\.lamp is 17, and gpiozero is not installed: pip install .*; or leave"):
        Lamp(GpioSettings(lamp=17))


@pytest.mark.filterwarnings("ignore::gpiozero.PinFactoryFallback")
def test_a_machine_without_pins_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "")
    with pytest.raises(UsageError, match=r"^gpio\.button is 4, and gpiozero finds no pins on this machine"):
        Button(GpioSettings(button=4), print)


def test_a_pin_that_is_taken_or_does_not_exist_is_one_clear_error(pins: MockFactory) -> None:
    lamp = Lamp(GpioSettings(lamp=17))
    for settings, says in ((GpioSettings(button=17), r"^gpio\.button is 17: "), (GpioSettings(button=99), "99")):
        with pytest.raises(UsageError, match=says) as error:
            Button(settings, print)
        assert "\n" not in str(error.value)
    lamp.close()

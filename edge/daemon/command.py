"""`edge-digits daemon`: the service from the command line, as systemd starts it."""

import argparse
import contextlib
import logging
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edge.arguments import ALL_ANSWERED, SOME_FAILED, WRONG_COMMAND_LINE, Parser
from edge.commands import settle_libraries
from edge.errors import EdgeDigitsError
from edge.terminal import complain, show_warnings, write

if TYPE_CHECKING:
    from edge.daemon.service import Service
    from edge.daemon.settings import Settings

TURN_SECONDS = 1.0  # between two looks whether all go round, without a watchdog that wants them more often
M_ARENA_MAX = -8  # mallopt(3)
WATCHDOG_PART = 1 / 4  # of systemd's patience passes between two signs of life

STATUSES = """\
exit status: 0 the daemon was asked to end, 1 it ended by itself, or its database cannot be used right now: the disk is
full, or another daemon has it; 2 it could not start: the command line, the configuration or the model is wrong"""

log = logging.getLogger("edge_digits.daemon")


def add_arguments(parser: Parser) -> None:
    """What `daemon` takes."""
    parser.description = (
        "Reads what a camera or a folder shows, all year, and hands stable readings to a database, MQTT, HTTP, a web "
        "page, a webhook and standard output."
    )
    parser.epilog = STATUSES
    parser.add_argument("--config", metavar="FILE", help="a TOML file; --example writes one that explains every key")
    parser.add_argument("--check", action="store_true", help="only say what is wrong with the configuration")
    parser.add_argument("--example", action="store_true", help="write a configuration that explains every key")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits daemon`."""
    if options.example:
        write(Path(__file__).with_name("example.toml").read_bytes())
        return ALL_ANSWERED
    if options.config is None:
        complain(terminal, "say which configuration: --config FILE; --example writes one to begin with")
        return WRONG_COMMAND_LINE
    if options.check:
        return _run(options, terminal, None)
    # Before anything is loaded: systemd may ask for a reload while Python still imports, and SIGHUP would end it.
    with _Signals() as signals:
        return _run(options, terminal, signals)


def _run(options: argparse.Namespace, terminal: TextIO, signals: "_Signals | None") -> int:
    """With a configuration. signals: None for `--check`, which serves nothing."""
    settle_libraries()
    show_warnings(terminal)
    from edge.daemon.config import ConfigError, load_config

    try:
        settings = load_config(options.config)
        _check_parts(settings)
        if signals is None:
            _check_files(settings)
    except ConfigError as error:
        for mistake in error.mistakes:
            complain(terminal, mistake)
        return WRONG_COMMAND_LINE
    if signals is None:
        write(f"{options.config}: nothing wrong with it\n".encode("utf-8", "backslashreplace"))
        return ALL_ANSWERED
    from edge.daemon.store import StoreError

    try:
        return _serve(settings, terminal, signals)
    except StoreError as error:  # that passes, and systemd tries it again; after WRONG_COMMAND_LINE it does not
        complain(terminal, str(error))
        return SOME_FAILED


def _check_parts(settings: "Settings") -> None:
    """What only the parts themselves know to be wrong. Raises ConfigError."""
    from edge.daemon.config import ConfigError
    from edge.daemon.web.auth import check_http
    from edge.daemon.webhook import check_webhook

    mistakes = [*check_http(settings), *check_webhook(settings)]
    if mistakes:
        raise ConfigError([f"{settings.path}: {mistake}" for mistake in mistakes])


def _check_files(settings: "Settings") -> None:
    """Loads what the daemon loads at its start: the fields' file and the model. Raises ConfigError."""
    from edge.daemon.config import ConfigError, state_folder
    from edge.daemon.service import load_fields, load_reader

    mistakes = []
    for load in (lambda: load_fields(settings, state_folder(settings)), lambda: load_reader(settings)):
        try:
            load()
        except EdgeDigitsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError(mistakes)


def _serve(settings: "Settings", terminal: TextIO, signals: "_Signals") -> int:
    import cv2

    from edge.daemon import logs, systemd
    from edge.daemon.service import Service

    _share_heap()
    logs.start_logging(terminal, settings.log.level)
    cv2.setNumThreads(1)  # one frame at a time: more threads would only take turns
    service = Service(settings)
    try:
        service.start()
        systemd.notify("READY=1", "STATUS=started")
        status = _attend(service, signals)
    finally:
        systemd.notify("STOPPING=1")
        service.stop()
    logging.shutdown()
    if service.is_stuck:
        # A thread is inside of a library that does not come back; Python would wait for it for ever.
        terminal.flush()
        os._exit(status)
    return status


def _share_heap() -> None:
    """Has all threads take memory from one heap, before there are any.

    glibc gives each thread a heap of its own, so that none waits for another; here Python's lock makes them take turns
    anyway, and what each keeps for itself came to 10 MB. Elsewhere it does nothing.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _attend(service: "Service", signals: "_Signals") -> int:
    """Feeds the watchdog while the work goes on, until a signal ends it."""
    from edge.daemon import systemd

    patience = systemd.watchdog_seconds()
    turn = TURN_SECONDS if patience is None else min(TURN_SECONDS, patience * WATCHDOG_PART)
    was_hung = False
    while not signals.ended:
        hung = service.why_hung()
        if hung and not was_hung:  # once: how many seconds it is grows with each line
            log.error("%s", hung)
        was_hung = bool(hung)
        if not hung:
            systemd.notify("WATCHDOG=1")
        if signals.wait(turn):
            _reload(service)
    log.info("asked to end")
    return ALL_ANSWERED if signals.ended else SOME_FAILED


def _reload(service: "Service") -> None:
    from edge.daemon import logs, systemd
    from edge.daemon.config import ConfigError, load_config

    assert service.settings.path is not None
    systemd.reloading()
    try:
        settings = load_config(service.settings.path)
        _check_parts(settings)
        service.reconfigure(settings)
        logs.set_level(settings.log.level)
        log.info("the configuration was loaded again")
    except ConfigError as error:
        for mistake in error.mistakes:
            log.error("%s", mistake)
        log.error("the configuration stays as it was")
    except EdgeDigitsError as error:
        log.error("%s; the configuration stays as it was", error)
    except Exception:
        log.exception("internal error; the configuration stays as it was")
    finally:
        systemd.notify("READY=1")


class _Signals:
    """SIGTERM and SIGINT end the daemon, SIGHUP has it load its configuration again."""

    def __init__(self) -> None:
        self.ended = False
        self._reload = False
        # No threading.Event: its lock may be held by the very code that the signal interrupts.
        self._came = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._before: dict[int, object] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            with contextlib.suppress(ValueError, TypeError):
                signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._came)

    def _note(self, number: int, _: object) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self.ended = True
        os.eventfd_write(self._came, 1)

    def wait(self, seconds: float) -> bool:
        """Until a signal comes; whether the configuration is to be loaded again."""
        poll = select.poll()
        poll.register(self._came, select.POLLIN)
        poll.poll(seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._came)
        reload, self._reload = self._reload, False
        return reload and not self.ended

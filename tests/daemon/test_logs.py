"""Log lines say level and part, stay one line, and do not repeat themselves."""

import io
import logging
import sys
import threading

import pytest

from edge.daemon import logs


@pytest.fixture
def written(monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    stream = io.StringIO()
    yield stream
    logging.getLogger(logs.NAME).handlers = []


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_line_says_time_level_part_and_message(written) -> None:
    logs.start_logging(written, "info")
    logging.getLogger("edge_digits.mqtt").info('connected to "%s"\nat last', "broker")
    (line,) = lines(written)
    time, said = line.split(" ", 1)
    assert time.startswith("time=20") and time.endswith("Z")
    assert said == 'level=info part=mqtt msg="connected to \\"broker\\" at last"'


def test_the_journal_gets_priorities_and_keeps_the_time_itself(written, monkeypatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.start_logging(written, "info")
    logging.getLogger("edge_digits.store").error("the disk is full")
    assert lines(written) == ['<3>level=error part=store msg="the disk is full"']


def test_what_is_below_the_level_is_left_out(written) -> None:
    logs.start_logging(written, "warning")
    log = logging.getLogger("edge_digits.store")
    log.info("not this")
    logs.set_level("info")
    log.info("but this")
    assert len(lines(written)) == 1


def test_a_line_that_repeats_is_written_once_a_minute_and_counted(written, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    logs.start_logging(written, "info")
    log = logging.getLogger("edge_digits.source")
    for _ in range(5):
        log.warning("no answer")
        log.warning("another line %d", now[0])
        now[0] += 1
    now[0] += 60
    log.warning("no answer")
    said = [line.split("msg=")[1] for line in lines(written)]
    assert said.count('"no answer"') == 1
    assert said[-1] == '"no answer (and 4 times since)"'
    assert len(said) == 1 + 5 + 1


def test_an_error_of_our_own_is_still_one_line(written) -> None:
    logs.start_logging(written, "info")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("edge_digits.daemon").exception("internal error")
    (line,) = lines(written)
    assert 'msg="internal error: ValueError: first second (test_logs.py, line ' in line


def test_an_exception_says_what_and_where(written) -> None:
    logs.start_logging(written, "info")
    try:
        logs.set_level("no such level")
    except ValueError:
        logging.getLogger("edge_digits.daemon").exception("internal error")
    (line,) = lines(written)
    assert "internal error: ValueError: Unknown level: 'NO SUCH LEVEL' (logs.py, line " in line


def test_threads_may_log_at_once(written) -> None:
    logs.start_logging(written, "info")
    failures: list[BaseException] = []

    def log(name: int) -> None:
        try:
            for number in range(1500):
                logging.getLogger("edge_digits.reading").info("line %d", (number * 7 + name) % 900)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=log, args=(name,)) for name in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []

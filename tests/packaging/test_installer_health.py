"""What install.sh asks `deploy/health.py`: whether the daemon is well, and where its page is."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def health(*words: object) -> tuple[int, str]:
    command = [sys.executable, "-I", ROOT / "deploy/health.py", *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip()


@contextmanager
def serving(answers: dict[str, bytes]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(answers.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def configured(folder: Path, text: str) -> Path:
    path = folder / "daemon.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "http://127.0.0.1:8347"),
        ('[http]\nlisten = "0.0.0.0"\nport = 80', "http://0.0.0.0:80"),
        ("[http]\nenabled = false", ""),
        ("\ufeff[http]\nport = 81", "http://127.0.0.1:81"),  # the byte order mark of Windows Notepad
    ],
)
def test_where_the_page_is_asks_nobody(text: str, said: str, tmp_path: Path) -> None:
    assert health("--address", configured(tmp_path, text)) == (0, said)


def test_without_a_configuration_there_is_no_address(tmp_path: Path) -> None:
    assert health("--address", tmp_path / "none.toml") == (1, "")
    assert health("--address", configured(tmp_path, "[http")) == (1, "")


def test_a_daemon_that_is_well_is_not_talked_about(tmp_path: Path) -> None:
    with serving({"/healthz": b"ok\n", "/api/health": b'{"status": "ok", "parts": {}}'}) as port:
        assert health(configured(tmp_path, f"[http]\nport = {port}")) == (0, "")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    ill = b'{"status": "failed", "parts": {"disk": {"state": "failed", "reason": "it is full"}}}'
    with serving({"/healthz": b"ok", "/api/health": ill}) as port:
        assert health(configured(tmp_path, f"[http]\nport = {port}")) == (1, "it says: it is full")
    status, said = health(configured(tmp_path, f"[http]\nport = {port}"))
    assert status == 1 and said.startswith("it does not answer")

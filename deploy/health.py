"""Whether the daemon of a configuration is well: asked by install.sh, after it has started a version.

`health.py CONFIG` ends with 0, or says why not and ends with 1; where the configuration has no HTTP there is nobody to
ask. `health.py --address CONFIG` asks nobody: it says `http://HOST:PORT`, and nothing where there is no HTTP.
"""

import json
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE = 5.0  # seconds for an answer
DEFAULT_LISTEN, DEFAULT_PORT = "127.0.0.1", 8347
# Who listens on all addresses is asked on this machine's own.
ASKED = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}


def ask(address: str, token: str = "") -> bytes:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    # A proxy of the environment is not for this machine itself.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
        return answer.read()


def failed(address: str, token: str) -> str:
    """What it says has failed; empty where nothing has, and where it says so to others alone."""
    try:
        health = json.loads(ask(f"{address}/api/health", token))
    except urllib.error.HTTPError:
        return ""
    if health["status"] != "failed":
        return ""
    return "it says: " + "; ".join(part["reason"] for part in health["parts"].values() if part["state"] == "failed")


def http_of(config: str) -> dict[str, Any]:
    """A configuration's [http]."""
    return tomllib.loads(Path(config).read_text()).get("http", {})


def listens(http: dict[str, Any]) -> tuple[str, int] | None:
    """Where a configuration's [http] listens; None where it does not."""
    if not http.get("enabled", True):
        return None
    return http.get("listen", DEFAULT_LISTEN), http.get("port", DEFAULT_PORT)


def say_address(config: str) -> int:
    try:
        place = listens(http_of(config))
    except (OSError, ValueError) as error:
        print(f"{config}: {error}", file=sys.stderr)
        return 1
    if place is not None:
        print(f"http://{place[0]}:{place[1]}")
    return 0


def main(config: str) -> int:
    try:
        http = http_of(config)
        place = listens(http)
        if place is None:
            return 0
        listen, port = place
        asked = ASKED.get(listen, f"[{listen}]" if ":" in listen else listen)
        address = f"http://{asked}:{port}"
        if ask(f"{address}/healthz").strip() != b"ok":
            print(f"{address}/healthz does not say ok")
            return 1
        token = Path(http["token_file"]).read_text().strip() if http.get("token_file") else ""
        failure = failed(address, token)
        if failure:
            print(failure)
            return 1
    except (OSError, ValueError, LookupError) as error:
        print(f"it does not answer: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(say_address(sys.argv[2]) if sys.argv[1] == "--address" else main(sys.argv[1]))

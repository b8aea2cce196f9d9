"""Whether the daemon of a configuration is well: asked by install.sh, after it has started a version.

`health.py CONFIG` ends with 0, or says why not and ends with 1; where the configuration has no HTTP there is nobody to
ask. `health.py --camera CONFIG` does so for the camera alone, which a daemon can be well without. These ask nobody, and
say nothing where there is none: `--address CONFIG`, `http://HOST:PORT`; `--token-file CONFIG` and `--state CONFIG`, a
path that the configuration names.
"""

import http.client
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


def failed(address: str, token: str, part: str = "") -> str:
    """What it says has failed, of all that it cannot be without or of one part; empty where nothing has, and where it
    says so to others alone."""
    try:
        health = json.loads(ask(f"{address}/api/health", token))
    except urllib.error.HTTPError as error:
        if error.code != 503:  # with which it says that it is not well
            return ""
        health = json.loads(error.read())
    if not part and health["status"] != "failed":
        return ""
    parts = health["parts"].items()
    reasons = [found["reason"] for name, found in parts if found["state"] == "failed" and part in ("", name)]
    return ("it says: " if not part else "") + "; ".join(reasons) if reasons or not part else ""


def section(config: str, name: str = "http") -> dict[str, Any]:
    """A section of a configuration."""
    return tomllib.loads(Path(config).read_text("utf-8-sig")).get(name, {})


def listens(http: dict[str, Any]) -> tuple[str, int] | None:
    """Where a configuration's [http] listens; None where it does not."""
    if not http.get("enabled", True):
        return None
    return http.get("listen", DEFAULT_LISTEN), http.get("port", DEFAULT_PORT)


def address_of(config: str) -> str:
    """http://HOST:PORT; empty where there is no HTTP."""
    place = listens(section(config))
    return "" if place is None else f"http://{place[0]}:{place[1]}"


SAID = {
    "--address": address_of,
    "--token-file": lambda config: section(config).get("token_file", ""),
    "--state": lambda config: section(config, "device").get("state", ""),
}


def say(what: str, config: str) -> int:
    try:
        said = SAID[what](config)
    except (OSError, ValueError) as error:
        print(f"{config}: {error}", file=sys.stderr)
        return 1
    if said:
        print(said)
    return 0


def main(config: str, part: str = "") -> int:
    try:
        http_section = section(config)
        place = listens(http_section)
        if place is None:
            return 0
        listen, port = place
        asked = ASKED.get(listen, f"[{listen}]" if ":" in listen else listen)
        address = f"http://{asked}:{port}"
        try:
            answer = ask(f"{address}/healthz").strip()
        except (urllib.error.HTTPError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 503:
                raise
            print(f"somebody else answers at {address} ({error}): is port {port} in use? (http.port in {config})")
            return 1
        if answer != b"ok":
            print(f"{address}/healthz does not say ok")
            return 1
        token = Path(http_section["token_file"]).read_text().strip() if http_section.get("token_file") else ""
        failure = failed(address, token, part)
        if failure:
            print(failure)
            return 1
    except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
        print(f"it does not answer: {error}")
        return 1
    return 0


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    sys.exit(say(first, *rest) if first in SAID else main(*rest, "source") if first == "--camera" else main(first))

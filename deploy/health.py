"""Whether the daemon of a configuration is well: asked by install.sh, after it has started a version.

`health.py CONFIG` says `http://HOST:PORT` and ends with 0, or says why not and ends with 1. Where the configuration
has no HTTP there is nobody to ask: it says nothing, and ends with 0.
"""

import json
import sys
import tomllib
import urllib.request
from pathlib import Path

PATIENCE = 5.0  # seconds for an answer
DEFAULT_LISTEN, DEFAULT_PORT = "127.0.0.1", 8347
# Who listens on all addresses is asked on this machine's own.
ASKED = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}


def ask(address: str, token: str = "") -> bytes:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    # A proxy of the environment is not for this machine itself.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
        return answer.read()


def main(config: str) -> int:
    try:
        http = tomllib.loads(Path(config).read_text()).get("http", {})
        if not http.get("enabled", True):
            return 0
        listen, port = http.get("listen", DEFAULT_LISTEN), http.get("port", DEFAULT_PORT)
        asked = ASKED.get(listen, f"[{listen}]" if ":" in listen else listen)
        address = f"http://{asked}:{port}"
        if ask(f"{address}/healthz").strip() != b"ok":
            print(f"{address}/healthz does not say ok")
            return 1
        token = Path(http["token_file"]).read_text().strip() if http.get("token_file") else ""
        if token or listen.startswith("127.") or http.get("insecure"):
            health = json.loads(ask(f"{address}/api/health", token))
            if health["status"] == "failed":
                parts = [part["reason"] for part in health["parts"].values() if part["state"] == "failed"]
                print(f"it says that it failed: {'; '.join(parts)}")
                return 1
    except (OSError, ValueError, LookupError) as error:
        print(f"it does not answer: {error}")
        return 1
    print(f"http://{listen}:{port}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""A small product in place of the real one: its bundles install in seconds, and it can be as ill as a test wants."""

import zipfile
from pathlib import Path

from deploy import bundle

CLI = """
import http.server, json, os, sqlite3, sys, time, tomllib
VERSION, ILLNESS, TABLES = {version!r}, {illness!r}, {tables!r}

def main():
    words = sys.argv[1:]
    if ILLNESS == "broken":
        sys.exit("it does not run here")
    if "daemon" not in words:
        return print(VERSION)
    config = tomllib.load(open(words[words.index("--config") + 1], "rb"))
    if "--check" in words:
        sys.exit("[new] is not known" if ILLNESS == "strict" else 0)
    database = sqlite3.connect(os.environ["STATE_DIRECTORY"] + "/readings.db")
    database.execute("CREATE TABLE IF NOT EXISTS readings (text)")
    database.execute(f"PRAGMA user_version = {{TABLES}}")
    database.execute("INSERT INTO readings VALUES (?)", (VERSION,))
    database.commit()
    database.close()
    if ILLNESS == "dies":
        sys.exit("it dies")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            said = {{"/healthz": "ok" if ILLNESS != "ill" else "no", "/version": VERSION}}.get(self.path)
            source = dict(state="failed" if ILLNESS == "blind" else "working", reason="no such camera")
            said = said or json.dumps(dict(status="ok", parts=dict(source=source)))
            if ILLNESS == "hangs":
                time.sleep(60)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *words):
            pass

    http.server.ThreadingHTTPServer(("0.0.0.0", config["http"]["port"]), Handler).serve_forever()
"""


def stand_in_wheel(folder: Path, version: str, illness: str = "", tables: int = 1) -> Path:
    """illness: "ill" (its health is bad), "dies", "broken" (does not run at all), "strict" (refuses configurations),
    "blind" (its camera does not work), "hangs" (does not answer)."""
    info = f"edge_digits-{version}.dist-info"
    files = {
        "edge/__init__.py": "",
        "edge/cli.py": CLI.format(version=version, illness=illness, tables=tables),
        "edge/daemon/__init__.py": "",
        "edge/daemon/schema.py": f"VERSION = {tables}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: edge-digits\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedge-digits = edge.cli:main\n",
    }
    path = folder / f"edge_digits-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return path


def stand_in_bundle(
    folder: Path, target: bundle.Target, pip: Path, version: str, illness: str = "", tables: int = 1
) -> Path:
    """The archive of a stand-in. pip: its wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    return bundle.make(target, stand_in_wheel(folder, version, illness, tables), [pip], folder)

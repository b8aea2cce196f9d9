"""A Pi's Debian and the wheels for its processor: installed with no network, they read as x86_64."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from tests.pi.conftest import FULL, full_form
from tests.pi.lab import BOOKWORM, ROOT, TRIXIE, System, bundles
from tests.pi.records import CONFIDENCE, differences, furthest
from tests.pi.report import Report
from tests.pi.userland import Userland, userland

SAMPLES = "/root/samples"
COMMANDS = {
    "classify": f"classify {SAMPLES}",
    "read": f"read {SAMPLES}/pages/numbers.jpg",
    "read, fields": f"read --fields {SAMPLES}/pages/form.toml {SAMPLES}/pages/form.jpg",
}
# What it is not made for: a close picture of one digit as a page, a form without its fields. Reported, not demanded.
BEYOND = {"read, beyond": f"read {SAMPLES}"}
PAGES = 30 if FULL else 0  # of each kind
UNLIKE_DIGITS = 0.01  # part of the digits of many pages by which the two may differ
# The largest process under it; of aarch64 that is qemu-user's memory, too.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""

# Debian 13 for aarch64 takes a fresh machine ten minutes to make.
SHORT = [(BOOKWORM, "cortex-a53")]
TRIED = SHORT if not FULL else [*SHORT, (BOOKWORM, "cortex-a76"), (TRIXIE, "cortex-a53"), (TRIXIE, "cortex-a72"),
                                (TRIXIE, "cortex-a76")]  # fmt: skip


@dataclass
class Installed:
    """A userland with the product in it."""

    land: Userland
    seconds: float

    def records(self, words: str) -> list[dict]:
        said = self.land.run("edge-digits", *words.split(), "--format", "jsonl", "--jobs", "1")
        return [json.loads(line) for line in said.splitlines()]

    def peak_mb(self, *words: str) -> float:
        return int(self.land.run("python3", "-c", PEAK, *words).split()[-1]) / 1024

    def megabytes(self, folder: str = "") -> float:
        version = "/opt/edge-digits/current/"
        return int(self.land.run("du", "-sk", f"{version}{folder}").split()[0]) / 1024

    def packages(self) -> list[str]:
        return self.land.run("sh", "-c", "cd /opt/edge-digits/current/; ls -d lib/python*/site-packages/*").split()


def install(land: Userland, archive: Path) -> Installed:
    """By the two commands that a person types."""
    began = time.monotonic()
    shutil.copyfile(archive, land.root / "root" / archive.name)
    shutil.copytree(ROOT / "samples", land.root / "root/samples")
    land.run("tar", "-xzf", f"/root/{archive.name}", "-C", "/root")
    land.run(f"/root/{archive.name.removesuffix('.tar.gz')}/install.sh", "--camera", "synthetic")
    return Installed(land, time.monotonic() - began)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Synthetic pages with what stands on them, {path: lines}, by the same seeds as `make evaluate`."""
    if not PAGES:
        return {}
    import cv2

    from train.scenes import scene

    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for kind in ("normal", "hard"):
        for number in range(PAGES):
            page = scene(number, kind)
            path = folder / f"{kind}-{number}.png"
            cv2.imwrite(str(path), page.frame)
            found[str(path)] = "\n".join(page.lines)
    return found


def read_pages(installed: Installed, pages: dict[str, str]) -> dict[str, str]:
    """{path: text} of the pages, read in the userland."""
    inside = installed.land.root / "root/pages"
    inside.mkdir()
    for path in pages:
        shutil.copy(path, inside)
    texts = {Path(record["path"]).name: record["text"] for record in installed.records("read /root/pages")}
    return {path: texts[Path(path).name] for path in pages}


def right(text: str, truth: str) -> int:
    """How many digits of the truth are in the text, in their order."""
    return sum(block.size for block in SequenceMatcher(None, text, truth, autojunk=False).get_matching_blocks())


@dataclass
class Expected:
    """What x86_64 says in the same Debian, by the same lock."""

    records: dict[str, list[dict]]
    pages: dict[str, str]


@pytest.fixture(scope="module")
def expected(pages: dict[str, str]) -> dict[str, Expected]:
    """By system."""
    found = {}
    for system in dict.fromkeys(system for system, _ in TRIED):
        name = f"{system.name}-x86_64"
        with userland(system, "x86_64") as land:
            installed = install(land, bundles([name])[name])
            records = {what: installed.records(words) for what, words in (COMMANDS | BEYOND).items()}
            found[system.name] = Expected(records, read_pages(installed, pages) if pages else {})
    return found


@pytest.fixture(scope="module", params=TRIED, ids=lambda tried: f"{tried[0].name}-{tried[1]}")
def pi(request: pytest.FixtureRequest) -> Iterator[tuple[System, str, Installed]]:
    system, core = request.param
    name = f"{system.name}-aarch64"
    archive = bundles([name])[name]
    with userland(system, "aarch64", core) as land:
        yield system, core, install(land, archive)


def test_the_records_are_those_of_x86_64(pi, expected, report: Report) -> None:
    system, core, installed = pi
    info = json.loads(installed.land.run("edge-digits", "info"))
    assert (info["machine"], info["runtime"]["name"]) == ("aarch64", system.runtime)
    assert info["problems"] == []
    wrong = []
    for what, words in (COMMANDS | BEYOND).items():
        here, there = (_meant(found) for found in (installed.records(words), expected[system.name].records[what]))
        assert len(here) == len(there)
        pairs = list(zip(there, here, strict=True))
        unlike = {Path(one["path"]).name: differences(one, other) for one, other in pairs}
        unlike = {name: found for name, found in unlike.items() if found}
        same = [furthest(*pair) for pair in pairs if Path(pair[0]["path"]).name not in unlike]
        report.add(
            "Records, aarch64 userland against x86_64",
            **{
                "system": system.name,
                "core": core,
                "runtime": f"{info['runtime']['package']} {info['runtime']['version']}",
                "command": what,
                "records": len(here),
                "the same to the last figure": sum(one == other for one, other in pairs),
                f"within {CONFIDENCE} and a pixel": len(here) - len(unlike),
                "furthest of those": f"{max(same, default=0):.4f}",
                "others": ", ".join(unlike),
            },
        )
        if what in COMMANDS:
            wrong += [f"{what}: {name}: {'; '.join(found[:4])}" for name, found in unlike.items()]
    assert not wrong


def _meant(records: list[dict]) -> list[dict]:
    """Of a form its fields: what is printed around them is read, too, and means nothing."""
    return [{"path": each["path"], "fields": each["fields"]} if each.get("fields") else each for each in records]


@full_form
def test_pages_are_read_as_well_as_on_x86_64(pi, expected, pages: dict[str, str], report: Report) -> None:
    system, core, installed = pi
    here, there = read_pages(installed, pages), expected[system.name].pages
    for kind in ("normal", "hard"):
        chosen = [path for path in pages if Path(path).name.startswith(kind)]
        digits = sum(len(pages[path].replace("\n", "")) for path in chosen)
        found = [
            sum(right(texts[path].replace("\n", ""), pages[path].replace("\n", "")) for path in chosen)
            for texts in (there, here)
        ]
        report.add(
            "Pages, aarch64 userland against x86_64",
            system=system.name,
            core=core,
            pages=f"{len(chosen)} {kind}",
            digits=digits,
            **{
                "the same text": sum(here[path] == there[path] for path in chosen),
                "digits right on x86_64": found[0],
                "on aarch64": found[1],
            },
        )
        assert abs(found[0] - found[1]) <= UNLIKE_DIGITS * digits


def test_the_answers_are_right(pi) -> None:
    _, _, installed = pi
    rows = (ROOT / "samples/answers.csv").read_text().splitlines()[1:]
    answers = {file: label or None for file, label, *_ in (row.split(",", 2) for row in rows)}
    said = {Path(record["path"]).name: record["label"] for record in installed.records(COMMANDS["classify"])}
    assert {file: said[file] for file in answers} == answers


def test_what_it_costs_is_known(pi, report: Report) -> None:
    system, core, installed = pi
    picture = f"{SAMPLES}/pages/numbers.jpg"
    read, nothing = (
        installed.peak_mb("edge-digits", "read", "--jobs", "1", picture),
        installed.peak_mb("python3", "-c", ""),
    )
    packages = {name: installed.megabytes(name) for name in installed.packages()}
    largest = sorted(packages, key=packages.__getitem__, reverse=True)[:5]
    report.add(
        "What it takes, aarch64 userland",
        **{
            "system": system.name,
            "core": core,
            "install (s, emulated)": f"{installed.seconds:.0f}",
            "installed (MB)": f"{installed.megabytes():.0f}",
            "of that": ", ".join(f"{Path(name).name} {packages[name]:.0f}" for name in largest),
            "peak resident of `read` (MB, with qemu's own)": f"{read:.0f}",
            "of a bare python3": f"{nothing:.0f}",
        },
    )

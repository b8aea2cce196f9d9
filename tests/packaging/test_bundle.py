"""`make bundle`: what is in an archive, that its bytes are always the same, and what its programs decide."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from deploy import bundle, first_config
from edge.daemon.config import settings_of

ROOT = Path(__file__).parents[2]
LARGEST = {"debian12-aarch64": 52_000_000, "debian13-aarch64": 74_000_000, "debian12-x86_64": 80_000_000}  # bytes
RUNTIMES = {"debian12": "tflite_runtime", "debian13": "ai_edge_litert"}


@pytest.fixture(scope="module")
def out(registry, run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    said = run(sys.executable, ROOT / "deploy/bundle.py", *LARGEST, "--out", folder).stdout
    assert said.count(" MB, installed about ") == len(LARGEST)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("target", LARGEST)
def test_archive_holds_wheels_of_its_target_and_what_installs_them(out, target, tmp_path, run):
    (path,) = out.glob(f"*-{target}.tar.gz")
    assert path.stat().st_size < LARGEST[target]
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    assert folder.name == path.name.removesuffix(".tar.gz")
    assert {each.name for each in folder.iterdir()} == {
        "install.sh", "health.py", "first_config.py", "database.py", "edge-digits.service", "daemon.toml", "LICENSE",
        "MANIFEST", "VERSION", "requirements.txt", "wheels", "pip",
    }  # fmt: skip
    run("sha256sum", "--strict", "--quiet", "--check", "MANIFEST", cwd=folder)
    listed = {line.split("  ")[1] for line in (folder / "MANIFEST").read_text().splitlines()}
    assert listed == {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()} - {"MANIFEST"}

    system, machine = target.rsplit("-", 1)
    wheels = [wheel.name for wheel in (folder / "wheels").iterdir()]
    tag = f"cp{bundle.TARGETS[target].python.replace('.', '')}"
    assert any(name.startswith("edge_digits-") for name in wheels)
    assert any(name.startswith(RUNTIMES[system]) for name in wheels)
    for name in wheels:
        assert name.endswith("-none-any.whl") or machine in name, name
        assert name.endswith("-none-any.whl") or f"-{tag}-" in name or "abi3" in name, name
    # All of the lock but pip, at the same versions, and each file's own hash.
    locked = {name: version for name, (version, _) in bundle.locked(bundle.TARGETS[target].lock).items()}
    locked.pop("pip")
    pinned = {name: version for name, (version, _) in bundle.locked(folder / "requirements.txt").items()}
    assert pinned.pop("edge-digits")
    assert pinned == locked


@pytest.mark.slow
def test_the_sums_beside_the_archives_are_theirs(out, run):
    run("sha256sum", "--strict", "--quiet", "--check", "SHA256SUMS", cwd=out)
    assert len((out / "SHA256SUMS").read_text().splitlines()) == len(LARGEST)


@pytest.mark.slow
def test_the_guide_says_the_sizes_of_the_archives(out):
    text = (ROOT / "docs/raspberry-pi.md").read_text()
    for target in bundle.DEVICES:
        (path,) = out.glob(f"*-{target.name}.tar.gz")
        (row,) = re.findall(rf"^\| `{target.name}` .*\| (\d+) MB \| (\d+) MB \|$", text, re.MULTILINE)
        assert abs(int(row[0]) - path.stat().st_size / 1e6) < 1
        assert f"{row[0]} MB for" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("column", "target"), list(enumerate(bundle.DEVICES, start=1)))
def test_the_guide_says_what_each_package_of_a_bundle_costs(column, target):
    text = (ROOT / "docs/raspberry-pi.md").read_text().split("### What each package costs")[1].split("\n##")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")][1:]
    sizes = {row[0]: float(row[column]) for row in rows if row[column].replace(".", "").isdigit()}
    in_all = sizes.pop("in all")
    assert sizes.keys() == bundle.locked(target.lock).keys() - {"pip"} | {"edge-digits"}
    assert in_all == pytest.approx(sum(sizes.values()), abs=0.1 * len(sizes) / 2)
    assert f"| {in_all:.0f} MB |" in (ROOT / "docs/raspberry-pi.md").read_text()


@pytest.mark.slow
def test_built_twice_it_is_the_same_bytes(out, run, tmp_path):
    old = os.umask(0o077)
    try:
        run(sys.executable, ROOT / "deploy/bundle.py", "debian12-aarch64", "--out", tmp_path, TZ="Asia/Tokyo")
    finally:
        os.umask(old)
    (again,) = tmp_path.glob("*.tar.gz")
    assert again.read_bytes() == (out / again.name).read_bytes()


@pytest.mark.slow
def test_members_belong_to_root_and_say_nothing_of_who_made_them(out):
    for path in out.glob("*.tar.gz"):
        with tarfile.open(path) as archive:
            members = archive.getmembers()
        assert [member.name for member in members][1:] == sorted(member.name for member in members[1:])
        for member in members:
            runs = member.isdir() or member.name.endswith("install.sh")
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
            assert (member.mtime, member.mode) == (bundle.MTIME, 0o755 if runs else 0o644), member.name


def test_the_sums_of_archives_that_were_there_stay(run, tmp_path):
    old = tmp_path / "edge-digits-0.0.1-debian13-aarch64.tar.gz"
    old.write_bytes(b"of an earlier run")
    run(sys.executable, ROOT / "deploy/bundle.py", "debian12-aarch64", "--out", tmp_path)
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=tmp_path)
    assert len((tmp_path / "SHA256SUMS").read_text().splitlines()) == 2


def test_wheel_that_is_not_the_locks_is_not_taken(tmp_path):
    (tmp_path / "waitress-3.0.2-py3-none-any.whl").write_bytes(b"another")
    wanted = {"waitress": ("3.0.2", frozenset({"0" * 64}))}
    assert bundle._held(wanted, tmp_path) == []


@pytest.mark.parametrize(("words", "part"), [(["debian11-aarch64"], "no target"), (["--folder", "x"], "one target")])
def test_wrong_words_are_said(run, words, part):
    refused = run(sys.executable, ROOT / "deploy/bundle.py", *words, works=False)
    assert refused.returncode == 2
    assert part in refused.stderr


def test_there_is_no_bundle_for_32_bits():
    assert not any("armv7" in name for name in bundle.TARGETS)


# The first configuration


def test_first_configuration_is_the_example_with_a_camera_and_a_page_for_the_network():
    example = (ROOT / "edge/daemon/example.toml").read_text()
    values = {
        ("source", "kind"): "camera",
        ("source", "location"): "/dev/video2",
        ("http", "listen"): "0.0.0.0",
        ("http", "token_file"): "/dev/null",
    }
    text = first_config.fill_in(example, values)
    changed = [pair for pair in zip(example.splitlines(), text.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) == len(values)
    assert all("#" in new for old, new in changed if "#" in old)
    settings = settings_of(tomllib.loads(text.replace("/dev/null", str(ROOT / "LICENSE"))))
    assert (settings.source.kind, settings.source.location) == ("camera", "/dev/video2")
    assert settings.http.listen == "0.0.0.0"


def test_example_without_a_key_is_not_filled_in():
    with pytest.raises(SystemExit, match="kind"):
        first_config.fill_in("[source]\n", {("source", "kind"): "camera"})


@pytest.mark.parametrize(
    ("driver", "flags", "of_device", "name"),
    [
        ("uvcvideo", 0x84A00001, 0x04200001, "A camera"),
        ("uvcvideo", 0x84A00001, 0x04A00000, None),  # the same camera's metadata
        ("bcm2835-isp", 0x85200003, 0x04200001, None),
        ("unicam", 0x85A00001, 0x04200001, None),
        ("vivid", 0x00000001, 0, "A camera"),
    ],
)
def test_only_cameras_are_cameras(driver, flags, of_device, name):
    answer = first_config.CAPABILITY.pack(driver.encode(), b"A camera", b"", 0, flags, of_device)
    assert first_config.camera_name(answer) == name


@pytest.mark.parametrize(
    ("asked", "kind", "location"),
    [("synthetic", "synthetic", ""), ("/dev/video7", "camera", "/dev/video7"), ("picamera2", "picamera2", "")],
)
def test_camera_that_is_named_is_taken(asked, kind, location, monkeypatch):
    monkeypatch.setattr(first_config, "picamera", lambda: None)
    assert first_config.choose(asked)[:2] == (kind, location)


@pytest.mark.parametrize(
    ("module", "device", "kind", "location"),
    [
        (("0", "imx708"), ("/dev/video0", "USB"), "picamera2", ""),
        (("1", "imx708"), None, "picamera2", "1"),
        (None, ("/dev/video0", "USB"), "camera", "/dev/video0"),
        (None, None, "synthetic", ""),
    ],
)
def test_camera_module_comes_before_usb_and_both_before_none(module, device, kind, location, monkeypatch):
    monkeypatch.setattr(first_config, "picamera", lambda: module)
    monkeypatch.setattr(first_config, "v4l2", lambda: device)
    assert first_config.choose("auto")[:2] == (kind, location)


def test_scripts_are_plain_shell():
    scripts = [ROOT / "deploy/install.sh", ROOT / "deploy/deploy.sh"]
    checked = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_guide_names_archives_that_there_are():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / "docs/raspberry-pi.md").read_text()
    named = set(re.findall(r"edge-digits-([\d.]+)-([a-z0-9]+-[a-z0-9_]+)(?:\.tar\.gz|/install\.sh)", text))
    assert named
    assert named <= {(version, target.name) for target in bundle.DEVICES}


@pytest.mark.parametrize(("kind", "location"), [("synthetic", ""), ("camera", "/dev/video0")])
def test_the_guides_way_to_another_camera_changes_the_first_configuration(kind, location, run, tmp_path):
    config = tmp_path / "daemon.toml"
    first = (ROOT / "edge/daemon/example.toml").read_text()
    first = re.sub(r'^kind = "\w+"', f'kind = "{kind}"', first, count=1, flags=re.MULTILINE)
    config.write_text(re.sub(r'^location = ""', f'location = "{location}"', first, count=1, flags=re.MULTILINE))
    (script,) = re.findall(
        r"sudo sed -i '(.*)' /etc/edge-digits/daemon.toml", (ROOT / "docs/raspberry-pi.md").read_text()
    )
    run("sed", "-i", script, config)
    source = tomllib.loads(config.read_text())["source"]
    assert (source["kind"], source["location"]) == ("picamera2", "")

"""`install.sh`, run for real on a machine of its own: to install, upgrade, go back, be interrupted, and go away."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deploy import bundle
from tests.packaging.machine import machine
from tests.packaging.stand_in import stand_in_bundle

ROOT = Path(__file__).parents[2]
KILLS = 16
BASE, CONFIG, STATE = "/opt/edge-digits", "/etc/edge-digits/daemon.toml", "/var/lib/edge-digits"
QUICK = {"EDGE_DIGITS_STEADY_SECONDS": "0", "EDGE_DIGITS_HEALTH_SECONDS": "4"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def make_bundle(target, real_bundle, tmp_path_factory):
    """Makes the archive of a stand-in: `make_bundle(version, illness, tables)`."""
    folder = tmp_path_factory.mktemp("stand-ins")
    (pip,) = [wheel for wheel in (bundle.CACHE / target.name).glob("pip-*.whl") if "pip-" in wheel.name]

    def made(version: str, illness: str = "", tables: int = 1) -> Path:
        return stand_in_bundle(folder / f"{version}{illness}", target, pip, version, illness, tables)

    return made


def get(inside, path: str, **headers: str) -> str:
    """What the page answers; empty where nobody does."""
    words = [f"--header={name.replace('_', '-')}: {value}" for name, value in headers.items()]
    script = "import sys, urllib.request as u; r = u.Request(sys.argv[1]); "
    script += (
        "[r.add_header(*w[9:].split(': ', 1)) for w in sys.argv[2:]]; print(u.urlopen(r, timeout=9).read().decode())"
    )
    asked = ("/usr/bin/python3", "-c", script, f"http://127.0.0.1:8347{path}", *words)
    return inside.run(*asked, works=False).stdout.strip()


def install(inside, archive: Path, *words: str, works: bool = True):
    folder = inside.unpack(archive)
    return inside.run(f"{folder}/install.sh", *words, works=works, **QUICK)


def current(inside) -> str:
    return inside.shell(f"readlink {BASE}/current", works=False).strip().removeprefix(f"{BASE}/versions/")


def versions(inside) -> set[str]:
    return set(inside.shell(f"ls {BASE}/versions").split())


def interrupt_after_the_switch(inside, archive: Path) -> str:
    """Kills an upgrade once the new version is the current one; returns the folder of its bundle."""
    folder = inside.unpack(archive)
    before = current(inside)
    running = subprocess.Popen(inside.words(f"{folder}/install.sh", **QUICK), start_new_session=True)
    end = time.monotonic() + 60
    while current(inside) == before:
        assert time.monotonic() < end
        time.sleep(0.05)
    # The new one runs as well then: systemd does not end with who asks it.
    while inside.shell("tail -n 1 /run/service/calls").split("/")[-1].strip() != current(inside):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(10)
    return folder


def asked(inside, query: str, name: str = "readings.db") -> list[list[object]]:
    """Rows of the database."""
    script = (
        "import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
    )
    return json.loads(inside.run("/usr/bin/python3", "-c", script, f"{STATE}/{name}", query).stdout)


# The real thing


def test_real_bundle_becomes_a_service_with_a_page_and_goes_without_a_trace(fresh, real_bundle):
    fresh.with_service()
    before = fresh.shell("getent passwd; getent group")
    said = install(fresh, real_bundle, "--yes").stdout
    host = fresh.shell("uname -n").strip()
    assert f"The page: http://{host}.local:8347/" in said
    assert f"http://{host}.local:8347/login?once=" in said

    # The token is the user's alone, the page wants it, and the service reads.
    token = fresh.shell("cat /etc/edge-digits/token").strip()
    assert token in said
    assert fresh.shell("stat -c '%a %U' /etc/edge-digits/token").strip() == "600 edge-digits"
    assert fresh.shell(f"stat -c '%a %U %G' {CONFIG} {STATE}").split("\n")[:2] == [
        "640 root edge-digits", "700 edge-digits edge-digits",
    ]  # fmt: skip
    assert get(fresh, "/api/latest") == ""
    end = time.monotonic() + 60
    while '"text"' not in (answer := get(fresh, "/api/latest", Authorization=f"Bearer {token}")):
        assert time.monotonic() < end, answer
        time.sleep(0.5)
    assert "video" in fresh.shell("id -nG edge-digits").split()

    # The command is everybody's.
    picture = ROOT / "samples/7-ruled.jpg"
    fresh.path("/root/7.jpg").write_bytes(picture.read_bytes())
    assert '"label": "7"' in fresh.shell("edge-digits classify --format jsonl /root/7.jpg")

    # Again: nothing is restarted, nothing changes.
    state = f"find {BASE} /etc/edge-digits -exec stat -c '%n %Y %i' {{}} +; cat /run/service/calls /run/service/pid"
    once = fresh.shell(state)
    again = install(fresh, real_bundle, "--yes").stdout
    assert "is already here" in again
    assert token not in again
    assert fresh.shell(state) == once

    fresh.run(f"{BASE}/current/install.sh", "uninstall")
    assert fresh.exists(f"{STATE}/readings.db") and fresh.exists(CONFIG)
    assert not fresh.exists(BASE)
    assert fresh.shell(f"stat -c %U {STATE}/readings.db").strip() == "root"
    assert get(fresh, "/healthz") == ""

    folder = fresh.unpack(real_bundle)
    fresh.run(f"{folder}/install.sh", "uninstall", "--purge")
    fresh.shell("rm -r /root/edge-digits-*")
    assert [path for path in fresh.written() if "edge-digits" in path] == []
    assert fresh.shell("getent passwd; getent group") == before


def test_without_systemd_all_is_there_and_nothing_is_said_to_run(fresh, make_bundle):
    said = install(fresh, make_bundle("1.0")).stdout
    assert "nothing was started" in said
    assert fresh.exists("/etc/systemd/system/edge-digits.service")
    assert fresh.exists("/etc/systemd/system/multi-user.target.wants/edge-digits.service")
    assert fresh.shell("edge-digits --version").strip() == "1.0"


def test_checkout_installs_with_the_registry(target, registry, tmp_path):
    with machine(tmp_path, network=True) as inside:
        pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP", "http"))}
        done = inside.run(f"{ROOT}/deploy/install.sh", "--camera", "synthetic", **pip)
        assert "nothing was started" in done.stdout
        assert '"tflite"' in inside.shell("edge-digits info") or target.system != "debian12"
        assert [path for path in inside.written() if path.startswith("/var/tmp/edge-digits.")] == []


def test_command_of_somebody_else_stays(fresh, make_bundle):
    fresh.path("/usr/local/bin/edge-digits").write_text("mine")
    done = install(fresh, make_bundle("1.0"))
    assert "somebody else's" in done.stderr
    assert fresh.shell("cat /usr/local/bin/edge-digits") == "mine"
    fresh.run(f"{BASE}/current/install.sh", "uninstall", "--purge")
    assert fresh.shell("cat /usr/local/bin/edge-digits") == "mine"


# What is missing


def test_all_that_is_missing_is_said_at_once_and_nothing_is_done(fresh, make_bundle):
    folder = fresh.unpack(make_bundle("1.0"), "/opt")
    fresh.shell("rm /etc/os-release; printf 'ID=ubuntu\\nID_LIKE=debian\\nVERSION_ID=\"24.04\"\\n"
                "PRETTY_NAME=\"Ubuntu 24.04\"\\n' >/etc/os-release")  # fmt: skip
    fresh.path("/usr/local/sbin/dpkg").write_text("#!/bin/sh\necho armhf\n")
    fresh.path("/usr/local/sbin/df").write_text("#!/bin/sh\necho head\necho x 1 1 1000 1 /\n")
    fresh.shell("chmod +x /usr/local/sbin/*")
    refused = fresh.run("runuser", "-u", "nobody", "--", f"{folder}/install.sh", works=False)
    assert refused.returncode == 2
    for part in ("needs root: sudo", "32-bit", "Ubuntu 24.04", "MB free", "this bundle is for"):
        assert part in refused.stderr
    assert refused.stdout == ""
    assert not fresh.exists(BASE)


def test_check_needs_no_root_and_changes_nothing(fresh, make_bundle):
    folder = fresh.unpack(make_bundle("1.0"), "/opt")
    said = fresh.run("runuser", "-u", "nobody", "--", f"{folder}/install.sh", "check")
    assert said.stdout == "Nothing is missing.\n"
    assert not fresh.exists(BASE)


def test_damaged_bundle_changes_nothing(fresh, make_bundle):
    folder = fresh.unpack(make_bundle("1.0"))
    with open(fresh.path(f"{folder}/daemon.toml"), "a") as file:
        file.write("#")
    refused = fresh.run(f"{folder}/install.sh", works=False)
    assert refused.returncode == 1
    assert "damaged" in refused.stderr
    assert not fresh.exists(BASE)


@pytest.mark.parametrize("words", [["--camera"], ["--camera", "x"], ["--purge"], ["remove"], ["check", "uninstall"]])
def test_wrong_words_are_said(fresh, make_bundle, words):
    refused = fresh.run(f"{fresh.unpack(make_bundle('1.0'))}/install.sh", *words, works=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1


# The camera


def test_picamera2_comes_from_apt_where_it_can_be_had(fresh, make_bundle, tmp_path):
    # A package in a repository of this machine's own, as Raspberry Pi OS has it in its.
    module = tmp_path / "deb/usr/lib/python3/dist-packages/picamera2.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "class Picamera2:\n    def global_camera_info():\n        return [{'Id': '/usb/x', 'Model': 'web'}, "
        "{'Id': '/base/i2c/imx708@1a', 'Model': 'imx708'}]\n"
    )
    control = "Package: python3-picamera2\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: a camera\n"
    (tmp_path / "deb/DEBIAN").mkdir()
    (tmp_path / "deb/DEBIAN/control").write_text(control)
    deb = fresh.path("/root/python3-picamera2_1_all.deb")
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tmp_path / "deb", deb], check=True, capture_output=True
    )
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    index = f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
    fresh.path("/root/Packages").write_text(index)
    fresh.shell("rm -rf /etc/apt/sources.list* /etc/apt/mirrors; chmod 755 /root; touch /etc/rpi-issue")
    fresh.path("/etc/apt/sources.list").write_text("deb [trusted=yes] file:/root ./\n")
    said = install(fresh, make_bundle("1.0"), "--yes").stdout
    assert "the camera module 1 (imx708), by picamera2" in said
    config = fresh.shell(f"cat {CONFIG}")
    assert 'kind = "picamera2"' in config
    assert 'location = "1"' in config


def test_without_internet_a_pi_is_told_what_it_goes_without(fresh, make_bundle):
    fresh.shell("touch /etc/rpi-issue")
    done = install(fresh, make_bundle("1.0"), "--yes")
    assert "python3-picamera2 could not be installed" in done.stderr
    assert "no camera was found: the built-in demonstration" in done.stdout


# Upgrades


def test_upgrade_keeps_configuration_and_readings_and_can_be_taken_back(fresh, make_bundle):
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    first = current(fresh)
    fresh.shell(f"echo '# mine' >>{CONFIG}")
    kept = fresh.shell(f"cat {CONFIG} /etc/edge-digits/token")
    install(fresh, make_bundle("2.0"))
    assert get(fresh, "/version") == "2.0"
    install(fresh, make_bundle("3.0"))
    assert get(fresh, "/version") == "3.0"
    assert fresh.shell(f"cat {CONFIG} /etc/edge-digits/token") == kept
    assert len(versions(fresh)) == 2 and first not in versions(fresh)
    assert asked(fresh, "SELECT text FROM readings") == [["1.0"], ["2.0"], ["3.0"]]
    fresh.run(f"{BASE}/current/install.sh", "rollback", **QUICK)
    assert get(fresh, "/version") == "2.0"
    again = fresh.run(f"{BASE}/current/install.sh", "rollback", works=False)
    assert (again.returncode, "no version before" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("illness", "part"),
    [
        ("ill", "does not say ok"),
        ("dies", "ended at once"),
        ("broken", "does not run here"),
        ("strict", "[new] is not known"),
    ],
)
def test_upgrade_that_is_not_well_leaves_the_version_before(fresh, make_bundle, illness, part):
    fresh.with_service()
    install(fresh, make_bundle("1.0", tables=1))
    before = current(fresh)
    # It changes the tables, too, which the version before cannot read then.
    failed = install(fresh, make_bundle("2.0", illness, tables=2), works=False)
    assert failed.returncode == 1
    assert part in failed.stderr
    assert current(fresh) == before
    assert get(fresh, "/version") == "1.0"
    assert asked(fresh, "PRAGMA user_version") == [[1]]
    assert asked(fresh, "SELECT text FROM readings")[0] == ["1.0"]
    assert fresh.exists(f"{STATE}/readings.db.newer") == (illness in ("ill", "dies"))
    assert not fresh.exists(f"{STATE}/readings.db.before")
    # And the next one finds nothing in its way.
    install(fresh, make_bundle("3.0", tables=2))
    assert get(fresh, "/version") == "3.0"
    assert not fresh.exists(f"{STATE}/readings.db.before")
    refused = fresh.run(f"{BASE}/current/install.sh", "rollback", works=False)
    assert "cannot read" in refused.stderr
    assert get(fresh, "/version") == "3.0"


def test_a_version_that_loses_the_camera_gives_way(fresh, make_bundle):
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    failed = install(fresh, make_bundle("2.0", "blind"), works=False)
    assert failed.returncode == 1
    assert "no such camera" in failed.stderr
    assert get(fresh, "/version") == "1.0"


def test_a_first_version_without_a_camera_stays_and_says_so(fresh, make_bundle):
    fresh.with_service()
    done = install(fresh, make_bundle("1.0", "blind"))
    assert "the camera does not work: no such camera" in done.stderr
    # It did not work before either.
    install(fresh, make_bundle("2.0", "blind"))
    assert get(fresh, "/version") == "2.0"


def test_a_version_that_does_not_answer_gives_way_in_time(fresh, make_bundle):
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    folder = fresh.unpack(make_bundle("2.0", "hangs"))
    began = time.monotonic()
    failed = fresh.run(f"{folder}/install.sh", works=False, **QUICK)
    assert failed.returncode == 1
    assert get(fresh, "/version") == "1.0"
    assert time.monotonic() - began < 60


def test_readings_of_two_bad_upgrades_are_both_there(fresh, make_bundle):
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    for version in ("2.0", "2.1"):
        assert install(fresh, make_bundle(version, "ill", tables=2), works=False).returncode == 1
    assert asked(fresh, "SELECT text FROM readings")[0] == ["1.0"]
    for name, version in (("newer", "2.0"), ("newer-2", "2.1")):
        assert [version] in asked(fresh, "SELECT text FROM readings", f"readings.db.{name}")


def test_two_bad_upgrades_the_first_interrupted_give_the_readings_back(fresh, make_bundle):
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    interrupt_after_the_switch(fresh, make_bundle("2.0", "ill", tables=2))
    assert install(fresh, make_bundle("3.0", "ill", tables=3), works=False).returncode == 1
    assert get(fresh, "/version") == "1.0"
    assert asked(fresh, "PRAGMA user_version") == [[1]]
    assert {(text,) for (text,) in asked(fresh, "SELECT text FROM readings")} == {("1.0",)}


def test_without_room_for_a_copy_of_the_readings_the_version_before_goes_on(fresh, make_bundle):
    fresh.shell(f"mkdir -p {STATE}; mount -t tmpfs -o size=12m tmpfs {STATE}")
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    large = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('CREATE TABLE x (y)'); "
    large += "d.execute('INSERT INTO x VALUES (zeroblob(7000000))'); d.commit()"
    fresh.run("/usr/bin/python3", "-c", large, f"{STATE}/readings.db")
    pointers = f"readlink {BASE}/current {BASE}/previous; ls {BASE}"
    before = fresh.shell(pointers, works=False)
    failed = install(fresh, make_bundle("2.0", tables=2), works=False)
    assert "MB are needed for a copy of the readings" in failed.stderr and "nothing was changed" in failed.stderr
    assert fresh.shell(pointers, works=False) == before
    # Systemd's start would have waited until it answers; its stand-in does not.
    until = time.monotonic() + 20
    while get(fresh, "/version") == "" and time.monotonic() < until:
        time.sleep(0.1)
    assert get(fresh, "/version") == "1.0"
    assert fresh.shell(f"ls {STATE}").split() == ["readings.db"]


def test_a_version_that_cannot_be_built_takes_nothing_away(fresh, make_bundle):
    fresh.with_service()
    for version in ("1.0", "2.0"):
        install(fresh, make_bundle(version))
    assert install(fresh, make_bundle("3.0", "broken"), works=False).returncode == 1
    fresh.run(f"{BASE}/current/install.sh", "rollback", **QUICK)
    assert get(fresh, "/version") == "1.0"


# Whose it is


def test_a_user_of_that_name_that_was_there_stays(fresh, make_bundle):
    fresh.shell("useradd --create-home edge-digits")
    before = fresh.shell("getent passwd edge-digits")
    folder = fresh.unpack(make_bundle("1.0"))
    for words in ([], ["uninstall", "--purge"]):
        fresh.run(f"{folder}/install.sh", *words, **QUICK)
        assert fresh.shell("getent passwd edge-digits") == before


def test_what_still_runs_as_the_user_does_not_keep_the_rest(fresh, make_bundle):
    install(fresh, make_bundle("1.0"))
    fresh.shell("setsid runuser -u edge-digits -- sleep 300 >/dev/null 2>&1 &")
    done = fresh.run(f"{BASE}/current/install.sh", "uninstall", "--purge")
    assert "sudo userdel edge-digits" in done.stderr
    assert not fresh.exists(BASE) and not fresh.exists(STATE)


def test_data_behind_links_go_as_well(fresh, make_bundle):
    fresh.shell(f"mkdir -p /srv/readings /var/lib; ln -s /srv/readings {STATE}")
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    assert fresh.exists("/srv/readings/readings.db")
    fresh.run(f"{BASE}/current/install.sh", "uninstall", "--purge")
    assert fresh.shell("ls -A /srv/readings") == "" and not fresh.exists(STATE)


def test_readings_that_are_kept_elsewhere_are_named(fresh, make_bundle):
    install(fresh, make_bundle("1.0"))
    fresh.shell(f"mkdir /srv/mine; sed -i 's|^state = .*|state = \"/srv/mine\"|' {CONFIG}")
    done = fresh.run(f"{BASE}/current/install.sh", "uninstall", "--purge")
    assert "/srv/mine: they stay there" in done.stdout
    assert fresh.exists("/srv/mine")


def test_a_configuration_that_was_kept_is_used_again(fresh, real_bundle):
    folder = fresh.unpack(real_bundle)
    fresh.run(f"{folder}/install.sh", "--no-picamera2")
    # Valid TOML that was edited by hand, and an administrator's own mode.
    fresh.shell(f"sed -i \"s|^token_file = .*|token_file = '/etc/edge-digits/token'|\" {CONFIG}; chmod 600 {CONFIG}")
    fresh.run(f"{BASE}/current/install.sh", "uninstall")
    fresh.run(f"{folder}/install.sh", "--no-picamera2")
    fresh.run("runuser", "-u", "edge-digits", "--", "cat", CONFIG, "/etc/edge-digits/token")


def test_first_version_that_is_not_well_stays_to_be_corrected(fresh, make_bundle):
    fresh.with_service()
    failed = install(fresh, make_bundle("1.0", "dies"), works=False)
    assert failed.returncode == 1
    assert "correct what is wrong" in failed.stderr
    install(fresh, make_bundle("1.1"))
    assert get(fresh, "/version") == "1.1"


# Interruptions


def test_killed_at_any_moment_it_leaves_a_whole_version_and_works_when_run_again(fresh, make_bundle):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    fresh.with_service()
    archives = [make_bundle("1.0"), make_bundle("2.0", tables=2), make_bundle("3.0", tables=3)]
    folders = [fresh.unpack(archive) for archive in archives]
    start = time.monotonic()
    fresh.run(f"{folders[0]}/install.sh", **QUICK)
    whole = time.monotonic() - start
    done = "1.0"
    reached = set()
    for kill in range(KILLS):
        # The first half are first installs, the others upgrades: to a version with other tables, every other time.
        fresh.shell(f"{folders[0]}/install.sh uninstall --purge" if kill < KILLS // 2 else ":")
        done = "" if kill < KILLS // 2 else done
        chosen = 0 if not done else 1 if done != "2.0" and kill < KILLS - 1 else 2
        if done == "3.0":
            fresh.shell(f"{folders[0]}/install.sh uninstall --purge; {folders[0]}/install.sh")
            done, chosen = "1.0", 1
        new = f"{chosen + 1}.0"
        running = subprocess.Popen(
            fresh.words(f"{folders[chosen]}/install.sh", **QUICK), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if kill % 2:
            # While it is built, which takes longest; else in what comes then.
            time.sleep(chance.uniform(0, whole * 0.6))
        else:
            while not list(fresh.path(f"{BASE}/versions").glob(f"{new}-*/complete")) and running.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, whole * 0.6))
        how = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        os.killpg(running.pid, how)
        running.wait(30)
        now = current(fresh)
        reached.add((bool(done), now.split("-")[0] == new))
        if now:
            assert fresh.exists(f"{BASE}/versions/{now}/complete")
            assert fresh.shell(f"{BASE}/current/bin/edge-digits --version").strip() in (done, new)
        if done and now.split("-")[0] == done:
            # Not yet switched: the version before goes on as if nothing had been.
            assert get(fresh, "/version") == done or fresh.exists(f"{BASE}/pending")
        fresh.run(f"{folders[chosen]}/install.sh", **QUICK)
        assert get(fresh, "/version") == new
        assert len(versions(fresh)) <= 2
        for left in ("pending", "current.new", "previous.new"):
            assert not fresh.exists(f"{BASE}/{left}")
        done = new
    # Before and after the switch, of a first install and of an upgrade.
    assert len(reached) >= 3, reached


def test_interrupted_after_the_switch_a_bad_version_still_gives_way(fresh, make_bundle):
    fresh.with_service()
    install(fresh, make_bundle("1.0"))
    folder = interrupt_after_the_switch(fresh, make_bundle("2.0", "ill", tables=2))
    failed = fresh.run(f"{folder}/install.sh", works=False, **QUICK)
    assert failed.returncode == 1
    assert get(fresh, "/version") == "1.0"
    assert versions(fresh) == {current(fresh)}

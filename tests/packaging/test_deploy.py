"""`make deploy PI=user@host`: over a real sshd, on a machine of its own."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.machine import Machine

ROOT = Path(__file__).parents[2]
PORT = 2222  # in the machine's own network

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Pi:
    """A machine with an sshd, and how to get there."""

    machine: Machine
    ssh: str

    def deploy(self, user: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`make deploy` out of this checkout, by somebody who sees the machine's network alone."""
        words = [f"PI={user}@127.0.0.1", f"SSH={self.ssh}", *(f"{name}={value}" for name, value in variables.items())]
        enter = ["nsenter", f"--target={self.machine.process}", "--net"]
        return subprocess.run(
            [*enter, "make", "--silent", "deploy", *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip


@pytest.fixture
def pi(fresh: Machine, real_bundle: Path, tmp_path: Path) -> Iterator[Pi]:
    """A Pi with a user pi who may use sudo. real_bundle: so that its wheels are here, as there is no network."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    fresh.shell(
        "useradd --create-home --shell /bin/sh --password '*' pi; echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi"
    )
    for home, user in (("/root", "root"), ("/home/pi", "pi")):
        fresh.shell(f"install -d -m 700 -o {user} {home}/.ssh")
        fresh.path(f"{home}/.ssh/authorized_keys").write_text(key.with_suffix(".pub").read_text())
        fresh.shell(f"chown {user} {home} {home}/.ssh/authorized_keys; chmod 600 {home}/.ssh/authorized_keys")
    fresh.shell(
        "mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /run/host_key; chmod 755 /root;"
        f"printf 'Port {PORT}\\nListenAddress 127.0.0.1\\nHostKey /run/host_key\\nPidFile /run/sshd.pid\\nUsePAM no\\n"
        "PasswordAuthentication no\\n' >/run/sshd_config; /usr/sbin/sshd -f /run/sshd_config"
    )
    options = f"-p {PORT} -i {key} -F none -o BatchMode=yes -o StrictHostKeyChecking=no"
    yield Pi(fresh, f"ssh {options} -o UserKnownHostsFile={tmp_path}/known -o LogLevel=ERROR")


def test_a_user_with_sudo_installs_and_upgrades_it(pi, target):
    pi.machine.with_service()
    done = pi.deploy("pi")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"pi@127.0.0.1 is {target.name}." in done.stdout
    assert "is installed and runs" in done.stdout
    assert "login?once=" in done.stdout
    assert pi.machine.run("edge-digits", "--version").stdout.strip()
    assert pi.machine.shell("ls -A /var/tmp | grep '^edge-digits\\.'", works=False) == ""

    again = pi.deploy("root")
    assert again.returncode == 0, again.stderr
    assert "is already here" in again.stdout


def test_what_install_says_and_its_status_come_back(pi):
    done = pi.deploy("pi", OPTIONS="--camera nonsense")
    assert done.returncode != 0
    assert "--camera nonsense: auto" in done.stderr
    assert pi.machine.shell("ls -A /var/tmp | grep '^edge-digits\\.'", works=False) == ""
    assert not pi.machine.exists("/opt/edge-digits")


def test_other_systems_are_told_before_anything_is_copied(pi):
    pi.machine.shell("rm /etc/os-release; echo VERSION_CODENAME=noble >/etc/os-release")
    done = pi.deploy("pi")
    assert done.returncode != 0
    assert "is noble on" in done.stderr
    assert "Copying" not in done.stdout


@pytest.mark.parametrize(
    ("user", "part"), [("nobody-known", "cannot be reached"), ("-oProxyCommand=x", "not user@host")]
)
def test_host_that_is_not_there_is_one_line(pi, user, part):
    done = pi.deploy(user)
    assert done.returncode != 0
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_host_it_says_how(run):
    refused = run("make", "--silent", "deploy", works=False)
    assert "PI=user@host" in refused.stderr

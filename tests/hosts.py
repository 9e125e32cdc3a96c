"""Hosts made on this machine: each has an address, processes, a home, a /tmp and an sshd of its own."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BRIDGE, OUTSIDE = "br-babel", "10.77.0.1"
TOOLS = ("ip", "sshd", "ssh", "rsync", "unshare", "mount")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# Run as the first process of a host. $1: its folder; $2: its name; the others: folders that all hosts share.
ALONE = "unshare --mount --pid --uts --fork --kill-child --mount-proc"
BOOT = """
set -e
here=$1 name=$2; shift 2
hostname "$name"
mount --make-rprivate /
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/keep
i=0
for folder in "$here" "$@"; do
  i=$((i + 1)); mkdir /run/keep/$i; mount --rbind "$folder" /run/keep/$i
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /run/keep/1/home
mount --rbind /run/keep/1/home "$HOME"
i=0
for folder in "$here" "$@"; do
  i=$((i + 1)); mkdir -p "$folder"; mount --rbind /run/keep/$i "$folder"
done
exec "$SSHD" -D -e -f "$here/sshd_config"
"""


def missing() -> str | None:
    """Why hosts can't be made here, for people; None if they can."""
    if os.geteuid() != 0:
        return "hosts of our own need root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None and not (tool == "sshd" and SSHD)]
    return f"hosts of our own need {', '.join(lacking)} (Debian: iproute2, openssh-server, rsync)" if lacking else None


class Hosts:
    """`count` hosts on a bridge, 10.77.0.11 and on, for as long as the block runs."""

    def __init__(self, folder: Path, count: int):
        """`folder` is seen by all of them, as is the checkout with its environment."""
        self.folder, self.count = folder, count
        self.key = folder / "id"
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def address(self, host: int) -> str:
        return f"10.77.0.{11 + host}"

    def __enter__(self) -> "Hosts":
        self._remove_network()
        for key in (self.key, self.folder / "hostkey"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for host in range(self.count):
            self.start(host)
        return self

    def start(self, host: int) -> None:
        """Boot a host; what was in its home before is there again."""
        space, here, there = f"babel{host}", f"bb{host}", f"bh{host}"
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there)
        _run("ip", "link", "set", there, "address", f"02:00:00:00:77:{host:02x}")  # as a machine's own stays
        _run("ip", "link", "set", here, "master", BRIDGE, "up")
        _run("ip", "link", "set", there, "netns", space)
        _run("ip", "-n", space, "addr", "add", f"{self.address(host)}/24", "dev", there)
        for device in (there, "lo"):
            _run("ip", "-n", space, "link", "set", device, "up")
        _run("ip", "-n", space, "route", "add", "default", "via", OUTSIDE)
        own = self.folder / space
        own.mkdir(exist_ok=True)
        settings = {
            "ListenAddress": self.address(host),
            "HostKey": self.folder / "hostkey",
            "AuthorizedKeysFile": f"{self.key}.pub",
            "PermitRootLogin": "prohibit-password",
            "UsePAM": "no",
            "StrictModes": "no",
            "PidFile": "none",
            "MaxSessions": 100,
            "MaxStartups": 100,
        }
        (own / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        shared = [str(folder) for folder in (self.folder, ROOT, _interpreter())]
        with (own / "log").open("ab") as log:
            self.running[host] = subprocess.Popen(
                [*f"ip netns exec {space} {ALONE} bash -c".split(), BOOT, "boot", str(own), space, *shared],
                stdout=log,
                stderr=log,
                env={**os.environ, "SSHD": str(SSHD)},
            )
        deadline = time.monotonic() + 30
        while self.ssh(host, "true", check=False).returncode:
            assert time.monotonic() < deadline, (own / "log").read_text()
            time.sleep(0.1)

    def home(self, host: int) -> Path:
        """Its home, as seen from outside; no other host sees it."""
        return self.folder / f"babel{host}" / "home"

    def kill(self, host: int) -> None:
        """Take a host away without warning: the network first, so that no process can say goodbye."""
        _run("ip", "link", "del", f"bb{host}")
        self.running[host].kill()
        self.running.pop(host).wait()
        _run("ip", "netns", "del", f"babel{host}")

    def ssh(self, host: int, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        return subprocess.run(
            ["ssh", "-i", str(self.key), *options, "-o", "ConnectTimeout=2", f"root@{self.address(host)}", command],
            capture_output=True,
            text=True,
            check=check,
        )

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        self._remove_network()

    def _remove_network(self) -> None:
        for host in range(self.count):
            _run("ip", "link", "del", f"bb{host}", check=False)
            _run("ip", "netns", "del", f"babel{host}", check=False)
        _run("ip", "link", "del", BRIDGE, check=False)


def _interpreter() -> Path:
    """The folder of the Python that the environment links to."""
    return Path(sys.base_prefix)


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 or not check, f"{shlex.join(command)}: {done.stderr}"

"""One of several machines that search together: it leads the search, or trains for the leader, until it must leave."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from search.cluster.local_ray import short_folder
from search.cluster.own_address import free_port, own_address
from search.cluster.starting import START_SECONDS
from search.driver.beginning import has_begun
from search.members.rendezvous import Leader, Rendezvous
from trainables.base.ending import INTERRUPTED
from trainables.base.errors import UserError
from trainables.base.log import say
from trainables.base.temporary import temporary_folder
from trainables.command.process import Process

LEFT = 75  # exit status: left before the end of the search; EX_TEMPFAIL of sysexits.h, "try again"
LOOK_SECONDS = 1.0
GRACE_SECONDS = 10.0  # for Ray to end
# A node whose head is gone ends after so long; by default after a minute.
RAY = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_gcs_rpc_server_reconnect_timeout_s": "20"}


@dataclass(frozen=True)
class Share:
    """What a machine gives to the search.

    Attributes:
        cpus: CPUs for trials.
        gpus: GPUs for trials; None: those that Ray finds.
        ends: When the machine must have left, by the clock of `time.monotonic`; None: at the end of the search.
        leave_seconds: The time that it needs to leave: that of an epoch, or of a round of steps, and a checkpoint.
    """

    cpus: int
    gpus: int | None
    ends: float | None
    leave_seconds: float


class Member:
    """The work of one machine. The machines need nothing but the folder that they share."""

    def __init__(self, rendezvous: Rendezvous, run_dir: Path, search: Sequence[str], share: Share):
        """search: the arguments of a command that begins the search in the run directory."""
        self.rendezvous, self.run_dir, self.search, self.share = rendezvous, run_dir, search, share
        self.told_to_leave = False

    @property
    def leaving(self) -> bool:
        """Whether the machine must leave now."""
        ends = self.share.ends
        return self.told_to_leave or (ends is not None and time.monotonic() > ends - self.share.leave_seconds)

    def run(self) -> int:
        """Lead or train until the search has ended, or the machine must leave.

        Returns:
            The exit status of the search, or LEFT.

        Raises:
            UserError: If Ray does not start here.
        """
        with self._signals():
            while not self.leaving:
                if (status := self.rendezvous.ended) is not None:
                    return status
                if self.rendezvous.take_lead():
                    self._lead()
                elif leader := self.rendezvous.leader:
                    self._train_for(leader)
                else:
                    time.sleep(LOOK_SECONDS)
        return LEFT

    def leave(self) -> None:
        """Leave soon; the search continues on the other machines."""
        self.told_to_leave = True

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Leave after a signal that ends programs."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [signal.signal(number, lambda *_: self.leave()) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _lead(self) -> None:
        """Start the head of Ray and the driver. When this machine leaves, another one leads, and resumes the run."""
        host, port = own_address(()), free_port()
        leader = Leader(f"{host}:{port}", secrets.token_hex(32))
        head = ["--head", f"--node-ip-address={host}", f"--port={port}", "--include-dashboard=false"]
        try:
            with self._ray(head, leader) as ray:
                self._wait_for_head(ray, leader)
                self.rendezvous.announce(leader)
                say(f"this machine leads: {leader.address}")
                status = self._drive(leader)
        finally:
            self.rendezvous.withdraw()
        if status not in (INTERRUPTED, -signal.SIGTERM, -signal.SIGKILL):
            self.rendezvous.end(status)

    def _drive(self, leader: Leader) -> int:
        """Run the driver, or interrupt it when this machine must leave. Returns its exit status."""
        begin = ["resume", str(self.run_dir)] if has_begun(self.run_dir) else self.search
        program = str(Path(__file__).parents[1] / "run.py")
        command = [sys.executable, "-P", program, *begin, "--cluster", leader.address]
        driver = subprocess.Popen(command, env=self._environment(leader), start_new_session=True)
        try:
            while driver.poll() is None:
                if self.leaving:
                    driver.send_signal(signal.SIGTERM)
                    with suppress(subprocess.TimeoutExpired):
                        driver.wait(self.share.leave_seconds)
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            if driver.poll() is None:
                driver.kill()
        return driver.wait()

    def _train_for(self, leader: Leader) -> None:
        """Join the leader's Ray until the leader changes, or this machine must leave."""
        name = f"member-{secrets.token_hex(8)}"
        with self._ray([f"--address={leader.address}", f"--node-name={name}"], leader) as ray:
            say(f"this machine trains for {leader.address}")
            while ray.status() is None and not self.leaving:
                time.sleep(LOOK_SECONDS)
                if self.rendezvous.leader != leader or self.rendezvous.take_lead():
                    return
            if ray.status() is None:
                self._drain(name, leader, ray)
            elif not self.leaving:
                time.sleep(LOOK_SECONDS)  # the leader is gone, or did not answer yet

    def _drain(self, name: str, leader: Leader, ray: Process) -> None:
        """Let trials finish their epochs here and continue elsewhere. A drained node of Ray ends when it is idle."""
        deadline = time.monotonic() + self.share.leave_seconds
        command = [sys.executable, "-P", "-m", "search.cluster.draining", leader.address, name]
        drained = subprocess.run(
            [*command, str(int(self.share.leave_seconds))],
            env=self._environment(leader),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=max(self.share.leave_seconds, LOOK_SECONDS),
        )
        while not drained.returncode and ray.status() is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def _wait_for_head(self, ray: Process, leader: Leader) -> None:
        """Wait until the head answers. Raises UserError."""
        command = [str(Path(sys.executable).with_name("ray")), "status", f"--address={leader.address}"]
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(command, env=self._environment(leader), capture_output=True).returncode:
            if ray.status() is not None or time.monotonic() > deadline:
                raise UserError(f"Ray does not start here: {self._log.read_text(errors='replace')[-500:].strip()}")
            time.sleep(LOOK_SECONDS)

    @contextmanager
    def _ray(self, options: Sequence[str], leader: Leader) -> Iterator[Process]:
        """Run Ray on this machine in the block, in a private folder; it dies with this process."""
        with temporary_folder(short_folder()) as folder:
            self._log = folder / "ray.log"
            self._log.touch()
            gpus = [] if self.share.gpus is None else [f"--num-gpus={self.share.gpus}"]
            program = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
            process = Process(
                [*program, *options, f"--num-cpus={self.share.cpus}", *gpus, f"--temp-dir={folder}/ray"],
                self._log,
                folder=str(folder),
                environment=self._environment(leader),
                grace=GRACE_SECONDS,
            )
            try:
                yield process
            finally:
                process.end()

    def _environment(self, leader: Leader) -> dict[str, str]:
        return {**os.environ, **RAY, "RAY_AUTH_TOKEN": leader.token}

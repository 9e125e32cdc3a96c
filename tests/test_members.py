"""Machines that search together: they find one leader, come late, leave early, die, and the result is the same."""

import json
import os
import signal
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_run import COMMAND, run, write_config
from test_watchdog import descendants

from search.commands.join import seconds_of
from search.members.member import LEFT, Member, Share
from search.members.rendezvous import Leader, Rendezvous
from search.run import main

LEADER = Leader("10.0.0.1:4711", "secret")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("2:30", 150), ("01:00:00", 3600), ("1-00:00:01", 86401), ("2-03", 183600), ("1-02:03", 93780)],
)
def test_a_time_limit_is_read_as_slurm_reads_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
    with pytest.raises(ValueError, match="is no time"):
        seconds_of(f"{text}h")


def test_one_machine_leads_at_a_time(tmp_path: Path) -> None:
    one, other = Rendezvous(tmp_path / "meet"), Rendezvous(tmp_path / "meet")
    assert one.take_lead() and one.take_lead() and not other.take_lead()
    assert other.leader is None
    one.announce(LEADER)
    assert other.leader == LEADER
    for file in (tmp_path / "meet").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, "the token is for its owner alone"
    one.withdraw()
    assert other.leader is None and other.take_lead() and not one.take_lead()
    (tmp_path / "meet" / "leader.json").write_text('{"address": 1')
    assert one.leader is None
    assert one.ended is None
    other.end(2)
    assert one.ended == 2


class Pretended(Member):
    """A machine whose Ray and driver are pretended."""

    def __init__(self, folder: Path, statuses: list[int], **share: Any):
        super().__init__(
            Rendezvous(folder / "meet"),
            folder / "run",
            ["--config", "x.yaml"],
            Share(**{"cpus": 1, "gpus": 0, "ends": None, "leave_seconds": 1.0, **share}),
        )
        self.statuses, self.led = statuses, 0

    @contextmanager
    def _ray(self, options: Any, leader: Leader) -> Any:
        yield None

    def _wait_for_head(self, ray: Any, leader: Leader) -> None:
        pass

    def _drive(self, leader: Leader) -> int:
        assert self.rendezvous.leader == leader
        self.led += 1
        status = self.statuses.pop(0)
        if status == signal.SIGTERM:
            os.kill(os.getpid(), signal.SIGTERM)
            return 130
        return status


def test_a_machine_leads_until_the_search_ends_and_the_others_end_with_it(tmp_path: Path) -> None:
    first = Pretended(tmp_path, [130, -9, 0])
    assert first.run() == 0 and first.led == 3, "an interrupted or killed driver is no end"
    assert first.rendezvous.leader is None
    other = Pretended(tmp_path, [])
    assert other.run() == 0 and other.led == 0
    failing = Pretended(tmp_path / "failing", [2, 0])
    assert failing.run() == 2 and failing.led == 1, "a mistake ends the search for all"


def test_a_machine_leaves_after_a_signal_or_before_its_time_ends(tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    assert Pretended(tmp_path, [signal.SIGTERM]).run() == LEFT
    assert Pretended(tmp_path, [], ends=time.monotonic() + 0.5).run() == LEFT, "too late to begin"
    assert Rendezvous(tmp_path / "meet").ended is None
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == handlers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name: missing; machines that search together need one name"),
        (["--name", "a"], "search.concurrency: auto; give the number of trials at a time"),
        (["--name", "a", "--storage", "s3://b/c"], "storage: join makes a cluster of machines that share output_dir"),
        (["--name", "a", "--search.concurrency", "2", "--time_limit", "1 h"], "--time_limit: '1 h': is no time"),
        (["--name", "a", "--search.concurrency", "2", "--time_limit", "1"], "is not longer than leave_seconds 120"),
    ],
)
def test_what_can_not_work_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", "--output_dir", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.yaml"))


def scores(run_dir: Path) -> Any:
    board = json.loads((run_dir / "leaderboard.json").read_text())["ranking"]
    kept = ("rank", "config", "test_bleu", "valid_bleu", "valid_nll_per_char", "test_bleu_ci")
    return [{key: line[key] for key in kept} for line in board]


@pytest.mark.rare
def test_four_machines_of_which_each_is_killed_once_find_the_same(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        training={"epochs": 6, "batch_tokens": 64, "warmup_steps": 20},
        space={"model.d_model": {"values": [16, 32]}, "model.dropout": {"values": [0.0, 0.1, 0.2, 0.3]}},
        search={"sampler": "grid", "scheduler": "none", "trials": None, "concurrency": 4},
        finals={"top": 2, "seeds": 2, "beam_size": 1, "min_distance": 0},
    )
    assert run("--config", str(config), "--name", "calm").returncode == 0
    shown = [(tmp_path / f"shown-{number}").open("w") for number in range(4)]

    def start(number: int) -> subprocess.Popen[bytes]:
        command = [*COMMAND, "join", "--config", str(config), "--name", "array", "--cpus", "1", "--leave_seconds", "20"]
        return subprocess.Popen(command, stdout=shown[number], stderr=subprocess.STDOUT, start_new_session=True)

    members = [start(number) for number in range(4)]
    journals = [tmp_path / "runs" / "array" / name for name in ("trials.jsonl", "finals.jsonl")]
    for number, reports in enumerate((4, 14, 26, 52)):  # the last one in the finals
        deadline = time.monotonic() + 600
        while sum(file.read_bytes().count(b"\n") for file in journals if file.exists()) < reports:
            assert time.monotonic() < deadline, [Path(file.name).read_text()[-800:] for file in shown]
            time.sleep(0.2)
        for pid, _ in [*descendants(members[number].pid)]:  # as a machine dies, with all that it runs
            os.kill(pid, signal.SIGKILL)
        members[number].wait()
        members[number] = start(number)
    assert [member.wait(timeout=600) for member in members] == [0] * 4
    assert scores(tmp_path / "runs" / "array") == scores(tmp_path / "runs" / "calm")
    said = "".join(Path(file.name).read_text() for file in shown)
    assert said.count("this machine leads") >= 2 and "Traceback" not in said, said


def test_the_array_script_queues_again_a_machine_that_left(tmp_path: Path) -> None:
    stubs = tmp_path / ".venv" / "bin"
    stubs.mkdir(parents=True)
    (stubs / "activate").write_text(f'PATH="{stubs}:$PATH"\n')
    (stubs / "python").write_text(
        f'#!/bin/bash\necho "python $*" >> {tmp_path}/calls\n[[ $FAULT == left ]] && exit 75\n'
        f"[[ $FAULT == time ]] && {{ trap 'exit 75' TERM; for i in {{1..100}}; do sleep 0.1; done; }}\nexit 0\n"
    )
    (stubs / "scontrol").write_text(f'#!/bin/bash\necho "scontrol $*" >> {tmp_path}/calls\n')
    for stub in ("python", "scontrol"):
        (stubs / stub).chmod(0o755)
    script = Path(__file__).parents[1] / "configs" / "clusters" / "slurm-array.sh"
    for fault, status in (("left", 75), ("time", 75), ("none", 0)):
        (tmp_path / "calls").write_text("")
        slurm = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
        job = subprocess.Popen(
            ["bash", str(script), "--name", "first"],
            env={**os.environ, **slurm, "SLURM_CPUS_PER_TASK": "8", "FAULT": fault},
        )
        if fault == "time":
            while "join" not in (tmp_path / "calls").read_text():
                time.sleep(0.05)
            time.sleep(0.3)
            job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=30) == status
        calls = (tmp_path / "calls").read_text()
        assert calls.startswith("python search/run.py join --name first --cpus 8 --leave_seconds 240\n")
        assert ("scontrol requeue 7_3" in calls) == (status == 75)

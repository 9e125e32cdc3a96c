"""Several processes train one model: the numbers of one, and none outlives the first."""

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from corpora import text_of
from torch.distributed import distributed_c10d

from search.settings.experiment import Experiment
from trainables.acceleration import data_parallel
from trainables.acceleration.data_parallel import train_data_parallel
from trainables.acceleration.group import Group
from trainables.base.errors import TooLarge
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.training.loop import train
from trainables.translation import PARTS

CONFIG = {
    "data": {"limit": 200},
    "tokenizer": {"vocab_size": 300},
    "model": {"d_model": 32, "num_heads": 4, "ffn_dim": 64, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0},
    # batches of one pair, too: a process may have no rows
    "training": {"epochs": 2, "batch_tokens": 96, "warmup_steps": 10},
}


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def config() -> TranslationConfig:
    return as_translation(Experiment.model_validate(CONFIG).trial)


def figures(reports: list[EpochReport]) -> list[tuple[float, ...]]:
    return [
        (report.epoch, report.step, report.score("train_loss"), report.score("valid_loss"), report.score("tokens"))
        for report in reports
    ]


def test_two_processes_give_the_numbers_of_one_and_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    alone = figures([report for report, _ in train(config(), text_of(config(), tmp_path))])
    together = train_data_parallel(PARTS, config(), tmp_path, tmp_path / "trial", 2, keep=2)
    first, _ = next(together)
    together.close()
    again = figures(
        [report for report, _ in train_data_parallel(PARTS, config(), tmp_path, tmp_path / "trial", 2, keep=2)]
    )
    assert again[0] == figures([first])[0]
    for ours, theirs in zip(again, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_memory_too_small_for_another_process_is_told_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_same_steps(*_: object) -> None:
        raise torch.OutOfMemoryError("a part of a batch")

    monkeypatch.setattr(data_parallel, "join", lambda *_: None)
    monkeypatch.setattr(data_parallel, "take_same_steps", take_same_steps)
    with pytest.raises(torch.OutOfMemoryError):
        data_parallel._follow(
            PARTS, config(), tmp_path, tmp_path / "trial", Group(1, 2, tmp_path / "rendezvous"), os.getppid()
        )
    with pytest.raises(TooLarge, match="does not fit into one of its 2 GPUs"):
        next(train_data_parallel(PARTS, config(), tmp_path, tmp_path / "trial", 2, keep=2))


def test_the_others_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from test_data_parallel import config\n"
        "from trainables.acceleration.data_parallel import train_data_parallel\n"
        "from trainables.translation import PARTS\n"
        "if __name__ == '__main__':\n"
        f"    for _ in train_data_parallel(PARTS, config(), Path('{tmp_path}'), Path('{tmp_path}/trial'), 2, 2):\n"
        "        print('reported', flush=True)\n"
        "        import time; time.sleep(60)\n"
    )
    (tmp_path / "program.py").write_text(program)
    paths = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    ) as first:
        assert first.stdout is not None and first.stdout.readline() == b"reported\n"
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        first.send_signal(signal.SIGKILL)
    assert children
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a process that trained along lives on"
        time.sleep(0.1)


def test_an_nccl_group_can_be_left_without_waiting() -> None:
    """By a name of PyTorch that is not public; NCCL itself needs GPUs."""
    parameters = inspect.signature(distributed_c10d._abort_process_group).parameters.values()
    assert all(parameter.default is not parameter.empty for parameter in parameters), "it is called without arguments"

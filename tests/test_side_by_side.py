"""Finals whose runs train as one: who goes together, what comes of it, and what happens when it can't be."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from corpora import text_of, write_digits
from reports import make_report

from search.cluster.slots import Slots
from search.cluster.tuning import run_work, worker_setup
from search.engine.rules import Records, Rules
from search.engine.work import FINISHED, WAIT, Work
from search.finals.choosing import Finalist, FinalsPlan
from search.record.journal import Journal, read_lines
from search.record.study import Study
from search.schedulers.unranked import ToTheEnd
from search.settings.experiment import Experiment
from trainables import worker
from trainables.acceleration import side_by_side
from trainables.acceleration.side_by_side import is_faster_as_one, train_side_by_side
from trainables.acceleration.stackable import can_train_as_one
from trainables.assignment import Assignment
from trainables.base.errors import Diverged
from trainables.base.locks import DriverLock
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.data.encoding.preparing import prepare
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.training.device import CPU
from trainables.training.loop import train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


def experiment(corpus: Path, **training: Any) -> Experiment:
    """Two finalists of unlike shapes, two seeds each."""
    return Experiment.model_validate(
        {
            "name": "finals",
            "output_dir": str(corpus / "runs"),
            "data": {"path": str(corpus)},
            "tokenizer": {"vocab_size": 40},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
            "training": {"epochs": 2, "batch_tokens": 512, "learning_rate": 0.001, "batch_shapes": 4} | training,
            "space": {"model.d_model": {"values": [16, 32]}},
            "finals": {"top": 2, "seeds": 2},
        }
    )


def open_work(folder: Path, experiment: Experiment) -> Work:
    finalists = [Finalist(number, {"model.d_model": width}, 2, 1.0) for number, width in enumerate((16, 32))]
    folder.mkdir(parents=True, exist_ok=True)
    study, journal = Study(folder / "study.db", "finals", "maximize"), Journal(folder / "finals.jsonl")
    plan = FinalsPlan(experiment, finalists)
    rules = Rules(plan, ToTheEnd(), train_as_one=can_train_as_one)
    return Work(experiment, Records(study, journal, Checkpoints(folder / "finals")), rules)


def numbers(task: Assignment | str) -> list[int]:
    assert isinstance(task, Assignment)
    return [task.number, *(other.number for other in task.others)]


def report(epoch: int) -> EpochReport:
    return make_report(epoch, valid_bleu=10.0 * epoch)


def test_seeds_of_a_finalist_go_together_and_take_one_slot(corpus: Path, tmp_path: Path) -> None:
    work = open_work(tmp_path, experiment(corpus))
    first = work.next(2, group_size=4)
    assert numbers(first) == [0, 1], "the other finalist has another shape"
    assert isinstance(first, Assignment) and [other.config.seed for other in first.others] == [first.config.seed + 1]
    assert numbers(work.next(2, group_size=4)) == [2, 3] and work.next(2, group_size=4) == WAIT
    assert work.reported(0, report(1)) and work.reported(1, report(1))
    assert not work.reported(1, report(2)) and work.goes_on(0)
    assert not work.reported(0, report(2))
    for number in (0, 1):
        work.released(number, crashed=False)
    assert work.next(2, group_size=4) == WAIT  # for the others


def test_they_part_where_they_can_not_train_as_one(corpus: Path, tmp_path: Path) -> None:
    work = open_work(tmp_path, experiment(corpus, batch_shapes=None))
    assert [numbers(work.next(9, group_size=4)) for _ in range(4)] == [[0], [1], [2], [3]]
    assert numbers(open_work(tmp_path / "other", experiment(corpus)).next(9)) == [0]


def test_after_a_crash_those_that_are_left_go_on_together(corpus: Path, tmp_path: Path) -> None:
    work = open_work(tmp_path, experiment(corpus))
    group = numbers(work.next(1, group_size=4))
    work.reported(0, report(1))
    work.ended(1, Outcome.DIVERGED, "the loss became nan")
    for number in group:
        work.released(number, crashed=True)
    assert numbers(work.next(1, group_size=4)) == [0], "the other one ended"
    work.lost(0)
    work = open_work(tmp_path, experiment(corpus))  # another driver
    assert numbers(work.next(1, group_size=4)) == [0] and work.study.trials[0].attributes.crashes == 1
    work.reported(0, report(2))
    work.released(0, crashed=False)
    group = numbers(work.next(1, group_size=4))
    for number in group:
        work.lost(number)
    assert numbers(work.next(1, group_size=4)) == group == [2, 3]
    for number in group:
        work.reported(number, report(1))
        work.reported(number, report(2))
        work.released(number, crashed=False)
    assert work.next(1, group_size=4) == FINISHED
    outcomes = [trial.outcome for trial in work.study.trials.values()]
    assert outcomes == ["completed", "diverged", "completed", "completed"]


def seeds(corpus: Path) -> list[TranslationConfig]:
    base = as_translation(experiment(corpus).trial)
    return [base.with_values({"seed": seed}) for seed in (1, 2)]


def trained(configs: list[TranslationConfig], corpus: Path, folder: Path) -> dict[int, list[EpochReport | Diverged]]:
    reports: dict[int, list[EpochReport | Diverged]] = {number: [] for number in range(len(configs))}
    folders = [folder / str(number) for number in reports]
    for number, each in train_side_by_side(configs, corpus / "cache", folders):
        reports[number].append(each)
    return reports


def losses(reports: list[EpochReport | Diverged]) -> list[float]:
    return [each.score("valid_loss") for each in reports if isinstance(each, EpochReport)]


@pytest.mark.parametrize("together", [True, False])
def test_together_or_in_turn_the_numbers_are_the_same(
    together: bool, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "is_faster_as_one", lambda *_: together)
    configs = seeds(corpus)
    configs[0] = configs[0].with_values({"training.learning_rate": 1e20, "training.warmup_steps": 0})
    configs.append(configs[1].with_values({"seed": 3}))
    reports = trained(configs, corpus, tmp_path)
    assert isinstance(reports[0][-1], Diverged)
    for number in (1, 2):
        alone = [each for each, _ in train(configs[number], text_of(configs[number], corpus / "cache"), device=CPU)]
        assert losses(reports[number]) == pytest.approx([each.score("valid_loss") for each in alone], rel=2e-5)
        shares = [each.devices for each in reports[number] if isinstance(each, EpochReport)]
        assert shares == pytest.approx([1 / 3 if together else 1.0] * 2)


def test_where_memory_is_too_small_for_all_they_go_on_one_by_one(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = side_by_side.train_as_one

    def runs_out(*arguments: Any) -> Generator[Any]:
        for place, each in enumerate(whole(*arguments)):
            if place == 2:
                raise torch.OutOfMemoryError("CUDA out of memory")  # after the first one's last checkpoint
            yield each

    monkeypatch.setattr(side_by_side, "train_as_one", runs_out)
    monkeypatch.setattr(side_by_side, "is_faster_as_one", lambda *_: True)
    reports = trained(seeds(corpus), corpus, tmp_path)
    epochs = [[each.epoch for each in reports[number] if isinstance(each, EpochReport)] for number in (0, 1)]
    assert epochs == [[1, 2], [1, 1, 2]], "each from its last checkpoint, which it reports again"
    for number, config in enumerate(seeds(corpus)):
        *_, (last, _) = train(config, text_of(config, corpus / "cache"), device=CPU)
        assert losses(reports[number])[-1] == pytest.approx(last.score("valid_loss"), rel=2e-5)


def test_whether_it_is_faster_is_measured(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = seeds(corpus)
    prepared = prepare(configs[0].data, configs[0].tokenizer, corpus / "cache")
    assert is_faster_as_one(configs, prepared, CPU) in (True, False)
    monkeypatch.setattr(side_by_side, "_seconds_alone", lambda *_: 1.0)
    for as_one, faster in ((1.9, True), (2.1, False)):
        monkeypatch.setattr(side_by_side, "_seconds_as_one", lambda *_, seconds=as_one: seconds)
        assert is_faster_as_one(configs, prepared, CPU) == faster


def test_finals_train_as_one_in_a_real_search(corpus: Path) -> None:
    """With a pretended GPU, on which the models really run on the CPU."""

    def train_as_one(given: dict[str, Any]) -> None:
        side_by_side.is_faster_as_one = lambda *_: True
        worker.train_trials(given)

    search = experiment(corpus)
    slots = Slots(1, 1.0)
    lock = DriverLock(search.run_dir)
    work = open_work(search.run_dir, search)
    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False)
    try:
        run_work(work, slots, worker_setup(search, slots, lock), train_as_one, group_size=slots.runs_each(4))
    finally:
        ray.shutdown()
        lock.release()
    assert [trial.outcome for trial in work.study.trials.values()] == ["completed"] * 4
    lines = read_lines(search.run_dir / "finals.jsonl")
    assert len(lines) == 8 and {line.report.devices for line in lines} == {0.5}
    for number, trial in work.study.trials.items():
        config = as_translation(work.rules.plan.config(trial.params))
        alone = [each for each, _ in train(config, text_of(config, search.cache), device=CPU)]
        mine = [line.report.score("valid_loss") for line in lines if line.trial == number]
        assert mine == pytest.approx([each.score("valid_loss") for each in alone], rel=2e-5)
        assert (search.run_dir / "finals" / str(number) / "epoch-2").is_dir()
    assert [Slots(2, 0.5).runs_each(5), Slots(2, 0.0).runs_each(5), Slots(1, 2.0).runs_each(5)] == [3, 1, 1]

"""A search that ends by itself: when nothing more is expected, and in the same way after a resume."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from test_work import open_work, simulate

from search.engine.settling import Settled
from search.engine.work import FINISHED, Work
from search.record.journal import Journal
from search.record.study import Study
from search.settings.experiment import Experiment
from trainables.assignment import Assignment
from trainables.base.outcomes import Outcome

SPACE = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}}
QUIET, LOUD = {"gain": 0.01, "noise": 0.2}, {"gain": 0.03, "noise": 0.2}


def experiment(trials: int = 60, **search: Any) -> Experiment:
    search = {"trials": trials, "stop_when_settled": True, "scheduler": "none", **search}
    return Experiment.model_validate({"space": SPACE, "search": search, "training": {"epochs": 4}})


def settling(folder: Path, searched: Experiment, slots: int = 1) -> Work:
    work = open_work(folder, searched, slots)
    work.rules.endings = [*work.rules.endings, Settled("valid_bleu")]
    return work


def proposed(memories: list[dict[str, float]], completed: int = 20) -> Study:
    study, distributions = Study(None, "search", "maximize"), experiment().space.to_optuna()
    for number, memory in enumerate(memories):
        trial = study.add({"model.d_model": 64, "model.dropout": number / 100}, distributions, memory)
        if number < completed:
            study.report(trial, 4, 1.0)
            study.finish(trial, Outcome.COMPLETED)
    return study


@pytest.mark.parametrize(
    ("memories", "completed", "ends"),
    [
        ([{}] * 5 + [QUIET] * 5, 20, True),
        ([LOUD] * 20 + [QUIET] * 5, 4, True),
        ([{}] * 5 + [QUIET] * 4, 20, False),  # too few trials
        ([QUIET] * 20, 3, False),  # too few that were trained to the end
        ([QUIET] * 20 + [LOUD], 21, False),
        ([QUIET] * 20 + [LOUD] + [QUIET] * 4, 25, False),
        ([QUIET] * 20 + [{}], 21, False),  # nobody knows what was expected of it
    ],
)
def test_several_proposals_in_a_row_must_promise_little(
    memories: list[dict[str, float]], completed: int, ends: bool, tmp_path: Path
) -> None:
    reason = Settled("valid_bleu").reason(proposed(memories, completed), Journal(tmp_path / "trials.jsonl"))
    assert (reason is not None) == ends
    if reason:
        assert (
            "the last 5 trials was expected to gain 0.01 valid_bleu or less, where scores have a noise of 0.2" in reason
        )


@pytest.mark.parametrize(("scheduler", "slots"), [("none", 1), ("asha", 3), ("asha_promotion", 2)])
def test_a_search_ends_by_itself_and_stays_ended(scheduler: str, slots: int, tmp_path: Path) -> None:
    searched = experiment(scheduler=scheduler)
    work = settling(tmp_path, searched, slots)
    simulate(work, {}, slots)
    study = work.study
    assert 10 <= len(study.trials) < 60
    assert str(study.ended).startswith("search.stop_when_settled: ") and work.done
    assert not any(t.attributes.message.startswith("search.stop") for t in study.trials.values()), (
        "what ran went its way"
    )
    again = settling(tmp_path, searched, slots)
    assert again.done and again.next(slots) == FINISHED and again.study.ended == study.ended


def test_a_resumed_search_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    undisturbed = settling(tmp_path / "a", experiment())
    simulate(undisturbed, {})
    trials = 0
    while not (work := settling(tmp_path / "b", experiment(trials=trials + 1))).done:  # a new driver for each trial
        simulate(work, {})
        trials += 1
    expected = [trial.params for trial in undisturbed.study.trials.values()]
    assert [trial.params for trial in work.study.trials.values()] == expected
    assert work.study.ended == undisturbed.study.ended


def test_without_the_key_it_goes_on(tmp_path: Path) -> None:
    settled = settling(tmp_path, experiment())
    simulate(settled, {})
    more = len(settled.study.trials) + 1
    work = open_work(tmp_path, experiment(trials=more, stop_when_settled=False))
    assert isinstance(work.next(1), Assignment) and work.study.ended is None


def test_only_a_sampler_that_says_what_it_expects_can_settle() -> None:
    with pytest.raises(ValidationError, match="stop_when_settled: random does not estimate gains"):
        experiment(sampler="random")

"""A report costs the driver the same after many trials, and what is kept for that is what it stands for."""

import cProfile
import gc
from pathlib import Path

import pytest
from rich.console import Console
from test_work import budget_of, simulate

from search.driver.progress import TrialProgress
from search.engine.proposals import SearchPlan, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.planning.seen import Trials
from search.planning.time_left import TimeLeft
from search.record.journal import Journal, JournalLine, Totals
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.space.space import SearchSpace
from trainables.sharing.checkpoint_places import Checkpoints

SLOTS = 4


def open_long(folder: Path, scheduler: str, trials: int) -> Work:
    """A search in memory, as the terminal shows it, with a budget that it does not reach."""
    budget = {"epochs": 10**6, "price_per_gpu_hour": 2.0}
    search = {
        "scheduler": {"kind": scheduler, "rungs": [1, 2]},
        "sampler": "random",
        "trials": trials,
        "budget": budget,
    }
    space = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}}
    experiment = Experiment.model_validate({"space": space, "search": search, "training": {"epochs": 4}})
    study, journal, limits = Study(None, "s", "maximize"), Journal(folder / "trials.jsonl"), budget_of(experiment)
    plan = SearchPlan(experiment)
    trials_of = Trials("trial", study, journal, plan, limits, trials)
    left = TimeLeft(experiment, SLOTS, clock=lambda: 0.0)  # estimates once, which takes as long as it takes
    console = Console(file=(folder / "shown").open("w"), force_terminal=True, width=200)
    progress = TrialProgress(console, trials_of, left, lambda: 3)
    rules = Rules(plan, make_scheduler(experiment), [limits])
    records = Records(study, journal, Checkpoints(folder / "trials"))
    return Work(experiment, records, rules, [progress])


class CallsAt:
    """A listener that notes how many calls there were when a trial of each of these numbers first started."""

    def __init__(self, profile: cProfile.Profile, numbers: tuple[int, ...]):
        self.profile, self.numbers, self.calls = profile, numbers, dict[int, int]()

    def trial_started(self, trial: StudyTrial) -> None:
        if trial.number in self.numbers and trial.number not in self.calls:
            self.calls[trial.number] = sum(entry.callcount for entry in self.profile.getstats())

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None: ...
    def trial_parked(self, trial: StudyTrial) -> None: ...
    def trial_ended(self, trial: StudyTrial) -> None: ...


@pytest.mark.parametrize(
    "scheduler", ["asha_promotion", *(pytest.param(name, marks=pytest.mark.rare) for name in ("asha", "median"))]
)
def test_a_trial_costs_as_many_calls_after_hundreds_of_trials_as_at_first(scheduler: str, tmp_path: Path) -> None:
    work, profile = open_long(tmp_path, scheduler, trials=600), cProfile.Profile()
    at = CallsAt(profile, (60, 120, 539, 599))
    work.listeners.append(at)
    gc.collect()
    gc.disable()  # what other tests have left is not ours to count
    try:
        profile.runcall(simulate, work, {}, SLOTS)
    finally:
        gc.enable()
    early, late = at.calls[120] - at.calls[60], at.calls[599] - at.calls[539]
    assert late < 1.25 * early, "a look at all trials at each proposal or report would add half as much and more"

    study, trials = work.study, list(work.study.trials.values())
    assert len(trials) == 600 and not study.running and not study.active and len(study.over) == 600
    assert study.known == {SearchSpace.key(trial.params) for trial in trials}
    assert study.best(600) == sorted(trials, key=study.standing)
    assert all(set(map(id, study.reached[e])) == {id(t) for t in trials if e in t.scores} for e in range(1, 5))
    assert vars(work.journal.totals) == vars(Totals(work.journal.lines))
    progress = work.listeners[0]
    assert isinstance(progress, TrialProgress)
    shown, dollars = progress.shown.trials, work.journal.totals.seconds / 3600 * 2
    assert shown.startswith("600/600 trials done, 0 running on 3 machines, best valid")
    assert shown.endswith(f"${dollars:.2f}, 0% spent")

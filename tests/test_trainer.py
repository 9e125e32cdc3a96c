"""What the search and its finals are given to be trained with, without Ray."""

from pathlib import Path
from typing import Any, Literal

import pytest
from rich.console import Console

from search.cluster.slots import Slots
from search.driver import study_run as trainer
from search.driver.study_run import StudyRun, Trainer
from search.engine.checkpoint_cleaner import CheckpointCleaner
from search.engine.ordering import WorkClock
from search.engine.proposals import SearchPlan, make_scheduler
from search.engine.settling import Settled
from search.engine.work import Work
from search.record.budget import Budget, Spent
from search.record.study import Study
from search.settings.experiment import Experiment


class NoTracker:
    def listeners(self, kind: str, study: Study) -> list[Any]:
        return []


@pytest.mark.parametrize(
    ("kind", "endings", "keep", "together"), [("trial", [Budget, Settled], 2, 1), ("final", [], 3, 4)]
)
def test_a_search_ends_by_its_endings_and_finals_end_when_all_are_trained(
    kind: Literal["trial", "final"],
    endings: list[type],
    keep: int,
    together: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = {"stop_when_settled": True, "deterministic": True, "concurrency": 2, "budget": {"epochs": 400}}
    experiment = Experiment.model_validate(
        {
            "name": "run",
            "output_dir": str(tmp_path),
            "search": search,
            "finals": {"average_checkpoints": 3},
            "space": {"model.dropout": {"min": 0, "max": 0.5}},
        }
    )
    experiment.run_dir.mkdir()
    done: list[Any] = []

    def run_work(work: Work, *arguments: Any, **options: int) -> None:
        done.append((work, arguments, options))

    monkeypatch.setattr(trainer, "run_work", run_work)
    study, lock, tracker = Study(None, kind, "maximize"), object(), NoTracker()
    slots, console = Slots(2, 0.5), Console(quiet=True)
    trains = Trainer(experiment, slots, lock, None, tracker, console, lambda: done.append("safe"))  # type: ignore[arg-type]
    monkeypatch.setattr(trainer, "worker_setup", lambda *given: given)
    cleaner = CheckpointCleaner(trains.checkpoints(kind), keep_completed=True)
    plan, scheduler, before = SearchPlan(experiment), make_scheduler(experiment), Spent(5, 60, 9)
    trains.train(StudyRun(kind, study, plan, scheduler, 7, before, [cleaner]))
    (work, arguments, options), safe = done
    assert safe == "safe", "what was found is in the storage before anything follows from it"
    assert arguments == (slots, (experiment, slots, lock, None, keep)) and options == {"group_size": together}
    assert [type(ending) for ending in work.rules.endings] == endings
    assert all(ending == trains.budget(before) for ending in work.rules.endings if isinstance(ending, Budget))
    assert isinstance(work.rules.clock, WorkClock) == (kind == "trial")
    assert work.listeners[-1] is cleaner and work.checkpoints.folder == experiment.run_dir / f"{kind}s"
    assert work.journal.file == experiment.run_dir / f"{kind}s.jsonl"

    done.clear()
    work.rules.plan.trials = 0
    trains.train(StudyRun(kind, study, work.rules.plan, scheduler, 7, before))
    assert done == ["safe"], "nothing is left to train"

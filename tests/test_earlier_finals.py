"""Finals of an extended search: what earlier finals trained is taken over, whole, once, and only if it is the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from reports import make_report
from test_extension import experiment_in
from test_work import Killed

from search.driver.standing import find_standing, keep_frozen, standing_folder
from search.finals.choosing import Finalist, FinalsPlan
from search.record.budget import Spent, spent_on
from search.record.journal import Journal, Totals, make_line, read_lines
from search.record.study import Study
from search.run_directory.earlier import Earlier
from search.run_directory.earlier_finals import take_over_finals
from search.settings.experiment import Experiment
from search.settings.stored import write_experiment
from trainables.base.checkpoint_files import new_draft, publish_checkpoint
from trainables.base.files import digest_of
from trainables.base.outcomes import Outcome
from trainables.base.sealing import write_sealed

FINALISTS = [
    Finalist(number, {"model.d_model": 64, "model.dropout": dropout}, 4, 20.0)
    for number, dropout in ((5, 0.1), (2, 0.3))
]


def hold(run_dir: Path, experiment: Experiment, finalists: Sequence[Finalist] = FINALISTS, failed: bool = True) -> None:
    """Finals of the experiment, all trained and tested; perhaps the last one failed."""
    (run_dir / "trials.jsonl").touch()
    study = Study(run_dir / "study.db", Earlier(run_dir).finals_name, "maximize")
    plan, journal = FinalsPlan(experiment, list(finalists)), Journal(run_dir / "finals.jsonl")
    for number in range(len(study.trials), len(plan.points)):
        trial = study.add(plan.points[number], plan.distributions)
        for epoch in range(1, 5):
            report = make_report(epoch, 10.0 * number + epoch)
            journal.append(make_line(number, report))
            study.report(trial, epoch, report.score("valid_bleu"))
            draft = new_draft(run_dir / "finals" / str(number))
            (draft / "state.pt").write_text(f"{run_dir.name} {plan.points[number]} {epoch}")
            publish_checkpoint(draft, f"epoch-{epoch}", {"sha256": digest_of(draft / "state.pt"), "report": {}})
        (run_dir / "finals" / str(number) / "test.json").write_text("{}")
        study.finish(trial, Outcome.FAILED if failed and number == len(plan.points) - 1 else Outcome.COMPLETED)
    record = [{"trial": f.trial, "config": f.params, "epochs": 4, "valid_bleu": f.score} for f in finalists]
    write_sealed(run_dir / "finalists.json", {"frozen_at": "day 1", "metric": "valid_bleu", "finalists": record})
    study.close()
    journal.close()


def extended(run_dir: Path, failed: bool = True, **changes: Any) -> Experiment:
    """A run whose finals had two seeds of two finalists, extended."""
    run_dir.mkdir()
    old = experiment_in(run_dir, finals__seeds=2)
    Study(run_dir / "study.db", "search", "maximize").close()
    write_experiment(run_dir / "experiment.yaml", old)
    hold(run_dir, old, failed=failed)
    new = old.with_values({key.replace("__", "."): value for key, value in changes.items()})
    assert Earlier(run_dir).extend(new)
    return new


def take(run_dir: Path, new: Experiment, finalists: Sequence[Finalist] = FINALISTS) -> tuple[int, FinalsPlan, Study]:
    earlier, plan = Earlier(run_dir), FinalsPlan(new, list(finalists))
    study = Study(run_dir / "study.db", earlier.finals_name, "maximize")
    return take_over_finals(earlier, new, plan, study), plan, study


def test_only_the_trainings_that_are_the_same_are_taken_over(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    new = extended(run_dir, finals__seeds=3)
    count, plan, study = take(run_dir, new)
    assert count == 3, "the last one had failed"
    taken = [{"finalist": 5, "seed": 2}, {"finalist": 5, "seed": 3}, {"finalist": 2, "seed": 2}]
    assert plan.points[:3] == taken and [trial.params for trial in study.trials.values()] == taken
    assert sorted(map(str, plan.points)) == sorted(map(str, FinalsPlan(new, FINALISTS).points))
    for number, trial in study.trials.items():
        origin = Path("earlier/1/finals", str(number))
        assert trial.outcome == Outcome.COMPLETED and trial.attributes.taken_from == f"earlier/1, final {number}"
        for file in ("epoch-4/state.pt", "test.json"):
            assert (run_dir / "finals" / str(number) / file).read_text() == (run_dir / origin / file).read_text()
    now = spent_on(study, Totals(read_lines(run_dir / "finals.jsonl")))
    assert Earlier(run_dir).spent() + now == Spent(16, 16, now.wall_seconds), "each is counted once"
    assert take(run_dir, new)[0] == 3, "a resumed search finds them"


@pytest.mark.parametrize(
    ("changes", "finalists", "expected"),
    [
        ({}, [Finalist(5, {"model.d_model": 64, "model.dropout": 0.2}, 4, 20.0)], 0),
        ({}, [Finalist(9, FINALISTS[0].params, 4, 20.0)], 2),
        ({"finals__average_checkpoints": 4}, FINALISTS, 0),
        ({"model__num_heads": 2}, FINALISTS, 0),
        ({"search__trials": 9}, FINALISTS, 3),
    ],
    ids=["another configuration", "another number", "more checkpoints", "another base", "the same"],
)
def test_what_changed_is_trained_again(
    changes: dict[str, Any], finalists: list[Finalist], expected: int, tmp_path: Path
) -> None:
    new = extended(tmp_path / "run", **(changes or {"search__trials": 9}))
    assert take(tmp_path / "run", new, finalists)[0] == expected


@pytest.mark.parametrize(
    ("changes", "stands"),
    [
        ({"search__trials": 9}, True),
        ({"search__trials": 9, "search__sampler": "random", "search__budget__epochs": 900}, True),
        ({"search__trials": 9, "search__concurrency": 2, "tracking__wandb": "disabled"}, True),
        ({"search__trials": 9, "finals__margin": 0.5}, False),
        ({"search__trials": 9, "finals__beam_size": 2}, False),
        ({"search__trials": 9, "finals__export": ["ctranslate2"]}, False),
        ({"search__trials": 9, "search__budget__price_per_gpu_hour": 2.0}, False),
        ({"search__scheduler": "none", "search__goals": ["valid_bleu", "-parameters"]}, False),
    ],
)
def test_a_ranking_stands_if_nothing_that_it_depends_on_has_changed(
    changes: dict[str, Any], stands: bool, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    new = extended(run_dir, failed=False, **changes)
    earlier, folder = Earlier(run_dir), run_dir / "earlier" / "1"
    assert find_standing(earlier, new, FINALISTS) is None, "it was never ranked"
    (folder / "leaderboard.json").write_text("{}")
    (folder / "best").mkdir()
    assert find_standing(earlier, new, FINALISTS) is None, "an earlier version has kept too little"
    write_sealed(folder / "report.json", {"about_ranking": []})
    assert find_standing(earlier, new, FINALISTS) == (folder if stands else None)
    assert find_standing(earlier, new, FINALISTS[:1]) is None
    if stands:
        keep_frozen(folder, run_dir)
        assert standing_folder(earlier) == folder and earlier.test_opened() == ["day 1"]
        write_sealed(run_dir / "finalists.json", {"frozen_at": "day 2"})
        assert standing_folder(earlier) is None


def test_a_ranking_without_all_its_trainings_does_not_stand(tmp_path: Path) -> None:
    new = extended(tmp_path / "run", search__trials=9)
    folder = tmp_path / "run" / "earlier" / "1"
    (folder / "leaderboard.json").write_text("{}")
    (folder / "best").mkdir()
    write_sealed(folder / "report.json", {"about_ranking": []})
    assert find_standing(Earlier(tmp_path / "run"), new, FINALISTS) is None, "the one that failed is tried again"


def test_a_damaged_checkpoint_is_not_taken_over(tmp_path: Path) -> None:
    new = extended(tmp_path / "run", search__trials=9)
    (tmp_path / "run/earlier/1/finals/1/epoch-4/state.pt").write_text("other")
    assert take(tmp_path / "run", new)[0] == 2


@pytest.mark.parametrize("moment", range(1, 30, 4))
def test_a_kill_anywhere_is_harmless(moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / "run"
    new = extended(run_dir, finals__seeds=3)
    count = 0

    def deadly(action: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == moment:
                raise Killed
            return action(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for owner, names in (
            (Path, ("rename", "replace")),
            (Study, ("add", "report", "finish")),
            (Journal, ("append",)),
        ):
            for name in names:
                patch.setattr(owner, name, deadly(getattr(owner, name)))
        with pytest.raises(Killed):
            take(run_dir, new)
    kept, _, study = take(run_dir, new)
    assert kept == 3 and [trial.outcome for trial in study.trials.values()] == [Outcome.COMPLETED] * 3
    lines = [(line.trial, line.report.epoch) for line in read_lines(run_dir / "finals.jsonl")]
    assert lines == [(number, epoch) for number in range(3) for epoch in range(1, 5)]
    assert Earlier(run_dir).spent().epochs == 4

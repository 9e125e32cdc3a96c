"""Replay on small tables made here: the real sampler and scheduler under a virtual clock."""

import csv
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution

from search.engine.proposals import make_scheduler
from search.record.study import Study
from search.replay import measures
from search.replay.measures import Policy, measure_curves, measure_systems
from search.replay.simulation import CurveSimulation, Found, Until, evaluate
from search.replay.tables import FINETUNE, SCRATCH, SYSTEM, Table, read_curves, read_run, read_systems
from search.samplers import SAMPLERS, Proposal
from search.schedulers import SCHEDULERS
from search.schedulers.halving import Halving
from search.schedulers.promotion import Promotion
from search.schedulers.unranked import ToTheEnd
from search.settings.experiment import Experiment
from search.space.domain import Belief
from trainables.base.errors import UserError
from trainables.base.outcomes import Outcome

VALUES = ([1000, 2000], [1, 2, 4], [256, 512], [1024], [4, 8], [0.0003, 0.001])
GRID = list(itertools.product(*VALUES))
RANDOM = SAMPLERS.read("random")
ROOT = Path(__file__).parents[1]


def bleu(row: tuple[float, ...]) -> float:
    return 20 + row[1] - row[0] / 1000 + (row[4] == 8) - 500 * row[5] + (row[2] == 512)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    with (tmp_path / "nmthpo_aa-bb.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*SYSTEM, "dev_bleu"])
        writer.writerows([*row, bleu(row)] for row in GRID)
    runs: list[dict[str, Any]] = []
    for row in GRID:
        length = 10 if row[1] < 4 else 14
        curve = [40 / (1 + step) + 60 / bleu(row) + row[0] / 1000 for step in range(length)]
        runs.append(dict(zip(SCRATCH, row, strict=True)) | {"dev_bleu_final": bleu(row), "dev_ppl_curve": curve})
    runs.append(dict(zip(SCRATCH, GRID[0], strict=True)) | {"dev_bleu_final": None, "dev_ppl_curve": [3.0]})
    (tmp_path / "nmtlc_scratch_aa-bb.json").write_text(json.dumps({"runs": runs}))
    return tmp_path


@pytest.fixture
def curves(tables: Path) -> Table:
    return read_curves(tables / "nmtlc_scratch_aa-bb.json")


def test_every_system_is_tried_once_and_the_best_is_found(tables: Path) -> None:
    table = read_systems(tables / "nmthpo_aa-bb.csv")
    sampler = Policy(SAMPLERS.read("default")).make_sampler(table, 0)
    scores = evaluate(table, sampler, workers=3, until=Until(least=len(GRID), most=99, target=0))
    assert sorted(scores) == sorted(map(bleu, GRID))
    measures = measure_systems(table, Policy(SAMPLERS.read("default")), seeds=4, workers=1)
    assert measures["regret_40"] == 0 <= measures["nr_20"] <= measures["nr_10"] <= measures["nr_5"]
    assert 1 <= measures["ftc_p50"] <= measures["ftc_p90"] <= 41
    gap = table.best - table.median
    assert measures["regret_5"] == pytest.approx(measures["nr_5"] * gap)
    random = measure_systems(table, Policy(RANDOM), seeds=20, workers=1)
    assert measures["nr_10"] < random["nr_10"]


def test_curves_are_bests_so_far_and_runs_without_an_end_are_left_out(curves: Table) -> None:
    assert len(curves.systems) == len(GRID)
    for system in curves.systems.values():
        assert list(system.curve) == sorted(system.curve) and len(system.curve) in (10, 14)
        assert system.comparable == system.params["bpe_k"]


def test_what_is_read_of_a_curve_rises_with_the_quality(tmp_path: Path) -> None:
    """Perplexity falls, BLEU rises; of two systems with one configuration the first counts."""
    run = dict(zip(SCRATCH, GRID[0], strict=True))
    scratch = [
        run | {"dev_ppl_curve": [math.exp(3), math.exp(1), math.exp(2)], "dev_bleu_final": 20.0},
        run | {"dev_ppl_curve": [1.0], "dev_bleu_final": 30.0},
    ]
    (tmp_path / "nmtlc_scratch_aa-bb.json").write_text(json.dumps({"runs": scratch}))
    (system,) = read_curves(tmp_path / "nmtlc_scratch_aa-bb.json").systems.values()
    assert system.curve == pytest.approx((-3, -1, -1)) and system.score == 20.0
    tuned = dict.fromkeys(FINETUNE, 1) | {"dev_bleu_curve": [5.0, 9.0, 7.0]}
    (tmp_path / "nmtlc_finetune_aa-bb.json").write_text(json.dumps({"runs": [tuned]}))
    (system,) = read_curves(tmp_path / "nmtlc_finetune_aa-bb.json").systems.values()
    assert system.curve == (5.0, 9.0, 9.0) and system.score == 9.0


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_run_is_a_table_in_which_more_is_better(
    direction: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, sign = Study(None, "search", direction), 1 if direction == "maximize" else -1
    for width, merits in ((64, (3.0, 5.0, 4.0)), (128, (1.0, 2.0, 9.0)), (256, (1.0, 2.0, 3.0)), (512, (50.0,))):
        trial = study.add({"model.d_model": width}, {"model.d_model": CategoricalDistribution((64, 128, 256, 512))})
        for epoch, merit in enumerate(merits, 1):
            study.report(trial, epoch, sign * merit)
        study.finish(trial, Outcome.COMPLETED if len(merits) == 3 else Outcome.STOPPED)
    monkeypatch.setattr("search.run_directory.checking.open_run", lambda run_dir: (None, study))
    table = read_run(tmp_path)
    found = {system.params["model.d_model"]: (system.score, system.curve) for system in table.systems.values()}
    assert found == {64: (4.0, (3.0, 5.0, 5.0)), 128: (9.0, (1.0, 2.0, 9.0)), 256: (3.0, (1.0, 2.0, 3.0))}
    assert (table.best, table.median) == (9.0, 4.0)


def test_measures_are_means_over_searches(curves: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures of two searches whose scores are given, by hand."""
    best, gap = curves.best, curves.best - curves.median
    runs = [[best - 3, best - 1, best - 2, best - 9, best - 9, *[best - 0.4] * 7, *[best] * 28], [best - 2.0] * 40]
    seconds = [[0.2] * 40 + [9.0], [0.1, 0.5]]  # of the first 40 proposals, a search's mean is .2 and .3
    searches = [measures.WholeRuns(*each) for each in zip(runs, seconds, strict=True)]
    monkeypatch.setattr(measures, "_over_seeds", lambda search, seeds: searches)
    found = measure_systems(curves, Policy(RANDOM), 2, 1)
    assert [found[f"regret_{count}"] for count in (5, 10, 20, 40)] == pytest.approx([1.5, 1.2, 1.0, 1.0])
    assert [found[f"nr_{count}"] * gap for count in (5, 10, 20, 40)] == pytest.approx([1.5, 1.2, 1.0, 1.0])
    assert found["nr_5_se"] * gap == pytest.approx(0.5) and found["nr_10_se"] * gap == pytest.approx(0.8)
    assert found["proposal_seconds"] == pytest.approx(0.25)
    assert found["ftc_mean"] == (6 + 41) / 2
    assert found["ftc_p50"] == (6 + 41) / 2 and found["ftc_p90"] == pytest.approx(6 + 0.9 * 35)
    worst = min(system.score for system in curves.systems.values())
    outcomes = [Found([best - 2, best - 1], killed=True), Found([], killed=False)]
    monkeypatch.setattr(measures, "_over_seeds", lambda search, seeds: outcomes)
    assert measure_curves(curves, Policy(RANDOM), 2) == pytest.approx(
        {
            "regret_20R": (1 + best - worst) / 2,
            "regret_20R_se": abs(best - worst - 1) / 2,  # the standard error of two values is half their distance
            "kill_rate": 0.5,
            "finished_runs": 1.0,
        }
    )


@pytest.mark.parametrize("kind", list(SCHEDULERS))
def test_rungs_and_settings_are_those_of_a_search_of_the_median_length(kind: str, curves: Table) -> None:
    """Curves of 10 or 14: two of three have 10."""
    settings = SCHEDULERS.read(kind)
    if settings.breeds:
        with pytest.raises(UserError, match=f"--scheduler: {kind} makes new trials, which no table has"):
            Policy(RANDOM, settings).make_scheduler(curves)
        return
    search = Experiment.model_validate({"training": {"epochs": 10}, "search": {"scheduler": kind}})
    made, searched = Policy(RANDOM, settings).make_scheduler(curves), make_scheduler(search)
    assert type(made) is type(searched) and made.rungs == searched.rungs
    assert getattr(made, "reduction_factor", None) == getattr(searched, "reduction_factor", None)


class Once:
    """Proposes the first system of a table, and then nothing."""

    def __init__(self, table: Table):
        self.table = table

    def propose(self, study: Study) -> Proposal | None:
        return None if study.trials else Proposal(next(iter(self.table.systems.values())).params)


@pytest.mark.parametrize(("rung", "killed"), [(1, True), (2, False)])
def test_the_best_counts_as_lost_if_it_waits_at_a_rung_in_the_end(rung: int, killed: bool, curves: Table) -> None:
    assert CurveSimulation(curves, Once(curves), Promotion((rung,), 3), 1, budget=1).run() == Found([], killed)


def test_workers_train_in_turn(curves: Table) -> None:
    """Each checkpoint takes as long as any other, so none is further than one ahead."""
    simulation = CurveSimulation(curves, Policy(RANDOM).make_sampler(curves, 0), ToTheEnd(), 3, budget=14)
    simulation.run()
    assert sorted(trial.progress for trial in simulation.study.trials.values()) == [4, 5, 5]


@pytest.mark.parametrize("policy", ["random", "default"])
def test_workers_spend_the_budget_and_no_more(curves: Table, policy: str) -> None:
    for scheduler in (ToTheEnd(), Halving((3, 6), 2), Promotion((3, 6), 2)):
        simulation = CurveSimulation(
            curves, Policy(SAMPLERS.read(policy)).make_sampler(curves, 1), scheduler, 4, budget=100
        )
        outcome = simulation.run()
        trained = sum(len(trial.scores) for trial in simulation.study.trials.values())
        assert trained == simulation.spent == 100
        assert len({curves.space.key(trial.params) for trial in simulation.study.trials.values()}) == len(
            simulation.study.trials
        )
        for trial in simulation.study.trials.values():
            if trial.outcome == "completed":
                assert len(trial.scores) == len(curves.system(trial.params).curve)
                assert trial.value == curves.system(trial.params).score
            elif trial.number not in simulation.live:
                assert trial.progress in (3, 6)
        completed = [t.value for t in simulation.study.trials.values() if t.outcome == "completed"]
        assert sorted(outcome.finished) == sorted(value for value in completed if value is not None)
        assert not (outcome.killed and isinstance(scheduler, ToTheEnd))


def test_stopping_early_starts_more_trials_and_the_best_is_stopped_now_and_then(curves: Table) -> None:
    promoted = measure_curves(curves, Policy(RANDOM), seeds=12)
    whole = measure_curves(curves, Policy(RANDOM, SCHEDULERS.read("none")), seeds=12)
    assert whole["kill_rate"] == 0 <= promoted["kill_rate"] <= 1
    assert promoted["finished_runs"] < whole["finished_runs"]


def test_the_command_writes_its_measures(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, str(ROOT / "search" / "run.py"), "replay", "--tables", str(tables), "--pair", "aa-bb"]
    options = ["--policy", "default", "--seeds", "2", "--workers", "4", "--prior-pairs", "aa-bb", "--json", str(out)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    measures = json.loads(out.read_text())
    assert {"pair", "policy", "seeds", "workers", "regret_20R", "kill_rate"} <= set(measures)
    assert {f"{kind}_{n}" for kind in ("regret", "nr") for n in (10, 20, 40)} | {"ftc_p50", "ftc_p90"} <= set(measures)
    assert "nr_20" in done.stdout
    wrong = subprocess.run([*command[:-1], "xx-yy"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and "--pair" in wrong.stderr and "Traceback" not in wrong.stderr


def test_a_broken_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "nmthpo_x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="it needs columns bpe_symbols"):
        read_systems(tmp_path / "nmthpo_x.csv")
    (tmp_path / "nmtlc_scratch_x.json").write_text("[1]")
    with pytest.raises(UserError, match="not a table of systems"):
        read_curves(tmp_path / "nmtlc_scratch_x.json")


def test_a_belief_in_a_table_is_one_of_its_space(tables: Path) -> None:
    table = read_systems(tables / "nmthpo_aa-bb.csv")
    believed = table.believing({"num_layers": Belief(value=4, confidence="high")})
    sampler = Policy(SAMPLERS.read("default")).make_sampler(believed, 0)
    proposal = sampler.propose(Study(None, "replay", "maximize"))
    assert proposal is not None and proposal.params["num_layers"] == 4 and believed.systems == table.systems
    with pytest.raises(UserError, match=r"--beliefs\.num_layers\.value: 3 is not one of"):
        table.believing({"num_layers": Belief(value=3)})
    with pytest.raises(
        UserError, match="--beliefs: layers is no hyperparameter of nmthpo_aa-bb; did you mean num_layers"
    ):
        table.believing({"layers": Belief(value=4)})

"""Replay on small tables made here: the real sampler and scheduler under a virtual clock."""

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search.replay.measures import Policy, measure_curves, measure_systems
from search.replay.simulation import CurveSimulation, evaluate
from search.replay.tables import SCRATCH, SYSTEM, Table, read_curves, read_systems
from search.samplers import SamplerName
from search.schedulers.halving import Halving
from search.schedulers.promotion import Promotion
from search.schedulers.unranked import ToTheEnd
from trainables.errors import UserError

VALUES = ([1000, 2000], [1, 2, 4], [256, 512], [1024], [4, 8], [0.0003, 0.001])
GRID = list(itertools.product(*VALUES))
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
    sampler = Policy("default").make_sampler(table, 0)
    scores = evaluate(table, sampler, workers=3, least=len(GRID), most=99, target=0)
    assert sorted(scores) == sorted(map(bleu, GRID))
    measures = measure_systems(table, Policy("default"), seeds=4, workers=1)
    assert measures["regret_40"] == 0 <= measures["nr_20"] <= measures["nr_10"] <= measures["nr_5"]
    assert 1 <= measures["ftc_p50"] <= measures["ftc_p90"] <= 41
    gap = table.best - table.median
    assert measures["regret_5"] == pytest.approx(measures["nr_5"] * gap)
    random = measure_systems(table, Policy("random"), seeds=20, workers=1)
    assert measures["nr_10"] < random["nr_10"]


def test_curves_are_bests_so_far_and_runs_without_an_end_are_left_out(curves: Table) -> None:
    assert len(curves.systems) == len(GRID)
    for system in curves.systems.values():
        assert list(system.curve) == sorted(system.curve) and len(system.curve) in (10, 14)
        assert system.comparable == system.params["bpe_k"]


@pytest.mark.parametrize("policy", ["random", "default"])
def test_workers_spend_the_budget_and_no_more(curves: Table, policy: SamplerName) -> None:
    for scheduler in (ToTheEnd(), Halving((3, 6), 2), Promotion((3, 6), 2)):
        simulation = CurveSimulation(curves, Policy(policy).make_sampler(curves, 1), scheduler, 4, budget=100)
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
                assert trial.epoch in (3, 6)
        completed = [t.value for t in simulation.study.trials.values() if t.outcome == "completed"]
        assert sorted(outcome.finished) == sorted(value for value in completed if value is not None)
        assert not (outcome.killed and isinstance(scheduler, ToTheEnd))


def test_stopping_early_starts_more_trials_and_the_best_is_stopped_now_and_then(curves: Table) -> None:
    promoted = measure_curves(curves, Policy("random"), seeds=12)
    whole = measure_curves(curves, Policy("random", "none"), seeds=12)
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

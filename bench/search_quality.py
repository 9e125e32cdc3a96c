"""How soon policies find the best system in tables of trained ones: one table from many runs of `replay`.

python bench/search_quality.py DIR [SEEDS] [POLICY ...]

DIR has nmthpo_PAIR.csv, and nmtlc_KIND_PAIR.json if there are learning curves; docs/search-quality.md explains the
measures. Prints a row per policy: whole runs for each pair and their mean, then regret and kill rate with successive
halving, each with its standard error. A policy is a sampler, a comma, and workers (with learning curves at least four);
then, if you like, a comma and the least chance of asha_promotion, or null: default,4,null. Optuna's gp takes long.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).parents[1]
POLICIES = ("random,1", "tpe,1", "gp,1", "default,1", "random,4", "tpe,4", "default,4")
MARKS = (5, 10, 20, 40)


def replay(folder: Path, pair: str, policy: str, seeds: int) -> dict[str, Any]:
    sampler, workers, *chance = policy.split(",")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "measures.json"
        options = ["--tables", folder, "--pair", pair, "--policy", sampler, "--workers", workers, "--seeds", seeds]
        options += ["--curve_workers", max(4, int(workers))]
        options += [f"--scheduler.chance={least}" for least in chance]
        command = [sys.executable, ROOT / "search/run.py", "replay", *options, "--json", out]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        measures: dict[str, Any] = json.loads(out.read_text())
    return measures


def row(policy: str, found: dict[str, dict[str, Any]]) -> str:
    """The cells of a row; found: the measures by pair."""
    systems = {pair: measures for pair, measures in found.items() if "nr_20" in measures}
    cells = [policy]
    for measures in systems.values():
        cells.append(" / ".join(f"{measures[f'nr_{mark}']:.3f} ± {measures[f'nr_{mark}_se']:.3f}" for mark in MARKS))
        cells.append(f"{measures['ftc_p50']:g} / {measures['ftc_p90']:g}")
    cells.append(" / ".join(f"{mean(m[f'nr_{mark}'] for m in systems.values()):.3f}" for mark in (20, 40)))
    for measures in found.values():
        for curve in measures.get("curves", {}).values():
            regret = f"{curve['regret_20R']:.3f} ± {curve['regret_20R_se']:.3f}"
            cells.append(f"{regret}, kill {curve['kill_rate']:.3f}")
    return f"| {' | '.join(cells)} |"


def head(found: dict[str, dict[str, Any]]) -> str:
    columns = ["sampler, workers"]
    for pair, measures in found.items():
        if "nr_20" in measures:
            columns += [f"{pair}: nr_5 / 10 / 20 / 40", "ftc p50 / p90"]
    columns.append("mean nr_20 / nr_40")
    columns += [name.removeprefix("nmtlc_") for measures in found.values() for name in measures.get("curves", {})]
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


if __name__ == "__main__":
    folder, seeds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30
    names = {file.stem.rsplit("_", 1)[1] for file in (*folder.glob("nmthpo_*.csv"), *folder.glob("nmtlc_*.json"))}
    for index, policy in enumerate(sys.argv[3:] or POLICIES):
        found = {pair: replay(folder, pair, policy, seeds) for pair in sorted(names)}
        print(*([] if index else [head(found)]), row(policy, found), sep="\n", flush=True)

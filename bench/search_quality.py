"""How soon policies find the best system in tables of trained ones: one table from many runs of `replay`.

python bench/search_quality.py [--peers] DIR [SEEDS] [POLICY ...]

DIR has nmthpo_PAIR.csv, and nmtlc_KIND_PAIR.json if there are learning curves; docs/search-quality.md explains the
measures. Prints a row per policy: whole runs for each pair and their mean, then regret and kill rate with successive
halving, each with its standard error. A policy is a sampler, a comma, and workers (with learning curves at least four);
then, if you like, a comma and the least chance of asha_promotion, or null, and @ and its own number of seeds:
default,4,null@100. Optuna's gp takes long.

--peers: whole runs alone, to the last measure and no further, beside other people's optimisers (bench/optimisers.py),
with the CPU seconds of a proposal. `make search-quality TABLES=DIR` installs what those need.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).parents[1]
POLICIES = ("random,1", "tpe,1", "gp,1", "default,1", "random,4", "tpe,4", "default,4")
SLOW = ("gp", "optimisers:BoTorch", "optimisers:Hebo", "optimisers:Smac")
PEERS = tuple(
    f"{sampler},{workers}{'@10' if sampler in SLOW else ''}"
    for sampler in ("random", "default", "tpe", *SLOW)
    for workers in (1, 4)
)
MARKS = (5, 10, 20, 40)
POLICY = re.compile(r"(?P<sampler>[\w:.]+),(?P<workers>\d+)(?:,(?P<chance>[\w.]+))?(?:@(?P<seeds>\d+))?")

Measures = dict[str, dict[str, Any]]  # by pair


@dataclass(frozen=True)
class Policy:
    name: str
    sampler: str
    workers: int
    chance: str | None
    seeds: int


def read_policy(text: str, seeds: int) -> Policy:
    """seeds: unless the policy has its own."""
    found = POLICY.fullmatch(text)
    if found is None:
        raise SystemExit(f"{text}: not a policy; write SAMPLER,WORKERS, such as default,4 or default,4,null@100")
    own = int(found["seeds"] or seeds)
    return Policy(text.partition("@")[0], found["sampler"], int(found["workers"]), found["chance"], own)


def replay(folder: Path, pair: str, policy: Policy, longest: int | None) -> dict[str, Any]:
    """The measures of a policy on a pair; longest: the last evaluation of whole runs, if not replay's own."""
    sampler = json.dumps({"kind": policy.sampler})
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "measures.json"
        options = ["--tables", folder, "--pair", pair, "--policy", sampler, "--workers", policy.workers]
        options += ["--seeds", policy.seeds, "--curve_workers", max(4, policy.workers)]
        options += [] if policy.chance is None else [f"--scheduler.chance={policy.chance}"]
        options += [] if longest is None else ["--longest", longest]
        command = [sys.executable, ROOT / "search/run.py", "replay", *options, "--json", out]
        searched = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            list(map(str, command)), stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": searched}
        )
        if done.returncode:
            raise SystemExit(f"{policy.name} on {pair}: replay ended with status {done.returncode}, see above")
        measures: dict[str, Any] = json.loads(out.read_text())
    return measures


def regrets(measures: dict[str, Any]) -> str:
    return " / ".join(f"{measures[f'nr_{mark}']:.3f} ± {measures[f'nr_{mark}_se']:.3f}" for mark in MARKS)


def mean_of(found: Measures) -> dict[str, float]:
    """Mean regrets over pairs, with their standard errors."""
    means: dict[str, float] = {}
    for name in (f"nr_{mark}" for mark in MARKS):
        means[name] = fmean(measures[name] for measures in found.values())
        means[f"{name}_se"] = math.hypot(*(measures[f"{name}_se"] for measures in found.values())) / len(found)
    return means


def row(policy: Policy, found: Measures) -> str:
    """The cells of a row."""
    systems = {pair: measures for pair, measures in found.items() if "nr_20" in measures}
    cells = [policy.name]
    for measures in systems.values():
        cells += [regrets(measures), f"{measures['ftc_p50']:g} / {measures['ftc_p90']:g}"]
    cells.append(" / ".join(f"{fmean(m[f'nr_{mark}'] for m in systems.values()):.3f}" for mark in (20, 40)))
    for measures in found.values():
        for curve in measures.get("curves", {}).values():
            regret = f"{curve['regret_20R']:.3f} ± {curve['regret_20R_se']:.3f}"
            cells.append(f"{regret}, kill {curve['kill_rate']:.3f}")
    return f"| {' | '.join(cells)} |"


def head(found: Measures) -> str:
    columns = ["sampler, workers"]
    for pair, measures in found.items():
        if "nr_20" in measures:
            columns += [f"{pair}: nr_5 / 10 / 20 / 40", "ftc p50 / p90"]
    columns.append("mean nr_20 / nr_40")
    columns += [name.removeprefix("nmtlc_") for measures in found.values() for name in measures.get("curves", {})]
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def peer_row(policy: Policy, found: Measures) -> str:
    """The cells of a row with --peers."""
    name = policy.sampler.rpartition(":")[2]
    cells = [name, str(policy.workers), str(policy.seeds), *map(regrets, [*found.values(), mean_of(found)])]
    return f"| {' | '.join(cells)} | {fmean(m['proposal_seconds'] for m in found.values()):.3f} |"


def peer_head(found: Measures) -> str:
    columns = ["optimiser", "workers", "seeds", *(f"{pair}: nr_5 / 10 / 20 / 40" for pair in found)]
    columns += [f"mean of {len(found)} pairs", "CPU s a proposal"]
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("folder", type=Path)
    parser.add_argument("seeds", type=int, nargs="?", default=30)
    parser.add_argument("policies", nargs="*")
    options = parser.parse_args()
    files = [*options.folder.glob("nmthpo_*.csv"), *([] if options.peers else options.folder.glob("nmtlc_*.json"))]
    pairs = sorted({file.stem.rsplit("_", 1)[1] for file in files})
    if not pairs:
        raise SystemExit(f"{options.folder}: has no tables; name a folder with nmthpo_PAIR.csv")
    policies = [read_policy(each, options.seeds) for each in options.policies or (PEERS if options.peers else POLICIES)]
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder
        if options.peers:  # without learning curves, which those don't know
            folder = Path(place)
            for file in files:
                (folder / file.name).symlink_to(file.resolve())
        for index, policy in enumerate(policies):
            found = {pair: replay(folder, pair, policy, MARKS[-1] if options.peers else None) for pair in pairs}
            titles, cells = (peer_head, peer_row) if options.peers else (head, row)
            print(*([] if index else [titles(found)]), cells(policy, found), sep="\n", flush=True)


if __name__ == "__main__":
    main()

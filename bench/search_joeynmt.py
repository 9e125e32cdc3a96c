"""JoeyNMT on the embedded corpus: what a search finds, against the configuration it starts from, at equal epochs.

    make trainers
    python bench/search_joeynmt.py [--round 200] [--epochs 9] [--trials 12] [--output_dir runs]

Both are retrained with the same fresh seeds, and their test BLEU has the interval of the finals. Prints a table.
"""

import argparse
from pathlib import Path
from typing import Any

from search import Experiment, Result, load_run, search
from trainables.base.sealing import read_sealed

EXAMPLE = Path(__file__).parents[1] / "examples" / "joeynmt.yaml"


def found(name: str, output_dir: str, changes: dict[str, Any]) -> Result:
    """The result of a search; one that has ended before is read."""
    run_dir = Path(output_dir) / name
    if (run_dir / "leaderboard.json").exists():
        return load_run(run_dir)
    return search(Experiment.load(EXAMPLE, **changes, name=name, output_dir=output_dir))


def row(title: str, result: Result) -> str:
    best, cost = result.ranking.iloc[0], read_sealed(result.path / "leaderboard.json")["search"]
    settings = ", ".join(f"{path.rpartition('.')[2]} {best[path]:.3g}" for path in result.experiment.space.domains)
    interval = f"{best['test_bleu_low']:.1f}–{best['test_bleu_high']:.1f}"
    scores = f"{best['test_bleu']:.1f} ({interval}) | {best['test_chrf']:.1f}"
    return f"| {title} | {settings or 'as in examples/joey.yaml'} | {scores} | {cost['gpu_seconds'] / 60:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--round", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--output_dir", default="runs")
    given = parser.parse_args()
    both = {"command.round": given.round, "training.epochs": given.epochs}
    base = found("joeynmt-base", given.output_dir, both | {"space": {}, "search.trials": 1, "finals.top": 1})
    best = found("joeynmt-found", given.output_dir, both | {"search.trials": given.trials})
    print("| JoeyNMT | settings | test BLEU (95%) | chrF++ | minutes of the search |\n| --- | --- | --- | --- | --- |")
    print(row("the base", base))
    print(row(f"the best of {given.trials}", best))


if __name__ == "__main__":
    main()

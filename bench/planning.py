"""How far off `babeltune plan` is: some small searches are planned, then run. About 15 minutes on two idle cores.

python bench/planning.py [FOLDER]    the runs stay in the folder, if one is given

Prints a row for each: the plan with its interval, and the result.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from search.record.journal import Totals, read_lines

ROOT = Path(__file__).parents[1]
SEARCHES = {
    "quickstart": [],
    "asha": ["--search.scheduler", "asha", "--search.trials", "8"],
    "every trial to its end": ["--search.scheduler", "none", "--search.trials", "6", "--training.epochs", "2"],
    "random, one at a time": ["--search.sampler", "random", "--search.concurrency", "1", "--search.trials", "6"],
    "reports by steps": [
        *("--training.report_steps", "150", "--search.scheduler.rungs", "[300,600]", "--search.trials", "8"),
        *("--finals.top", "2"),
    ],
    "a budget of 3 minutes": [
        *("--search.trials", "null", "--search.budget.wall_hours", "0.05", "--finals.top", "1", "--data.limit", "4000")
    ],
}
Number = int | float


def measure(name: str, options: list[str], folder: Path) -> str:
    """The row of one search."""
    command = [sys.executable, "search/run.py"]
    given = ["--output_dir", str(folder), *options]
    subprocess.run([*command, "plan", *given], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    run = folder / name.replace(" ", "-").replace(",", "")
    started = time.monotonic()
    subprocess.run([*command, "--name", run.name, *given], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - started
    plan = json.loads((run / "plan.json").read_text())
    trials, finals = (Totals(read_lines(run / f"{kind}.jsonl")) for kind in ("trials", "finals"))
    cells = [
        _cell(plan["epochs"], trials.epochs, 1, ""),
        _cell(plan["times"]["device"], trials.seconds + finals.seconds, 60, " min"),
        _cell(plan["times"]["wall"], wall, 60, " min"),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _cell(planned: dict[str, Number], came: Number, unit: Number, name: str) -> str:
    low, expected, high = (planned[key] / unit for key in ("low", "expected", "high"))
    return f"{came / unit:.3g}{name} | {expected:.3g} ({low:.3g} to {high:.3g}) | {expected * unit / came - 1:+.0%}"


def main(folder: Path) -> None:
    quantities = ("epochs of the search", "device time", "by the clock")
    print("| search |", *(f"{quantity} | planned | off |" for quantity in quantities))
    print("|---" * (1 + 3 * len(quantities)) + "|")
    for name, options in SEARCHES.items():
        print(measure(name, options, folder), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))

"""A search on a large corpus, undisturbed and killed and resumed: equal results, and its memory over time.

python bench/large_search.py --pairs 3000000 --folder DIR    about 20 minutes of two cores, and 4 GB of disk

Text is made up (see corpus_size.py); the model is small, rungs are in steps within an epoch, and two trials train at a
time, in the same order in both runs (`search.deterministic`).
"""

import json
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus_size import write_corpus
from disturbances import descendants
from rich.console import Console
from rich.table import Table

STEPS = 120  # of a trial; rungs are at a third and two thirds of them
EPOCH_STEPS = 44  # thousand pairs' steps are about so many thousandths of the pairs, at 2,048 tokens a batch
KILLED_AFTER = 5  # reports
SECONDS = 2.0  # between two looks at memory
VALUES = ("epoch", "step", "train_loss", "valid_loss", "valid_bleu", "tokens")
MIB = 1 << 20
ROOT = Path(__file__).parents[1]


def configure(folder: Path, pairs: int) -> Path:
    """Write the configuration of the search."""
    file = folder / "large.yaml"
    epochs = STEPS / (pairs / EPOCH_STEPS)
    file.write_text(
        f"""data: {{path: {folder / "corpus"}}}
tokenizer: {{vocab_size: 4000}}
model: {{d_model: 32, num_heads: 4, ffn_dim: 64, encoder_layers: 1, decoder_layers: 1}}
training: {{epochs: {epochs:.6f}, report_steps: {STEPS // 3}, batch_tokens: 2048, valid_pairs: 50}}
space:
  model.d_model: {{values: [16, 32]}}
  training.learning_rate: {{min: 0.0005, max: 0.01, distribution: log_uniform_values}}
search:
  trials: 6
  sampler: random
  scheduler: {{kind: asha_promotion, rungs: [{STEPS // 3}, {2 * STEPS // 3}]}}
  concurrency: 2
  deterministic: true
finals: {{top: 2, seeds: 1, beam_size: 1}}
tracking: {{wandb: disabled}}
output_dir: {folder / "runs"}
"""
    )
    return file


def memory_of(pid: int) -> dict[str, float]:
    """MiB of a process: its own, and what it shares with others by its part of it."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        values = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith("kB")}
        return {"own": values["Private_Clean"] + values["Private_Dirty"], "shared": values["Rss"] - values["Pss"]}
    return {}


def watch(driver: "subprocess.Popen[bytes]") -> Iterator[tuple[float, dict[str, float]]]:
    """Yield seconds since the start and MiB that each kind of process has for itself, until the driver ends."""
    started = time.monotonic()
    while driver.poll() is None:
        kinds: dict[str, float] = defaultdict(float)
        for pid, command in {driver.pid: "driver", **descendants(driver.pid)}.items():
            kind = next((name for name in ("driver", "ImplicitFunc", "multiprocessing") if name in command), "Ray")
            kinds[kind] = max(kinds[kind], memory_of(pid).get("own", 0.0))
        yield time.monotonic() - started, kinds
        time.sleep(SECONDS)


def reports_of(run_dir: Path) -> int:
    """How many reports the run has."""
    file = run_dir / "trials.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def search(command: list[str], run_dir: Path, kill: bool) -> list[tuple[float, dict[str, float]]]:
    """Run a search, perhaps up to its death; its memory over time."""
    seen = []
    with (run_dir.parent / f"{run_dir.name}.log").open("ab") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        for moment in watch(driver):
            seen.append(moment)
            if kill and reports_of(run_dir) >= KILLED_AFTER:
                driver.send_signal(signal.SIGKILL)
        if driver.wait() and not kill:
            raise SystemExit(f"{run_dir}: status {driver.returncode}; see {log.name}")
    return seen


def results(run_dir: Path) -> dict[str, Any]:
    """What must be equal: reports without their times, and the ranking."""
    lines = [json.loads(line) for line in (run_dir / "trials.jsonl").read_text().splitlines()]
    reports = sorted([line["trial"], *(line[value] for value in VALUES)] for line in lines)
    board = json.loads((run_dir / "leaderboard.json").read_text())
    return {"reports": reports, "ranking": [(each["trial"], each[board["metric"]]) for each in board["ranking"]]}


def main() -> None:
    """Search twice and compare."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="for corpus and runs; what is there already is used")
    options = parser.parse_args()
    folder, console = options.folder.absolute(), Console(width=100)
    if not (folder / "corpus").exists():
        (folder / "corpus").mkdir(parents=True)
        write_corpus(folder / "corpus", options.pairs)
        time.sleep(3)
    (folder / "runs").mkdir(exist_ok=True)
    program = [sys.executable, str(ROOT / "search" / "run.py")]
    start = [*program, "--config", str(configure(folder, options.pairs)), "--name"]
    whole, killed = folder / "runs" / "whole", folder / "runs" / "killed"
    memory = search([*start, whole.name], whole, kill=False)
    search([*start, killed.name], killed, kill=True)
    console.print(f"killed after {reports_of(killed)} reports")
    search([*program, "resume", str(killed)], killed, kill=False)
    equal = results(whole) == results(killed)
    table = Table("seconds", *(kinds := sorted({kind for _, moment in memory for kind in moment})))
    for place in range(0, len(memory), max(1, len(memory) // 12)):
        seconds, moment = memory[place]
        table.add_row(f"{seconds:.0f}", *(f"{moment.get(kind, 0):,.0f}" for kind in kinds))
    table.add_row("peak", *(f"{max(moment.get(kind, 0) for _, moment in memory):,.0f}" for kind in kinds))
    console.print("MiB of the largest process of each kind, without what it shares with others:", table)
    console.print(f"{len(results(whole)['reports'])} reports; results are {'equal' if equal else 'NOT EQUAL'}")
    raise SystemExit(not equal)


if __name__ == "__main__":
    main()

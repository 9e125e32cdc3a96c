"""One session on a GPU that is lent for minutes: what matters most first, each part with a limit of time.

python bench/gpu_session.py OUT [--data DIR] [--minutes 12]

Writes OUT/session.json after each part, the output of each into OUT, and at the end OUT/session.md, a section for
docs/performance.md with date and device. A part that fails or takes too long costs only its own time. Without a GPU it
does the same on a CPU, with tiny models, so that the script can be tried out.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
LAST_LINES = 40  # of the output of a part, in session.md
SPARE_SECONDS = 20.0  # for the end


@dataclass(frozen=True)
class Part:
    """A measurement. `share` of the session's time is its limit; time that it leaves is for those after it."""

    name: str
    command: list[str]
    share: float
    tells: str  # what its output says


@dataclass(frozen=True)
class Done:
    """How a part ended. status: of the command; None if it took too long, or if there was no time for it."""

    name: str
    status: int | None
    seconds: float
    limit: float


def parts(out: Path, data: Path | None) -> list[Part]:
    """The parts, in order of worth."""
    corpus, gpu = ["--data", str(data)] if data else [], torch.cuda.is_available()
    runs = ["--output_dir", str(out / "runs")]
    real = ["--config", "multi30k-small", "--data.path", str(data)] if data else ["--config", "quickstart"]
    return [
        Part(
            "tests",
            [PYTHON, "-m", "pytest", "-q", "-x", "-rs", "tests/test_stacked.py", "tests/test_precision.py"],
            0.12,
            "captured and stacked steps equal eager ones on this device",
        ),
        Part(
            "steps",
            [PYTHON, "bench/gpu.py", *corpus, *runs]
            if gpu
            else [PYTHON, "bench/precision.py", "--steps-only", *corpus],
            0.4,
            "trials per hour: eager, captured, in processes, as one computation; the share of the matrix rate",
        ),
        Part(
            "search",
            [
                PYTHON,
                "search/run.py",
                *real,
                *runs,
                "--name",
                "session",
                "--search.trials",
                "12",
                "--search.concurrency",
            ]
            + (["auto"] if gpu else ["2"]),
            0.3,
            "a real search: its plan against its time, memory packing, and its ranking",
        ),
        Part(
            "plan", [PYTHON, "search/run.py", "status", str(out / "runs" / "session")], 0.02, "how far the search came"
        ),
        Part(
            "decoding",
            [PYTHON, "search/run.py", "time", *real[1:2], *real[2:], "--output_dir", str(out / "runs")],
            0.1,
            "seconds for a sentence of the base model",
        ),
    ]


def run(part: Part, out: Path, limit: float) -> Done:
    """Run a part in a process group of its own, which is ended at the limit."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "bench")]), "COLUMNS": "120"}
    with (out / f"{part.name}.txt").open("w") as output:
        process = subprocess.Popen(
            part.command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        status: int | None
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Done(part.name, status, time.monotonic() - started, limit)


def device() -> str:
    """The device, in words."""
    if not torch.cuda.is_available():
        return f"no GPU, {platform.machine()}"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def page(out: Path, chosen: list[Part], done: list[Done]) -> str:
    """The section for docs/performance.md."""
    lines = [f"### Measured on {device()}", ""]
    lines += [f"{time.strftime('%Y-%m-%d')}, torch {torch.__version__}, Python {platform.python_version()}.", ""]
    for part, ended in zip(chosen, done, strict=False):
        how = {0: "", None: ", ended at its limit"}.get(ended.status, f", ended with status {ended.status}")
        text = (out / f"{part.name}.txt").read_text(errors="replace").splitlines()[-LAST_LINES:]
        lines += [f"**{part.name}** ({part.tells}; {ended.seconds:.0f} s{how})", "", "```", *text, "```", ""]
    return "\n".join(lines)


def main(out: Path, data: Path | None, minutes: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * minutes - SPARE_SECONDS
    chosen, done, shares = parts(out, data), list[Done](), 1.0
    for part in chosen:
        left = ends - time.monotonic()
        limit = left * part.share / shares if shares > part.share else left
        shares -= part.share
        if limit < 1:
            break
        print(f"{part.name}: at most {limit:.0f} s", flush=True)
        done.append(run(part, out, limit))
        print(f"{part.name}: {done[-1].seconds:.0f} s, status {done[-1].status}", flush=True)
        record = {"device": device(), "torch": torch.__version__, "parts": [asdict(each) for each in done]}
        (out / "session.json").write_text(json.dumps(record, indent=1))
    (out / "session.md").write_text(page(out, chosen, done))
    if any(each.status not in (0, None) for each in done):
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--data", type=Path, help="folder of Multi30k, or of files of the same names")
    parser.add_argument("--minutes", type=float, default=12.0, help="length of the session")
    main(**vars(parser.parse_args()))

"""The cost of W&B: 32 short trials with W&B disabled, offline, and online with a server on this machine.

python bench/tracking.py [ROUNDS]
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the corpus of digits and the replacement of the server

from corpora import write_digits  # noqa: E402
from wandb_server import KEY, serve  # noqa: E402

TRIALS = 32
MODES = ("disabled", "offline", "online")


def write_config(folder: Path, trials: int) -> Path:
    """Write a configuration with the same trials in every mode: drawn at random, none stopped, none retrained."""
    config = {
        "output_dir": str(folder / "runs"),
        "data": {"path": str(write_digits(folder / "corpus", train=600))},
        "tokenizer": {"vocab_size": 60},
        "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 64, "num_heads": 2, "ffn_dim": 128},
        "training": {"epochs": 4, "batch_tokens": 256, "warmup_steps": 20},
        "space": {"model.dropout": {"min": 0.0, "max": 0.3}},
        "search": {"trials": trials, "sampler": "random", "scheduler": "none"},
        "finals": {"top": 1, "seeds": 0, "beam_size": 1},
    }
    file = folder / "short.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def seconds(config: Path, mode: str, name: str, environment: dict[str, str]) -> float:
    """The seconds of one whole command."""
    command = [sys.executable, str(ROOT / "search" / "run.py"), "--config", str(config), "--name", name]
    started = time.perf_counter()
    subprocess.run([*command, "--tracking.wandb", mode], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main(rounds: int) -> None:
    with TemporaryDirectory() as folder, serve() as server:
        environment = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        seconds(write_config(Path(folder), 2), "disabled", "warm-up", environment)
        config = write_config(Path(folder), TRIALS)
        took: dict[str, list[float]] = {mode: [] for mode in MODES}
        for number in range(rounds):
            for mode in MODES:
                took[mode].append(seconds(config, mode, f"{mode}-{number}", environment))
        for mode in MODES:
            ratios = [one / base for one, base in zip(took[mode], took["disabled"], strict=True)]
            print(f"{mode:8}  {median(took[mode]):6.1f} s  {median(ratios):.3f} of disabled", flush=True)
        assert sum(run.job_type == "trial" for run in server.runs.values()) == TRIALS * rounds


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)

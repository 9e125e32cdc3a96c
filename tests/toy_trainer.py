"""A trainer in another process for tests: deterministic, without packages, and with bad behaviour if asked.

    python toy_trainer.py train CONFIG.json
    python toy_trainer.py translate CHECKPOINT < SOURCES

Its model is a memory of training pairs, of which it keeps more with more steps; it translates by the nearest source.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MULTIPLIER, MODULUS = 6364136223846793005, 2**64
SURVIVOR = """
import os, signal, sys, time
os.setsid()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    open(sys.argv[1], "a").write(".")
    time.sleep(0.05)
"""


def train(config: dict[str, Any]) -> None:
    folder, every = Path(config["folder"]), config["every"]
    state = {"step": 0, "chain": config["seed"], "quality": 0.0}
    if config.get("start"):
        state = json.loads((Path(config["start"]) / "state.json").read_text())
    while state["step"] < config["steps"]:
        step = state["step"] + 1
        chain = (state["chain"] * MULTIPLIER + step) % MODULUS
        rate = config["model"]["rate"]
        quality = state["quality"] + rate * math.exp(-rate * step) + chain / MODULUS / 100
        state = {"step": step, "chain": chain, "quality": quality}
        time.sleep(config.get("seconds", 0.0))
        if step % every == 0:
            misbehave(config, folder, step)
            save(folder / f"checkpoint-{step}", state, config)
            report(folder, step, state, config)
    print("trained")


def save(place: Path, state: dict[str, Any], config: dict[str, Any]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    sides = [Path(config["data"], f"train.{language}").read_text().splitlines() for language in ("en", "fr")]
    pairs = max(1, round(len(sides[0]) * min(1.0, state["quality"] / 4)))
    (place / "memory.json").write_text(json.dumps([side[:pairs][:400] for side in sides]))
    (place / "state.json").write_text(json.dumps(state))
    (place / "done").write_text("")


def report(folder: Path, step: int, state: dict[str, Any], config: dict[str, Any]) -> None:
    values = {"step": step, "valid_bleu": 100 * state["quality"], "chain": state["chain"] % 100000}
    if config.get("does") == "nan" and step >= config["at"]:
        values["valid_bleu"] = math.nan
    if config.get("does") == "noise":
        values["valid_bleu"] += time.time()
    if config.get("does") == "rubbish" and step >= config["at"]:
        values["valid_bleu"] = "much better"
    lines = [values, {**values, "valid_bleu": -1.0}] if config.get("does") == "twice" else [values]
    with (folder / "reports.jsonl").open("a") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
    if config.get("does") == "nan" and step >= config["at"]:
        sys.exit(0)


def misbehave(config: dict[str, Any], folder: Path, step: int) -> None:
    """Do what `does` says when the step `at` is reached; what is done once leaves a mark beside the folder."""
    does, mark = config.get("does"), folder.parent / "done-once"
    if step < config.get("at", 0):
        return
    if does == "rubbish":
        sys.stdout.buffer.write(bytes(range(256)) * 50 + b"\n")
    elif does == "hangs":
        time.sleep(1000)
    elif does == "ignores":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    elif does == "fails":
        sys.exit("no such layer")
    elif does == "leaves":
        sys.exit(0)
    elif does == "diverges":
        print("Loss: nan", flush=True)
        sys.exit(0)
    elif does == "exceeds":
        print("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", flush=True)
        sys.exit(1)
    elif does == "skips":
        save(folder / f"checkpoint-{step + 1}", {"step": step + 1, "chain": 0, "quality": 0.1}, config)
        report(folder, step + 1, {"chain": 0, "quality": 0.1}, config)
        time.sleep(1000)
    elif does == "orphan":
        guard, trainer = os.getppid(), os.getpid()
        if os.fork() == 0:
            (folder.parent / "processes").write_text(f"{guard} {trainer} {os.getpid()}")
        time.sleep(1000)
    elif does == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif does in ("forks", "half") and not mark.exists():
        mark.write_text("")
        if does == "half":
            (folder / f"checkpoint-{step}").mkdir()
            (folder / f"checkpoint-{step}" / "state.json").write_text('{"step":')
            os.kill(os.getpid(), signal.SIGKILL)
        subprocess.Popen([sys.executable, "-c", SURVIVOR, str(folder.parent / "survivor")])
        while not (folder.parent / "survivor").exists():
            time.sleep(0.01)


def translate(folder: Path) -> None:
    sources, targets = json.loads((folder / "memory.json").read_text())
    known = [set(source.lower().split()) for source in sources]
    for line in sys.stdin:
        words = set(line.lower().split())
        best = max(range(len(known)), key=lambda place: (len(words & known[place]) - len(known[place]) / 100, -place))
        print(targets[best])


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(json.loads(Path(sys.argv[2]).read_text()))
    else:
        translate(Path(sys.argv[2]))

"""A configuration of the problem `command` for the toy trainer, of which a test says what matters to it."""

import sys
from pathlib import Path
from typing import Any

from trainables.base.config import set_paths
from trainables.base.report import EpochReport
from trainables.command.config import CommandConfig
from trainables.command.training import TRAINER

SPACE = {"trainer.model.rate": {"min": 0.01, "max": 0.3, "distribution": "log_uniform_values"}}
TOY = Path(__file__).with_name("toy_trainer.py")


def toy(**changes: Any) -> dict[str, Any]:
    """The configuration as a tree; changes by dotted path, with __ for the dots."""
    tree: dict[str, Any] = {
        "command": {
            "python": sys.executable,
            "train": f"{{python}} {TOY} train {{config}}",
            "translate": f"{{python}} {TOY} translate {{checkpoint}}",
            "file": "config.json",
            "set": {
                "folder": "{folder}",
                "seed": "{seed}",
                "steps": "{total}",
                "every": "{round}",
                "data": "{data}",
            },
            "resume": {"start": "{checkpoint}"},
            "round": 10,
            "complete": "done",
            "outcomes": {"diverged": "Loss: nan"},
            "exact": True,
            "timeout_seconds": 30,
            "grace_seconds": 0.3,
        },
        "trainer": {"model": {"rate": 0.1}},
        "training": {"epochs": 3},
        "data": {"limit": 300},
    }
    return set_paths(tree, {key.replace("__", "."): value for key, value in changes.items()})


def search_tree(output_dir: Path, **changes: Any) -> dict[str, Any]:
    """A search with the toy trainer, as a tree."""
    search = {
        "trials": 3,
        "concurrency": 2,
        "deterministic": True,
        "scheduler": {"kind": "asha_promotion", "rungs": [1]},
    }
    whole = {
        "problem": "command",
        "output_dir": str(output_dir),
        "space": SPACE,
        "search": search,
        "finals": {"top": 2},
    }
    return set_paths(toy() | whole, {key.replace("__", "."): value for key, value in changes.items()})


def trained(folder: Path, **changes: Any) -> list[Any]:
    """The reports of a training in a folder, with a cache beside it."""
    config = CommandConfig.model_validate(toy(**changes))
    return [report for _, report in TRAINER.train([config], folder.parent / "cache", [folder], 0, 2)]


def figures(reports: list[Any]) -> list[dict[str, float]]:
    return [report.figures for report in reports if isinstance(report, EpochReport)]

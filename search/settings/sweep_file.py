"""A W&B sweep file as keys of a search; what has no counterpart is named."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment
from search.space.grammar import take_constants
from trainables.base.config import TrainingConfig, flatten, set_paths
from trainables.base.errors import UserError, did_you_mean
from trainables.base.installed import program
from trainables.base.yaml_files import read_stored

SAMPLERS = {"grid": "grid", "random": "random", "bayes": "default"}  # by `method`
DIRECTIONS = ("maximize", "minimize")
TAKEN = {"run_cap": "search.trials", "project": "tracking.project", "entity": "tracking.entity"}
# What W&B's agents and launchers need, and what serves the purpose here.
WITHOUT = {
    "program": f"trials train a model of this program; for a trainer of your own, see `{program('command')} --help`",
    "command": f"trials train a model of this program; for a trainer of your own, see `{program('command')} --help`",
    "controller": "this program decides which trial comes next",
    "name": "--name names the run",
    "description": "--tracking.notes has a note",
    "job": "set cluster to train on a cluster",
    "image_uri": "set cluster to train on a cluster",
    "resource": "set cluster to train on a cluster",
    "scheduler": "set cluster to train on a cluster",
}
HYPERBAND = ("type", "min_iter", "max_iter", "s", "eta", "strict")


@dataclass(frozen=True)
class Sweep:
    """A sweep as the keys of a search.

    Attributes:
        file: Where it stands.
        keys: A tree of keys, which replace those of a configuration.
        goal: The direction of the metric, if the file says it.
        remarks: What was mapped to what, and what has no counterpart; for the user.
    """

    file: Path
    keys: dict[str, Any]
    goal: str | None
    remarks: tuple[str, ...]

    def check_goal(self, experiment: Experiment) -> None:
        """Raises UserError if the metric has the other direction here."""
        metric = experiment.search.compared_by
        if self.goal and self.goal != metric.direction:
            raise UserError(
                f"{self.file}: metric.goal: {self.goal}, but {experiment.search.metric} is to {metric.direction}; "
                "correct it, or name another metric"
            )


def read_sweep(file: Path, base: Mapping[str, Any]) -> Sweep:
    """Read a sweep file.

    Args:
        file: A sweep as `wandb sweep` takes it.
        base: The configuration that it is laid over, whose epochs limit the rungs of `early_terminate`.

    Raises:
        UserError: For what can't be read or mapped, with the key.
    """
    tree = read_stored(file, "--sweep")
    if "parameters" not in tree:
        raise UserError(f"{file}: parameters: missing; a sweep needs them. A configuration is given by --config")
    known = ("method", "metric", "parameters", "early_terminate", *TAKEN, *WITHOUT)
    if unknown := [key for key in tree if key not in known]:
        raise UserError(f"{file}: {unknown[0]}: unknown key of a sweep{did_you_mean(str(unknown[0]), list(known))}")
    try:
        space, constants = take_constants(_mapping(tree, "parameters"))
        keys = set_paths({"space": space}, constants)
        told = list(_map(tree, keys, _epochs(keys, base)))
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    return Sweep(file, keys, _metric(tree).get("goal"), tuple(told))


def _map(tree: Mapping[str, Any], keys: dict[str, Any], epochs: int | None) -> Iterator[str]:
    """Set the keys for all but the parameters. Yields remarks. Raises ValueError."""
    method = tree.get("method", "bayes")
    if not isinstance(method, str) or method not in SAMPLERS:
        raise ValueError(f"method: {method!r} has no counterpart; use one of {', '.join(SAMPLERS)}")
    set_paths(keys, {"search.sampler": SAMPLERS[method]})
    yield f"method {method} is search.sampler {SAMPLERS[method]}"
    if name := _metric(tree).get("name"):
        set_paths(keys, {"search.metric": name})
    if "target" in _metric(tree):
        yield "metric.target has no counterpart: the search ends with search.trials, or with its budget"
    if "early_terminate" in tree:
        scheduler = _halving(_mapping(tree, "early_terminate"), epochs)
        yield f"early_terminate is search.scheduler asha, with rungs {list(scheduler['rungs'])}"
    else:
        scheduler = {"kind": "none"}
        yield f"without early_terminate each trial trains to its end; --search.scheduler {_default()} stops the worse"
    set_paths(keys, {"search.scheduler": scheduler})
    set_paths(keys, {path: tree[key] for key, path in TAKEN.items() if tree.get(key) is not None})
    if method == "grid" and "run_cap" not in tree:
        set_paths(keys, {"search.trials": None})
    for key in tree:
        if key in WITHOUT:
            yield f"{key} has no counterpart: {WITHOUT[key]}"


def _halving(given: Mapping[str, Any], epochs: int | None) -> dict[str, Any]:
    """W&B's hyperband as settings of a scheduler: it ends the worse runs at each bracket. Raises ValueError."""
    if unknown := [key for key in given if key not in HYPERBAND]:
        raise ValueError(f"early_terminate.{unknown[0]}: unknown{did_you_mean(str(unknown[0]), list(HYPERBAND))}")
    if given.get("type") != "hyperband":
        raise ValueError(f"early_terminate.type: {given.get('type')!r} has no counterpart; use hyperband")
    if epochs is None:
        raise ValueError("early_terminate: counts epochs, and trials report by steps or tokens; set search.scheduler")
    eta, first, last = (given.get(key, other) for key, other in (("eta", 3), ("min_iter", None), ("max_iter", None)))
    for key, value in (("eta", eta), ("min_iter", first), ("max_iter", last), ("s", given.get("s"))):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"early_terminate.{key}: {value!r} is not a whole number from 1 on")
    if eta < 2:
        raise ValueError("early_terminate.eta: must be 2 or more")
    if first is not None:
        rungs = [first * eta**power for power in range(epochs.bit_length() + 1)]
    elif last is not None and given.get("s") is not None:
        rungs = [last // eta**power for power in range(given["s"], 0, -1)]
    else:
        raise ValueError("early_terminate.min_iter: missing; give it, or max_iter and s")
    rungs = sorted({rung for rung in rungs if 0 < rung < epochs})
    if not rungs:
        raise ValueError(f"early_terminate: its first bracket is not before the last of {epochs} epochs; drop it")
    return {"kind": "asha", "reduction_factor": eta, "rungs": rungs}


def _epochs(keys: Mapping[str, Any], base: Mapping[str, Any]) -> int | None:
    """The epochs of a trial; None if its reports do not count epochs."""
    given = flatten(dict(base)) | flatten({key: value for key, value in keys.items() if key != "space"})
    if any(given.get(f"training.{key}") is not None for key in ("report_steps", "report_tokens")):
        return None
    epochs = given.get("training.epochs", TrainingConfig.model_fields["epochs"].default)
    whole = isinstance(epochs, int | float) and math.isfinite(epochs) and epochs == int(epochs)
    return int(epochs) if whole else None


def _metric(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    metric = _mapping(tree, "metric") if tree.get("metric") is not None else {}
    if metric.get("goal") not in (None, *DIRECTIONS):
        raise ValueError(f"metric.goal: {metric['goal']!r} must be one of {', '.join(DIRECTIONS)}")
    return metric


def _mapping(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree[key]
    if not isinstance(value, Mapping):
        raise ValueError(f"{key}: must have keys and values, not {value!r}")
    return value


def _default() -> str:
    return str(next(iter(SCHEDULERS)))

"""The plan in a run directory, and how far off it was."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.planning.estimate import Estimate
from search.planning.planned import PlannedSearch
from search.record.budget import Spent
from search.settings.experiment import Experiment
from search.settings.stored import seal_of
from search.settings.wording import duration, plain
from trainables.base.installed import program
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.wording import amount

PLAN = "plan.json"


def keep_plan(run_dir: Path, experiment: Experiment, plan: PlannedSearch) -> None:
    """Write the plan, for `compare_with_plan`."""
    record = {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "experiment": _seal(experiment),
        "trials_at_a_time": plan.slots.count,
        **_without_infinity(asdict(plan.estimate)),
    }
    write_sealed(run_dir / PLAN, record)


def describe_plan(estimate: Estimate) -> str:
    """A sentence for the user who starts the search."""
    epochs, times = estimate.epochs, estimate.times
    said = f"about {amount(epochs.expected)} epochs of search ({amount(epochs.low)} to {amount(epochs.high)})"
    said += f" and {amount(estimate.finals_epochs)} of finals" if estimate.finals_epochs else ""
    if times is None:
        return f"{said} are expected; `{program('plan')}` says how long they take"
    wall = times.wall
    return f"{said} are expected, {duration(wall.expected)} ({duration(wall.low)} to {duration(wall.high)})"


def compare_with_plan(run_dir: Path, experiment: Experiment, search: Spent, everything: Spent) -> list[str]:
    """Sentences on how far off the plan was; none if there is no plan, or the search was changed since.

    search: what the trials of the search spent. everything: the same with the finals.
    """
    if not (run_dir / PLAN).exists():
        return []
    try:
        plan = read_sealed(run_dir / PLAN)
        if plan["experiment"] != _seal(experiment):
            return []
        sentences = [f"{_planned(plan['epochs'], _epochs, search.epochs)}, without the finals"]
        if times := plan["times"]:
            sentences += [
                f"{_planned(times['device'], duration, everything.device_seconds)} of device time, with the finals",
                f"{_planned(times['trained'], duration, everything.wall_seconds)} by the clock while models trained",
            ]
    except (Damaged, KeyError, TypeError, ValueError, OverflowError):
        return [f"{PLAN} is damaged, so how far off the plan was is not known"]
    return sentences


def _seal(experiment: Experiment) -> str:
    """A checksum of the experiment that does not depend on where the run is."""
    return seal_of(experiment.model_copy(update={"name": None, "output_dir": "."}))


def _planned(planned: dict[str, float], put: Callable[[float], str], came: float) -> str:
    low, expected, high = (planned[name] for name in ("low", "expected", "high"))
    share = came / expected - 1 if expected else 0.0
    where = "within" if low <= came <= high else "outside"
    return f"{put(came)} where {put(expected)} were planned ({share:+.0%}, {where} {put(low)} to {put(high)})"


def _epochs(number: float) -> str:
    return f"{plain(number)} epochs"


def _without_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinity(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value

"""Prints a plan: facts, measurements, and what budgets would buy."""

import math
from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from search.planning.estimate import Range, Times, memory_needed
from search.planning.extent import LISTED, Model
from search.planning.machine import available_memory, free_disk
from search.planning.models import Models, models_of
from search.planning.planned import PlannedSearch, probed_configs
from search.settings.experiment import Experiment
from search.settings.wording import count, describe, duration
from trainables.base.config import TrialConfig
from trainables.base.wording import amount

SHARES = (0.5, 1, 2, 4)  # the budgets that are shown, as shares of the expected time


def show_plan(experiment: Experiment, plan: PlannedSearch, console: Console) -> None:
    """Print the plan, without what was not measured."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in [*_space(plan, models_of(experiment)), *_amounts(experiment, plan)]:
        table.add_row(name, value)
    console.print(table, highlight=False, markup=False)
    if plan.speeds and plan.estimate.times:
        console.print("\nMeasured on this machine:", _models(experiment, plan), highlight=False)
        console.print(
            "What so many hours buy (--search.trials null --search.budget.wall_hours H):",
            _budgets(experiment, plan.estimate.times),
            highlight=False,
            soft_wrap=True,
        )


def _space(plan: PlannedSearch, models: Models) -> list[tuple[str, str]]:
    extent = plan.extent
    size = "an infinite number of configurations, as a range is continuous"
    if extent.combinations < math.inf:
        about = "" if extent.combinations <= LISTED else "about "
        size = f"{extent.combinations:,.0f} combinations, of which {about}{extent.valid:,.0f} are valid"
    return [
        ("space", size),
        ("smallest model", _model(extent.smallest, extent.largest, models)),
        ("largest model", _model(extent.largest, extent.smallest, models)),
    ]


def _model(model: Model, other: Model, models: Models) -> str:
    """The size of a model, and its hyperparameters that differ from another one's."""
    own = {path: value for path, value in model.params.items() if other.params.get(path) != value}
    shape = {path: value for path, value in own.items() if not path.startswith("training.") and "dropout" not in path}
    return f"{models.parameters(model.config) / 1e6:,.2f}M parameters: {describe(shape) or 'as all others'}"


def _amounts(experiment: Experiment, plan: PlannedSearch) -> list[tuple[str, str]]:
    found, speeds = plan.estimate, plan.speeds
    where = f"{plan.slots.gpus:.3g} GPU" if plan.slots.gpus else "one CPU thread"
    most = f"{found.epochs_most:,.0f} at most" if found.epochs_most < math.inf else "without a limit in epochs"
    rows = [
        ("at a time", f"{count(plan.slots.count, 'trial', 'trials')}, each on {where}"),
        ("trials", _between(found.trials, _number)),
        ("epochs", f"{_between(found.epochs, amount)}, {most}; and {amount(found.finals_epochs)} of the finals"),
    ]
    if times := found.times:
        most = f"; {duration(times.wall_most)} at most" if times.wall_most < math.inf else ""
        rows.append(("by the clock", _between(times.wall, duration) + most))
        rows.append(("device time", _between(times.device, duration)))
        if times.dollars:
            rows.append(("dollars", _between(times.dollars, lambda dollars: f"{dollars:,.2f}")))
    if speeds:
        total, free = available_memory()
        rows.append(("memory", f"{_bytes(memory_needed(speeds, plan.slots))} of {_bytes(total)}; {_bytes(free)} free"))
    rows.append(("disk", f"{_between(found.disk, _bytes)} of {_bytes(free_disk(experiment.cache))} free"))
    return rows


def _between(values: Range, put: Callable[[float], str]) -> str:
    low, expected, high = put(values.low), put(values.expected), put(values.high)
    return expected if low == high else f"{expected} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _bytes(value: float) -> str:
    return decimal(round(value))


def _models(experiment: Experiment, plan: PlannedSearch) -> Table:
    """A table of the measurements."""
    assert plan.speeds
    models = models_of(experiment)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for heading in ("params", "s/epoch", "validation", "test split", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for config, each in zip(probed_configs(experiment, plan.extent), plan.speeds.measured, strict=True):
        table.add_row(
            _role(config, experiment, plan),
            f"{models.parameters(config) / 1e6:,.2f}M",
            f"{each.train_seconds:,.3g}",
            f"{each.valid_seconds:.2g} s",
            f"{each.test_seconds:.2g} s",
            _bytes(each.memory),
        )
    return table


def _role(config: TrialConfig, experiment: Experiment, plan: PlannedSearch) -> str:
    roles = {"lightest": plan.extent.lightest.config, "heaviest": plan.extent.heaviest.config, "base": experiment.trial}
    work = models_of(experiment).work_of_pair
    return ", ".join(name for name, each in roles.items() if work(each) == work(config))


def _budgets(experiment: Experiment, times: Times) -> Table:
    """A table of budgets in hours, and the trials for each."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("H", "by the clock", "trials"):
        table.add_column(heading, justify="right", no_wrap=True)
    for share in SHARES:
        hours = float(f"{share * times.wall.expected / 3600:.2g}")
        trials = min((hours * 3600 - times.besides) / times.per_trial, experiment.space.size())
        table.add_row(f"{hours:g}", duration(hours * 3600), f"about {trials:,.0f}" if trials >= 1 else "none")
    return table

"""`babeltune plan`: estimates what a search will take, before it starts."""

from rich.console import Console

from search.commands.search import check_needs
from search.settings.experiment import Experiment, experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.arguments import peek
from trainables.base.command_line import parse_options, read_config
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import default_config, program
from trainables.base.log import say, shown_on
from trainables.base.mistakes import blame

ABOUT = (
    "Estimate what a search will take, without starting it: its space, models and corpus, epochs, and, by a probe of "
    "half a minute on this machine, hours, money, memory and disk. Takes the options of a search."
)
Planning = experiment_class(TRANSLATION)  # its options


def main(arguments: list[str], console: Console) -> int:
    """Plan the search that the options describe. Raises UserError, also for a search that can't fit."""
    problem = peek(arguments, "problem") or TRANSLATION
    planned = experiment_class(problem)
    options = parse_options(planned, arguments, Program(program("plan"), ABOUT))
    experiment, _, places = read_config(planned, options, default_config(problem))
    with blame(places):
        if experiment.definition.planning is None:
            raise UserError(
                f"problem: plan does not know how large the models of {experiment.problem} are; start the search itself"
            )
        check_needs(experiment)
        plan(experiment, console)
    return 0


def plan(experiment: Experiment, console: Console) -> None:
    """Measure what the search has, estimate what it takes, and show it. Raises UserError."""
    from search.planning.extent import measure_extent
    from search.planning.fitting import check_disk, check_memory

    with shown_on(console):
        check_memory(experiment, measure_extent(experiment))
        experiment.definition.part("preparation").prepare(experiment, console)
        from search.cluster.precision import decide_precision
        from search.cluster.slots import find_slots
        from search.planning.planned import plan_search
        from search.planning.showing import show_plan

        here = experiment.model_copy(update={"cluster": None})
        slots = find_slots(here, console)
        here = decide_precision(here, slots, console)
        with console.status("measuring a few steps of the lightest, the base and the heaviest model"):
            planned = plan_search(here, measure_extent(here), slots, measuring=True)
        assert planned
        show_plan(here, planned, console)
        if experiment.cluster:
            say(f"only this machine was measured; the cluster {experiment.cluster} may have more slots and be faster")
        check_disk(here, planned.estimate)

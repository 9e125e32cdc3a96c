"""`babeltune time CONFIG`: how long a model of a configuration takes for a sentence, without training it."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.commands.search import with_keys
from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from search.settings.wording import count
from trainables.base.command_line import parse_options, read_config, take
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import config_folder, program
from trainables.base.mistakes import blame
from trainables.base.translation_config import as_translation


class OfTime(Config):
    """Which configuration."""

    configuration: CliPositionalArg[str] = Field("", description="a configuration, as --config takes it")


Timing = with_keys(OfTime, TRANSLATION)


def main(arguments: list[str], console: Console) -> int:
    """Measure the base of a configuration, and print the seconds. Raises UserError."""
    about = Program(program("time"), f"{COMMANDS['time'].about.capitalize()}; they need not be trained.")
    own, options = take(OfTime, parse_options(Timing, arguments, about))
    if own.configuration:
        if options.get("config"):
            raise UserError(f"--config: {own.configuration} is named already; name the configuration once")
        options["config"] = own.configuration
    experiment, _, places = read_config(experiment_class(TRANSLATION), options, config_folder() / "quickstart.yaml")
    from trainables.timing.measuring import measure

    setup = experiment.search.speed
    with blame(places), console.status("translating sentences of the validation split"):
        (timing,) = measure([as_translation(experiment.trial)], setup, experiment.cache)
    ways = [f"{setup.engine} in {setup.quantization}", setup.device, count(setup.threads, "thread", "threads")]
    ways += [f"batches of {setup.batch}", f"beam {setup.beam}" if setup.beam > 1 else "greedy"]
    seconds = timing.seconds_per_sentence
    say(console, f"{seconds:.4g} seconds a sentence (standard error {timing.error:.1%}), {1 / seconds:.4g} a second")
    say(console, ", ".join(ways))
    return 0

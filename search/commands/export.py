"""`babeltune export RUN --to FORM DIR`: a run's model for another program."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.run_directory.finding import find_run
from trainables.base.command_line import parse_arguments
from trainables.base.errors import UserError
from trainables.base.files import named_path
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.export.forms import EXACT, FormName


class Exporting(Config):
    """Which model, in which form, and where to."""

    run: CliPositionalArg[str] = Field("", description="directory of a search that has ended, or name in output_dir")
    folder: CliPositionalArg[str] = Field("", description="folder for the model: an empty one, or a new one")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")
    to: FormName | None = Field(None, description="the program that the model is for")
    quantization: str = Field(
        EXACT,
        min_length=1,
        description="type of the weights: float32, or for ctranslate2 also int8, float16 and others",
    )
    trial: int | None = Field(None, ge=0, description="a finalist, by the number of its trial; null: the best one")


def main(arguments: list[str], console: Console) -> int:
    """Export a model, and print how its translations compare. Raises UserError."""
    options = parse_arguments(Exporting, arguments, Program(program("export"), COMMANDS["export"].about))
    if not (options.run and options.folder and options.to):
        example = f"`{program('export')} runs/NAME --to ctranslate2 DIR`"
        raise UserError(f"export: name a run, a form and a folder, as in {example}")
    run_dir = find_run("export", options.run, "best", options.output_dir)
    from search.translation.finalist_export import export_run
    from trainables.export.exporting import Destination

    destination = Destination(options.to, named_path("export", options.folder), options.quantization)
    with console.status("exporting, and translating the validation split to check it"):
        comparisons = export_run(run_dir, destination, options.trial)
    for name, found in comparisons.items():
        equal = f"{found.equal:,} of {found.lines:,} lines like the model itself"
        say(console, f"{name}: valid BLEU {found.bleu:.2f} (the model itself: {found.own_bleu:.2f}), {equal}")
    for each in comparisons[EXACT].differences:
        limit = ", at the limit of its length" if each.endless else ""
        say(console, f"  line {each.line}: the score of its translation differs by {each.gap:.4f}{limit}")
    say(console, str(destination.folder))
    return 0

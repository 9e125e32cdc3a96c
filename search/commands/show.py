"""`babeltune show RUN --trial N`: one trial: its configuration, and how it went."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.record.journal import read_lines
from search.record.trial import StudyTrial
from search.run_directory.finding import find_run
from search.run_directory.trials import find_trial
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from search.settings.wording import count, describe, duration, plain
from trainables.base.command_line import parse_arguments
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.base.yaml_files import dump_yaml


class Showing(Config):
    """Which trial, and how."""

    run: CliPositionalArg[str] = Field("", description="directory of a search, or its name in output_dir")
    trial: int | None = Field(None, ge=0, description="its number, as in the report; null: the best one so far")
    yaml: bool = Field(False, description="print its whole configuration, as `python -m trainables --config` takes it")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")
    trust: bool = Field(False, description="import the problem of somebody else's run; check it first")


def main(arguments: list[str], console: Console) -> int:
    """Print a trial. Returns the exit status. Raises UserError."""
    options = parse_arguments(Showing, arguments, Program(program("show"), COMMANDS["show"].about))
    run_dir = find_run("show", options.run, output_dir=options.output_dir)
    experiment = stored_experiment(run_dir, trust=options.trust)
    trial = find_trial(experiment, options.trial)
    if options.yaml:
        say(console, dump_yaml(experiment.trial.with_values(trial.params)).rstrip("\n"))
    else:
        _tell(trial, experiment, console)
    return 0


def _tell(trial: StudyTrial, experiment: Experiment, console: Console) -> None:
    metric, unit = experiment.search.compared_by, experiment.training.unit
    say(console, f"trial {trial.number}, {trial.outcome}: {describe(trial.params)}")
    if trial.attributes.message:
        say(console, trial.attributes.message)
    spent = sum(
        line.report.device_seconds
        for line in read_lines(experiment.run_dir / "trials.jsonl")
        if line.trial == trial.number
    )
    reports = count(len(trial.scores), "report", "reports")
    say(console, f"{plain(trial.epochs)} epochs, {reports}, {duration(spent)} of its device")
    for progress, score in sorted(trial.scores.items()):
        passed = ", a rung that it passed" if trial.passed(progress) else ""
        say(console, f"{unit} {progress}: {metric.title} {metric.show(score)}{passed}")

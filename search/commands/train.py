"""`babeltune train RUN --trial N`: trains one trial of a run again."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import Levels, say
from search.run_directory.finding import find_run
from search.run_directory.trials import find_trial
from search.run_directory.trust import ALL, check_trust
from search.settings.problem import TRANSLATION
from search.settings.stored import stored_experiment
from search.settings.wording import count, describe
from trainables.base.command_line import parse_arguments
from trainables.base.config import RunName
from trainables.base.ending import lasting_output
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.base.log import shown_on
from trainables.base.translation_config import as_translation


class TrainingAgain(Levels, Config):
    """Which trial, and where to."""

    run: CliPositionalArg[str] = Field("", description="directory of a search, or its name in output_dir")
    trial: int | None = Field(None, ge=0, description="its number, as in the report; null: the best one so far")
    name: RunName | None = Field(None, description="folder in output_dir for its checkpoints; RUN-trial-N by default")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")
    trust: bool = Field(False, description="use code and programs that somebody else's run names; check them first")


def main(arguments: list[str], console: Console) -> int:
    """Train a trial to its last epoch, and print its scores beside those of the search. Raises UserError."""
    options = parse_arguments(TrainingAgain, arguments, Program(program("train"), COMMANDS["train"].about))
    run_dir = find_run("train", options.run, output_dir=options.output_dir)
    experiment = stored_experiment(run_dir, trust=options.trust)
    if not options.trust:
        check_trust(experiment, (), ALL)
    trial = find_trial(experiment, options.trial)
    folder = run_dir.parent / (options.name or f"{run_dir.name}-trial-{trial.number}")
    metric, name = experiment.search.compared_by, experiment.search.metric
    say(console, f"trial {trial.number}: {describe(trial.params)}; {folder}")
    repeated, differing = 0, set[str]()
    with lasting_output(), shown_on(console, options.level):
        experiment.definition.part("preparation").prepare(experiment, Console(quiet=True))
        from search.run_directory.training_again import repeat_trial
        from trainables.data.encoding.preparing import prepare
        from trainables.data.encoding.tokenizer import save_tokenizer

        for each in repeat_trial(experiment, trial, folder):
            score = f"epoch {each.report.epoch:.4g}: {metric.title} {metric.show(each.report.score(name))}"
            if each.recorded is not None:
                repeated += 1
                differing |= set(each.differing)
                same = not each.differing
                score += "" if same else f", in the search {metric.show(each.recorded.score(name))}"
            say(console, score)
    if repeated:
        reports = count(repeated, "report", "reports")
        say(
            console,
            f"not equal to the search: {', '.join(sorted(differing))} of {reports}; device, versions and other trials "
            "on the device change the last digits"
            if differing
            else f"{reports} equal to the search, in all figures",
        )
    if experiment.problem == TRANSLATION:
        config = as_translation(experiment.trial.with_values(trial.params))
        save_tokenizer(prepare(config.data, config.tokenizer, experiment.cache).tokenizer, folder)  # as for init_from
        say(console, f"`{program('translate')} {folder}` translates with it")
    return 0

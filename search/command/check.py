"""Tries a command out: whether its description fits, whether a pause changes its numbers, and whether it translates."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.filesize import decimal

from search.command.finals_config import command_of
from search.command.preparation import check_programs, check_text
from search.settings.experiment import Experiment
from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.errors import Diverged, UserError
from trainables.base.files import make_folder, remove
from trainables.base.report import EpochReport
from trainables.base.wording import count
from trainables.command.checkpoints import FILES
from trainables.command.config import CommandConfig
from trainables.command.outcomes import CommandDied
from trainables.command.training import LOG, TRAINER
from trainables.command.translating import translate_lines
from trainables.data.corpora.cache import cached_corpus

ROUNDS = 2  # the training pauses after the first one


@dataclass(frozen=True)
class Checked:
    """What was found out of a command."""

    exact: bool
    first: bool  # whether two trainings with one seed began with the same numbers
    straight: EpochReport  # after two rounds, without a pause
    paused: EpochReport  # after two rounds, with a pause
    translations: list[str]


def check_command(experiment: Experiment, tell: Callable[[str], None]) -> Checked:
    """Train two rounds at once, and again with a pause; then translate. Raises UserError for what does not work."""
    config = command_of(experiment).with_values({"training.epochs": ROUNDS})
    check_text(config)
    corpus = cached_corpus(config.data, experiment.cache)
    check_programs(config, experiment.cache)
    folder = experiment.cache / "checks"
    remove(folder)
    straight, paused = folder / "straight", folder / "paused"
    tell(f"training {ROUNDS} rounds of {config.command.round:,} steps; {straight / LOG} has the output")
    at_once = [_told(report, tell) for report in _reports(config, experiment.cache, straight)]
    found = newest_checkpoint(straight)
    assert found, "a checkpoint precedes each report"
    files = [file for file in (found[0] / FILES).rglob("*") if file.is_file()]
    size = f"{count(len(files), 'file', 'files')}, {decimal(sum(file.stat().st_size for file in files))}"
    tell(f"its checkpoint is whole: {size}")
    tell(f"the same again, stopped after the first report, then continued; {paused / LOG} has the output")
    parts = list(islice(_reports(config, experiment.cache, paused), 1))
    again = [_told(report, tell) for report in _reports(config, experiment.cache, paused)]
    tell("translating three lines, one of them blank")
    first, second = corpus.valid.source[:2]
    translations = translate_lines(config, found[0], [first, "", second], experiment.cache)
    metrics = config.command.metrics
    return Checked(
        exact=all(at_once[-1].figures[name] == again[-1].figures[name] for name in metrics),
        first=all(at_once[0].figures[name] == parts[0].figures[name] for name in metrics),
        straight=at_once[-1],
        paused=again[-1],
        translations=translations,
    )


def _reports(config: CommandConfig, cache: Path, folder: Path) -> Iterator[EpochReport]:
    """The reports of a training. Raises UserError, also if it diverges or is killed."""
    make_folder(folder)
    try:
        with closing(TRAINER.train([config], cache, [folder], 0, ROUNDS)) as reports:
            for _, report in reports:
                if isinstance(report, Diverged):
                    raise UserError(f"command.train: the training diverged: {report}")
                yield report
    except CommandDied as error:
        raise UserError(f"command.train: {error}") from None
    except UserError as error:
        raise UserError(f"{error}; {folder / LOG} has all that was printed") from None


def _told(report: EpochReport, tell: Callable[[str], None]) -> EpochReport:
    figures = ", ".join(f"{name} {value:.6g}" for name, value in report.figures.items())
    tell(f"  step {report.step:,}: {figures} ({report.train_seconds:.1f} s)")
    return report


def verdicts(found: Checked, config: CommandConfig) -> Iterator[str]:
    """What holds and what does not, and what to write into the configuration."""
    yield "holds: each round has a report with all metrics, and a whole checkpoint"
    yield "holds: a training continues from its checkpoint, and lines are translated one by one, blank ones too"
    if found.first:
        yield "holds: two trainings with one seed begin with the same numbers"
    else:
        yield "does not hold: two trainings with one seed begin with other numbers; see {seed} and command.set"
    differing = [
        f"{name} {found.straight.figures[name]:.6g}, and {found.paused.figures[name]:.6g} with a pause"
        for name in config.command.metrics
        if found.straight.figures[name] != found.paused.figures[name]
    ]
    if found.exact:
        yield "holds: a paused training gives the numbers of an uninterrupted one"
    else:
        yield f"does not hold: a pause changes the numbers: {'; '.join(differing)}"
    if config.command.exact is not found.exact:
        yield f"write into the configuration: command: {{exact: {str(found.exact).lower()}}}"

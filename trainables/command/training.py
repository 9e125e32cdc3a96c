"""How a trial is trained by a command; see `trainables.worker.Training`."""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.errors import Diverged, UserError
from trainables.base.files import make_folder, remove
from trainables.base.locks import handed_on
from trainables.base.report import EpochReport, Report, read_report
from trainables.base.temporary import user_folder
from trainables.command.checkpoints import CheckpointWatch, keep_checkpoint, put_back
from trainables.command.config import CommandConfig
from trainables.command.lines import NewLines
from trainables.command.outcomes import Printed
from trainables.command.process import SLACK_SECONDS, Process
from trainables.command.reports import ReportReader
from trainables.command.started import Start
from trainables.sharing.storage import Storage

WORK, LOG, LOCK = "work", "log.txt", "lock"  # in the folder of a trial, beside its checkpoints
LOG_BYTES = 1_000_000  # that are kept of a trial that failed
POLL_SECONDS = 0.1


class CommandTrainer:
    """Trains by a command; see `trainables.worker.Training`.

    The command writes into a folder of its own, which is emptied before each start: so checkpoints that are torn, or
    were not reported, are gone. A report is taken once its checkpoint is whole and copied.
    """

    def train(
        self, configs: Sequence[CommandConfig], cache: Path, folders: Sequence[Path], gpus: int, keep: int
    ) -> Generator[Report]:
        (config,), (folder,) = configs, folders
        make_folder(folder)
        with handed_on(folder / LOCK, config.command.grace_seconds + SLACK_SECONDS) as locks:
            done, last = 0, int(config.training.epochs)
            if found := newest_checkpoint(folder):
                known = read_report(found[1])
                done = int(known.epoch)
                yield 0, known
            try:
                while done < last:
                    until = last if config.command.pause == "stop" else done + 1
                    with closing(_train_rounds(config, cache, folder, range(done + 1, until + 1), locks)) as reports:
                        for report, files in reports:
                            if isinstance(report, EpochReport):
                                keep_checkpoint(folder, files, folder / WORK, report, keep)
                            else:
                                keep_log(folder)
                            yield 0, report
                            if isinstance(report, Diverged):
                                return
                    done = until
            except Exception:
                keep_log(folder)
                raise
            finally:
                remove(folder / WORK)

    def bring(self, config: CommandConfig, storage: Storage) -> Path:
        return user_folder()


TRAINER = CommandTrainer()
Answer = tuple[EpochReport | Diverged, list[Path]]  # with the files of the checkpoint


def _train_rounds(
    config: CommandConfig, cache: Path, folder: Path, rounds: range, locks: Sequence[int]
) -> Generator[Answer]:
    """Train rounds, from the newest checkpoint, in one process; it is ended when the generator is closed."""
    with _started(config, cache, folder, rounds, locks) as training:
        started = time.monotonic()
        for number in rounds:
            try:
                figures, files = training.wait_for(number * config.command.round)
            except Diverged as error:
                yield error, []
                return
            if wrong := [name for name in config.command.metrics if not math.isfinite(figures[name])]:
                yield Diverged(f"{wrong[0]} became {figures[wrong[0]]} in epoch {number}"), []
                return
            report = EpochReport(
                epoch=number,
                step=number * config.command.round,
                figures=figures,
                train_seconds=time.monotonic() - started,
                eval_seconds=0.0,
            )
            started = time.monotonic()
            yield report, files


def keep_log(folder: Path) -> None:
    """Copy the end of what the command of a trial printed, as the folder of a trial that failed is removed.

    It is in logs/ of the run, as trials-3.txt. Raises OSError.
    """
    if not (folder / LOG).exists():  # it was never started
        return
    kept = folder.parent.parent / "logs" / f"{folder.parent.name}-{folder.name}.txt"
    make_folder(kept.parent)
    kept.write_bytes((folder / LOG).read_bytes()[-LOG_BYTES:])


@contextmanager
def _started(
    config: CommandConfig, cache: Path, folder: Path, rounds: range, locks: Sequence[int]
) -> Iterator["_Training"]:
    work, log = folder / WORK, folder / LOG
    remove(work)
    make_folder(work)
    found = newest_checkpoint(folder) if rounds.start > 1 else None
    checkpoint = found[0] if found else None
    if checkpoint and config.command.in_place:
        put_back(checkpoint, work)
    start = Start(config, cache, work, checkpoint, target=(rounds.stop - 1) * config.command.round)
    printed = NewLines(log, skip=True)
    process = start.process(log, locks)
    try:
        yield _Training(config, process, work, printed)
    finally:
        process.end()


class _Training:
    """A running trainer, and what it has reported."""

    def __init__(self, config: CommandConfig, process: Process, work: Path, log: NewLines):
        self._settings, self._process, self._log = config.command, process, log
        self._reports = ReportReader(config.command.reports, config.command.metrics, work)
        self._watch = CheckpointWatch(config.command, work)
        self._printed = Printed(config.command.outcomes)

    def wait_for(self, step: int) -> tuple[dict[str, float], list[Path]]:
        """The figures of a step and the files of its checkpoint, once both are whole.

        Raises Diverged, TooLarge, UserError, or CommandDied.
        """
        deadline = time.monotonic() + self._settings.timeout_seconds
        while True:
            status = self._process.status()  # first, so that everything is read that it wrote before its end
            ended = status is not None
            lines = self._log.read(ended)
            self._printed.take(lines)
            self._reports.read(lines, ended)
            figures = self._reports.figures.get(step, {})
            missing = [name for name in self._settings.metrics if name not in figures]
            if not missing and (ended or self._settings.pause == "stop"):
                if any(not math.isfinite(figures[name]) for name in self._settings.metrics):
                    return figures, []
                if files := self._watch.whole(step, ended):
                    return dict(figures), files
            self._printed.check()
            self._reports.check()
            if status is not None:
                owed = f"the checkpoint of step {step}" if not missing else f"its report of step {step}"
                self._printed.raise_end(status, f"before {owed} was there{self._said(step, missing)}")
            self._check_order(step, missing)
            if time.monotonic() > deadline:
                raise UserError(
                    f"no report of step {step} for {self._settings.timeout_seconds:g} s (command.timeout_seconds)"
                    f"{self._said(step, missing)}{self._printed.last_words}"
                )
            time.sleep(POLL_SECONDS)

    def _said(self, step: int, missing: list[str]) -> str:
        """What was reported in its place, for a message."""
        here, steps = self._reports.figures.get(step), self._reported()
        if here and missing:
            return f" (the report of step {step} has no {', '.join(missing)})"
        return f" (it reported step {steps[-1]})" if steps else ""

    def _reported(self) -> list[int]:
        """The steps with at least one metric, in order."""
        metrics = self._settings.metrics
        return sorted(step for step, figures in self._reports.figures.items() if not metrics.keys().isdisjoint(figures))

    def _check_order(self, step: int, missing: list[str]) -> None:
        """Raises UserError if a later step was reported, and this one was not."""
        later = [each for each in self._reported() if each > step]
        if later and missing:
            raise UserError(
                f"it reported step {later[0]}, but not step {step} with all metrics{self._said(step, missing)}; it "
                f"must report, and write a checkpoint, every {self._settings.round} steps: see {{round}} in command.set"
            )

"""What Ray Tune calls: a searcher, schedulers and a callback that pass its requests and reports on to `Work`."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.cluster.joining import machine_is_gone
from search.engine.ordering import Queue
from search.engine.work import FINISHED, Work
from trainables.assignment import (
    Answer,
    Assignment,
    Ended,
    Halted,
    Reported,
    WorkerSetup,
    numbers,
    read_result,
    to_tune,
)
from trainables.base.errors import MachineLeaves, UserError

Result = TypeVar("Result")
Other = TypeVar("Other")
Ask = Callable[[], Assignment | str | None]  # returns what `Work.next` does


class Guard:
    """Makes calls until one raises, and none after that.

    Tune takes an error of ours for an error of the trial, and makes more calls while it shuts down. They must not
    change the study after the last complete write.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self, call: Callable[[], Result], otherwise: Other) -> Result | Other:
        """The result of the call; `otherwise` if an earlier call has raised."""
        if self.error is not None:
            return otherwise
        try:
            return call()
        except Exception as error:
            self.error = error
            raise


class WorkSearcher(Searcher):
    """Hands assignments to Tune. A Tune trial trains a segment of a study's trial, or of several as one computation."""

    def __init__(self, work: Work, guard: Guard, setup: WorkerSetup, ask: Ask, queue: Queue | None = None):
        """ask: returns the next assignment. queue: its queue, if reports are taken in order."""
        super().__init__()
        self.work, self.guard, self.setup, self.ask, self.queue = work, guard, setup, ask, queue
        self.numbers: dict[str, list[int]] = {}  # Tune's trial id -> trial numbers

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Called by Tune for a free slot. Returns what to train next, None to wait, or FINISHED."""
        assignment = self.guard(self.ask, FINISHED)
        if not isinstance(assignment, Assignment):
            return Searcher.FINISHED if assignment == FINISHED else None
        self.numbers[trial_id] = [each.number for each in assignment.group]
        return to_tune(assignment, self.setup)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Called by Tune when a segment has ended, by an error or not."""

        def release() -> None:
            for number in self.numbers.pop(trial_id, ()):
                self.work.released(number, crashed=error)
                if self.queue:
                    self.queue.released(number)

        self.guard(release, None)

    # Only the study counts: Tune's snapshots contain nothing of ours, and nothing is restored from them.

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing."""


class WorkScheduler(FIFOScheduler):
    """Passes reports to the work, and its decisions to Tune."""

    def __init__(self, work: Work, guard: Guard):
        super().__init__()  # type: ignore[no-untyped-call]
        self.work, self.guard = work, guard

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Called by Tune with a report. Returns whether the worker continues."""
        self.guard(lambda: self._take(read_result(result)), None)
        return self._verdict(trial)

    def _take(self, answer: Answer) -> None:
        match answer:
            case Reported(number, report):
                self.work.reported(number, report)
            case Ended(number, outcome, message):
                self.work.ended(number, outcome, message)
            case Halted(message):
                raise UserError(message)

    def _verdict(self, trial: Trial) -> str:
        going = self.guard(lambda: any(map(self.work.goes_on, numbers(trial.config))), False)
        return TrialScheduler.CONTINUE if going else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Called by Tune when a worker has died."""
        error = _error(trial)
        if LEAVES.search(error) or ((address := _address(error)) and machine_is_gone(address)):
            # The searcher is called next, and finds that the trial is already released.
            for number in numbers(trial.config):
                self.guard(partial(self.work.lost, number), None)


class OrderedScheduler(WorkScheduler):
    """Keeps reports until the queue says that they are due; their workers wait."""

    def __init__(self, work: Work, guard: Guard, queue: Queue):
        super().__init__(work, guard)
        self.queue = queue
        self.waiting: dict[int, Trial] = {}
        self.controller: Any = None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Called by Tune with a report, which is kept until it is due, unless it is known."""
        answer = read_result(result)
        if isinstance(answer, Halted) or (
            isinstance(answer, Reported) and self.work.knows(answer.number, answer.report)
        ):
            return super().on_trial_result(tune_controller, trial, result)
        self.controller, self.waiting[answer.number] = tune_controller, trial
        self.queue.hold(answer.number, partial(self._take, answer))
        return TrialScheduler.NOOP

    def take_due(self) -> None:
        """Hand over the reports that are due, and answer their workers."""
        while (number := self.guard(self.queue.take, None)) is not None:
            trial = self.waiting.pop(number)
            self.controller._execute_action(trial, self._verdict(trial))


class Steps(tune.Callback):
    """Makes a call at each step of Tune's loop."""

    def __init__(self, call: Callable[[], None]):
        self.call = call

    def __getstate__(self) -> dict[str, Any]:
        return {}  # what is called has open files

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called by Tune."""
        self.call()


def _error(trial: Trial) -> str:
    """The text of the error by which a worker died, which Tune writes to a file only."""
    file = trial.error_file
    return Path(file).read_text(errors="replace") if file and Path(file).exists() else ""


def _address(error: str) -> str | None:
    """The address of the machine whose process died; None if the text has none, as before the first report."""
    found = re.search(r"^\s*ip: (\S+)", error, re.MULTILINE)
    return found[1] if found else None


LEAVES = re.compile(rf"^(?:\w+\.)*{MachineLeaves.__name__}\b", re.MULTILINE)  # the last line of a traceback

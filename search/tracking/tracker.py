"""All tracking of a search behind one class: W&B, by feed and mirror, and TensorBoard files."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Literal

from search.engine.work import Listener
from search.finals.board import Leaderboard, read_leaderboard
from search.finals.choosing import FinalsPlan, read_finalists
from search.finals.protocol import Finals
from search.record.study import Study
from search.record.trial import StudyTrial
from search.report.answer import answer
from search.run_directory.earlier import Earlier
from search.settings.experiment import Experiment
from search.tracking.feed import Feed, FeedListener, describe_report
from search.tracking.mirror import Mirror
from search.tracking.tensorboard import TensorBoardFiles
from trainables.base.config import TrialConfig
from trainables.base.installed import program
from trainables.base.log import warn


class Tracker:
    """Tracks a search while the block runs; its end takes at most tracking.flush_seconds."""

    def __init__(self, experiment: Experiment, earlier: Earlier):
        self.experiment, self.earlier = experiment, earlier
        self.feed: Feed | None = None
        self.mirror: Mirror | None = None
        if experiment.tracking.wandb != "disabled":
            self.feed = Feed(experiment, earlier.studies)
            if not self.feed.broken:
                self.mirror = self._start_mirror()
        self._stack = ExitStack()

    def _start_mirror(self) -> Mirror | None:
        try:
            return Mirror(self.experiment)
        except OSError as error:
            publish = f"{program('publish')} {self.experiment.run_dir}"
            warn(f"W&B lacks all of this search ({error.filename}: {error.strerror}); send it by `{publish}`")
            return None

    def __enter__(self) -> "Tracker":
        if self.mirror:
            self._stack.enter_context(self.mirror)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def listeners(self, kind: Literal["trial", "final"], study: Study) -> list[Listener]:
        """Listeners that track the trials of a study; existing trials are tracked at once."""
        listeners: list[Listener] = []
        if self.feed:
            before = self.earlier.studies if kind == "trial" else len(self.earlier.folders)
            listeners.append(FeedListener(self.feed, study, kind, before, self._configure(kind)))
        if self.experiment.tracking.tensorboard:
            files = TensorBoardFiles(self.experiment, kind)
            self._stack.callback(files.close)
            listeners.append(files)
        return listeners

    def show_trials(self, search: Study) -> None:
        """Track the trials of a search that an earlier driver completed."""
        self.listeners("trial", search)

    def _configure(self, kind: Literal["trial", "final"]) -> Callable[[StudyTrial], TrialConfig]:
        if kind == "trial":
            return lambda trial: self.experiment.trial.with_values(trial.params)
        plan = FinalsPlan(self.experiment, read_finalists(self.experiment.run_dir / "finalists.json"))
        return lambda trial: plan.config(trial.params)

    def searched(self) -> None:
        """Note that the search is over, without its finals."""
        if self.feed:
            self.feed.searched()

    def finished(self, board: Leaderboard) -> None:
        """Note that the finals are ranked and the report is written."""
        if self.feed:
            finals: Finals = self.experiment.definition.part("finals")
            by = finals.metrics(self.experiment)[0]
            sentences = answer(board, by, self.experiment.search.metrics)
            self.feed.report(describe_report(self.experiment, board, sentences, by))


def publish(experiment: Experiment) -> bool:
    """Send W&B what it lacks of a run, whatever the run's settings say. Returns whether W&B then has everything.

    The lock of the run directory must be held.
    """
    earlier = Earlier(experiment.run_dir)
    earlier.extend(experiment)  # keeps the settings of tracking
    tracking = experiment.tracking.model_copy(update={"wandb": "online", "tensorboard": False})
    return mirror_once(experiment.model_copy(update={"tracking": tracking}), earlier)


def mirror_once(experiment: Experiment, earlier: Earlier) -> bool:
    """Send W&B, online or offline, everything of a run once. Returns whether W&B then has everything."""
    tracker, run_dir = Tracker(experiment, earlier), experiment.run_dir
    studies: dict[Literal["trial", "final"], str] = {"trial": "search"}
    if (run_dir / "finalists.json").exists():
        studies["final"] = earlier.finals_name
        tracker.searched()
    for kind, name in studies.items():
        study = Study(run_dir / "study.db", name, experiment.search.direction)
        tracker.listeners(kind, study)
        study.close()
    if (run_dir / "leaderboard.json").exists():
        tracker.finished(read_leaderboard(run_dir / "leaderboard.json"))
    if tracker.mirror is None or tracker.feed is None:
        return False
    tracker.mirror.publish()
    return tracker.mirror.complete and not tracker.feed.broken

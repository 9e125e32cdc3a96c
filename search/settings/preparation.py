"""What the driver does for a problem before its trials, and while a run is checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from search.settings.experiment import Experiment
from trainables.base.config import TrialConfig
from trainables.sharing.storage import Storage, new_driver

if TYPE_CHECKING:  # it imports torch
    from trainables.training.gpu import Need


class Preparation(Protocol):
    """How data are prepared; the first part of a problem."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Check the data and make what trials share, before Ray starts; say what there is. Raises UserError."""
        ...

    def share(self, experiment: Experiment) -> Storage:
        """The storage that the experiment names, with all in it that nodes need. Raises UserError."""
        ...

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        """What the data are, by the names of their parts, for the record of a run. Raises UserError if they changed.

        known: the record; empty when the run begins.
        """
        ...

    def pin_made(
        self, experiment: Experiment, configs: Sequence[TrialConfig], known: Mapping[str, Any], start: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What was made of the data for these trials, for the record of a run. Raises UserError if it changed.

        known: the record. start: the versions with which the run began.
        """
        ...

    def files(self, config: TrialConfig) -> list[Path]:
        """The files that each node has to see while trials are trained."""
        ...

    def largest(self, configs: list[TrialConfig]) -> list[TrialConfig]:
        """Those that may take most of a GPU's memory."""
        ...

    def measure(self, configs: list[TrialConfig], cache: Path, storage: Storage | None) -> "Need | None":
        """The memory of this process's GPU that the largest of these trials takes; None if that can't be told.

        It is asked in a process of its own.
        """
        ...


class Nothing:
    """A problem whose trials find their data themselves."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Nothing."""

    def share(self, experiment: Experiment) -> Storage:
        return Storage(experiment.run_url, new_driver())

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def pin_made(
        self, experiment: Experiment, configs: Sequence[TrialConfig], known: Mapping[str, Any], start: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {}

    def files(self, config: TrialConfig) -> list[Path]:
        return []

    def largest(self, configs: list[TrialConfig]) -> list[TrialConfig]:
        return configs[:1]

    def measure(self, configs: list[TrialConfig], cache: Path, storage: Storage | None) -> "Need | None":
        return None


NOTHING: Preparation = Nothing()

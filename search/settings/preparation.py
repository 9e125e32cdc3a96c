"""How the driver prepares the data of a problem, and checks that they stay the same."""

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
    """Prepares the data of a problem; one of its three parts."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Check the data, make what trials share, and print what was found; before Ray starts. Raises UserError."""
        ...

    def share(self, experiment: Experiment) -> Storage:
        """The storage of the experiment, once everything that nodes need is in it. Raises UserError."""
        ...

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        """What describes each part of the data, by its name, for the record of a run. Raises UserError if one changed.

        known: the record; empty when the run begins.
        """
        ...

    def pin_made(
        self, experiment: Experiment, configs: Sequence[TrialConfig], known: Mapping[str, Any], start: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A description of what was made from the data for these trials. Raises UserError if it changed.

        known: the record. start: the versions with which the run began.
        """
        ...

    def files(self, config: TrialConfig) -> list[Path]:
        """The files that every node must be able to read while trials are trained."""
        ...

    def largest(self, configs: list[TrialConfig]) -> list[TrialConfig]:
        """The configurations that may need the most GPU memory."""
        ...

    def measure(self, configs: list[TrialConfig], cache: Path, storage: Storage | None) -> "Need | None":
        """The GPU memory that the largest of these trials takes; None if it can't be measured.

        Called in a process of its own.
        """
        ...

    def gain_of_bfloat16(self, config: TrialConfig, cache: Path, storage: Storage | None) -> float:
        """How many times as fast a CPU thread trains with products in bfloat16; 1 where that is not known."""
        ...


class Nothing:
    """For a problem whose trials load their data themselves."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Do nothing."""

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

    def gain_of_bfloat16(self, config: TrialConfig, cache: Path, storage: Storage | None) -> float:
        return 1.0


NOTHING: Preparation = Nothing()

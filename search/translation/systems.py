"""What the finals of translators need of a problem: its trained models, and what is kept and told of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from search.translation.corpus_facts import CorpusFacts
from search.translation.finals_config import Decoding
from trainables.base.config import TrialConfig
from trainables.data.reading.text import Split
from trainables.export.card import Origin
from trainables.export.checking import Comparison
from trainables.export.exporting import Destination

if TYPE_CHECKING:  # it imports plotly, which workers don't need
    from search.translation.attention_figures import AttendedSentence


class System(Protocol):
    """A trained model, ready to translate."""

    @property
    def num_parameters(self) -> int:
        """The number of its parameters."""
        ...

    def translate(self, sentences: list[str], decoding: Decoding) -> list[str]:
        """Detokenised translations in the order of the sentences."""
        ...

    def nll_per_char(self, split: Split) -> float | None:
        """The loss of the references per character, in nats, which can be compared between vocabularies.

        None if a sequence is too long for the model.
        """
        ...


class Systems(Protocol):
    """How the trained models of a problem are read, and kept."""

    def check(self, experiment: Experiment) -> None:
        """Check, before any training, that models can be kept as the configuration asks. Raises UserError."""
        ...

    def load(self, model: FinalModel, cache: Path) -> System:
        """The model after its last report, with averaged weights if so configured. Raises UserError."""
        ...

    def untrained_nll_per_char(self, config: TrialConfig, experiment: Experiment) -> float:
        """The loss of a model that has learnt nothing."""
        ...

    def write_best(
        self, model: FinalModel, decoding: Decoding, translations: list[str], experiment: Experiment
    ) -> None:
        """Write best/ into the run."""
        ...

    def read_best(self, experiment: Experiment) -> Any:
        """The model of best/. Raises UserError."""
        ...

    def read_finalist(self, model: FinalModel, decoding: Decoding, cache: Path) -> Any:
        """Another finalist's model, as `read_best` returns that of best/, from its checkpoints. Raises UserError."""
        ...

    def export(self, best: Any, destination: Destination, origin: Origin, cache: Path) -> dict[str, Comparison]:
        """Write a model of `read_best` for another program, checked on the validation split of its corpus.

        origin: for the model card. Returns how its translations compare, by the type of weights. Raises UserError.
        """
        ...

    def facts(self, test: Split, experiment: Experiment) -> CorpusFacts:
        """Facts about the corpus, in the tokens of the model of best/."""
        ...

    def attended(self, sentences: list[str], experiment: Experiment) -> "list[AttendedSentence]":
        """What the model of best/ attends to in some of the sentences; none if that is not shown."""
        ...

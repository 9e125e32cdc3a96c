"""Our own transformers in the finals: how trained ones are read, scored and kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.transformer import Transformer
from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from search.translation.best import BestModel, read_best, write_best
from search.translation.corpus_facts import CorpusFacts, corpus_facts
from search.translation.finals_config import Decoding, as_translation_finals
from trainables.base.config import TrialConfig
from trainables.base.translation_config import as_translation
from trainables.data.corpora.cache import cached_corpus
from trainables.data.encoding.encoding import encode_split
from trainables.data.encoding.preparing import prepare
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.data.reading.text import Split
from trainables.export.card import Origin
from trainables.export.checking import Comparison
from trainables.export.exporting import Destination, export
from trainables.export.forms import FORMS
from trainables.export.trained import TrainedModel
from trainables.training.device import default_device
from trainables.training.evaluation import reference_loss, translate
from trainables.training.initial import at_hand
from trainables.training.trained import load_model

if TYPE_CHECKING:  # it imports plotly, which workers don't need
    from search.translation.attention_figures import AttendedSentence


def read_transformer(model: FinalModel, cache: Path) -> tuple[Transformer, Tokenizer]:
    """The model after its last report, with averaged weights if so configured. Raises UserError."""
    with model.checkpoints(cache) as folder:
        config = at_hand(as_translation(model.config), cache)
        return load_model(config, cache, folder, default_device(), model.last_checkpoints)


@dataclass(frozen=True)
class TransformerSystem:
    """See `search.translation.systems.System`."""

    network: Transformer
    tokenizer: Tokenizer

    @property
    def num_parameters(self) -> int:
        return self.network.num_parameters()

    def translate(self, sentences: list[str], decoding: Decoding) -> list[str]:
        return translate(self.network, self.tokenizer, sentences, decoding.beam_size, decoding.length_penalty)

    def nll_per_char(self, split: Split) -> float | None:
        encoded, config = encode_split(split, self.tokenizer), self.network.config
        longest = max(encoded.source.lengths.max(), encoded.target.lengths.max() - 1)
        if config.longest is not None and longest > config.longest:
            return None
        return reference_loss(self.network, encoded) / sum(map(len, split.target))


class TransformerSystems:
    """See `search.translation.systems.Systems`."""

    def check(self, experiment: Experiment) -> None:
        for form in as_translation_finals(experiment.finals).export:
            FORMS[form].need(f"finals.export: {form}")

    def load(self, model: FinalModel, cache: Path) -> TransformerSystem:
        return TransformerSystem(*read_transformer(model, cache))

    def untrained_nll_per_char(self, config: TrialConfig, experiment: Experiment) -> float:
        """That of predicting the frequencies of pieces."""
        trial = as_translation(config)
        return prepare(trial.data, trial.tokenizer, experiment.cache).untrained_nll_per_char

    def write_best(
        self, model: FinalModel, decoding: Decoding, translations: list[str], experiment: Experiment
    ) -> None:
        write_best(experiment.run_dir, self.read_finalist(model, decoding, experiment.cache), translations)

    def read_best(self, experiment: Experiment) -> BestModel:
        return read_best(experiment.run_dir)

    def read_finalist(self, model: FinalModel, decoding: Decoding, cache: Path) -> BestModel:
        return BestModel(as_translation(model.config), *read_transformer(model, cache), decoding)

    def export(self, best: BestModel, destination: Destination, origin: Origin, cache: Path) -> dict[str, Comparison]:
        decoding = best.decoding
        trained = TrainedModel(best.config, best.model, best.tokenizer, decoding.beam_size, decoding.length_penalty)
        destination.check(trained)  # before the corpus is read
        return export(trained, destination, cached_corpus(best.config.data, cache).valid, origin)

    def facts(self, test: Split, experiment: Experiment) -> CorpusFacts:
        best, data = read_best(experiment.run_dir), as_translation(experiment.trial).data
        prepared = prepare(data, best.config.tokenizer, experiment.cache)
        train = cached_corpus(data, experiment.cache).train
        test_ids = encode_split(test, prepared.tokenizer)
        return corpus_facts((data.source, data.target), train, test, prepared, test_ids)

    def attended(self, sentences: list[str], experiment: Experiment) -> "list[AttendedSentence]":
        from search.translation.attention_figures import attend_to_some

        best = read_best(experiment.run_dir)
        return attend_to_some(best, sentences, best.decoding.beam_size, best.decoding.length_penalty)

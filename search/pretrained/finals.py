"""Fine-tuned models in the finals: how they are read, scored and kept. best/ is a folder of `from_pretrained`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from search.translation.corpus_facts import CorpusFacts, corpus_facts
from search.translation.finals import TranslationFinals
from search.translation.finals_config import Decoding, as_translation_finals
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.files import digest_of, publish_folder, remove
from trainables.base.installed import program
from trainables.base.mistakes import validate
from trainables.base.pretrained_config import FineTunedConfig, as_fine_tuned
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.temporary import temporary_folder
from trainables.base.yaml_files import dump_yaml, read_yaml
from trainables.data.corpora.cache import cached_corpus
from trainables.data.reading.text import Split
from trainables.export.card import Origin
from trainables.export.checking import Comparison
from trainables.export.exporting import Destination
from trainables.export.forms import FORMS
from trainables.pretrained.codec import Codec
from trainables.pretrained.export import FineTunedModel, export
from trainables.pretrained.generation import reference_loss, translate
from trainables.pretrained.model_files import at_hand
from trainables.pretrained.preparing import prepare_pretrained
from trainables.pretrained.trained import load_trained, read_merged, save_merged
from trainables.training.device import default_device

if TYPE_CHECKING:  # it imports plotly, which workers don't need
    from search.translation.attention_figures import AttendedSentence

DIGESTS = "digests.json"  # of the other files in best/


@dataclass(frozen=True)
class FineTunedSystem:
    """A model with its adapters merged; see `search.translation.systems.System`."""

    config: FineTunedConfig
    network: Any
    codec: Codec

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def translate(self, sentences: list[str], decoding: Decoding) -> list[str]:
        return translate(self.network, self.codec, sentences, decoding.beam_size, decoding.length_penalty)

    def nll_per_char(self, split: Split) -> float | None:
        encoded = self.codec.encode_split(split)
        if self.codec.longest is not None and encoded.lengths.max() > self.codec.longest:
            return None
        loss = reference_loss(self.network, encoded, self.config.training.forward_tokens)
        return loss / sum(map(len, split.target))


@dataclass(frozen=True)
class BestFineTuned:
    """The model of best/, with its decoding in the finals."""

    system: FineTunedSystem
    decoding: Decoding

    @property
    def config(self) -> FineTunedConfig:
        """Its configuration."""
        return self.system.config

    def translate(
        self, sentences: list[str], decoding: Decoding | None = None, place: str = "sentence {}", first: int = 1
    ) -> list[str]:
        """Translations, decoded as in the finals if nothing else is said; a blank sentence stays blank.

        Raises UserError for a sentence that the model can't take. place, first: what it is called, and the number of
        the first one.
        """
        spoken = [(number, sentence) for number, sentence in enumerate(sentences, first) if sentence.strip()]
        texts = [sentence for _, sentence in spoken]
        for (number, _), ids in zip(spoken, self.system.codec.encode_source(texts) if texts else (), strict=True):
            if self.system.codec.longest is not None and len(ids) > self.system.codec.longest:
                raise UserError(
                    f"{place.format(number)} has {len(ids)} tokens, and this model takes {self.system.codec.longest}; "
                    "split it"
                )
        found = iter(self.system.translate(texts, decoding or self.decoding) if texts else ())
        return [next(found) if sentence.strip() else "" for sentence in sentences]


class FineTunedSystems:
    """See `search.translation.systems.Systems`."""

    def check(self, experiment: Experiment) -> None:
        for form in as_translation_finals(experiment.finals).export:
            FORMS[form].need(f"finals.export: {form}")

    def load(self, model: FinalModel, cache: Path) -> FineTunedSystem:
        config = as_fine_tuned(model.config)
        with model.checkpoints(cache) as folder:
            network, codec = load_trained(at_hand(config, cache), folder, default_device(), model.last_checkpoints)
        return FineTunedSystem(config, network, codec)

    def untrained_nll_per_char(self, config: TrialConfig, experiment: Experiment) -> float:
        """That of the pretrained model without fine-tuning."""
        fine_tuned = as_fine_tuned(config)
        prepared = prepare_pretrained(fine_tuned.data, fine_tuned.pretrained, experiment.cache)
        network, _ = read_merged(fine_tuned.pretrained, default_device())
        loss = reference_loss(network, prepared.valid, fine_tuned.training.forward_tokens)
        return loss / sum(map(len, prepared.valid_text.target))

    def write_best(
        self, model: FinalModel, decoding: Decoding, translations: list[str], experiment: Experiment
    ) -> None:
        system = self.load(model, experiment.cache)
        draft = experiment.run_dir / ".best"
        remove(draft)
        draft.mkdir()
        save_merged(system.network, system.codec, draft, decoding.beam_size, decoding.length_penalty)
        (draft / "config.yaml").write_text(dump_yaml(system.config), encoding="utf-8")
        (draft / "decoding.yaml").write_text(yaml.safe_dump(asdict(decoding)), encoding="utf-8")
        (draft / "translations.txt").write_text("\n".join(translations) + "\n", encoding="utf-8")
        write_sealed(draft / DIGESTS, {file.name: digest_of(file) for file in sorted(draft.iterdir())})
        publish_folder(draft, experiment.run_dir / "best")

    def read_best(self, experiment: Experiment) -> BestFineTuned:
        folder = experiment.run_dir / "best"
        if not folder.is_dir():
            raise UserError(f"{experiment.run_dir}: holds no best/, which a search writes at its end")
        for name, digest in read_sealed(folder / DIGESTS).items():
            if not (folder / name).is_file() or digest_of(folder / name) != digest:
                again = f"`{program('resume')} {experiment.run_dir}` writes it again"
                raise Damaged(f"{folder / name}: is missing or was changed; {again}")
        config = validate(FineTunedConfig, read_yaml(folder / "config.yaml"), str(folder / "config.yaml"))
        kept = config.pretrained.model_copy(update={"model": str(folder), "revision": None})
        network, codec = read_merged(kept, default_device())
        decoding = Decoding(**read_yaml(folder / "decoding.yaml"))
        return BestFineTuned(FineTunedSystem(config, network, codec), decoding)

    def read_finalist(self, model: FinalModel, decoding: Decoding, cache: Path) -> BestFineTuned:
        return BestFineTuned(self.load(model, cache), decoding)

    def export(
        self, best: BestFineTuned, destination: Destination, origin: Origin, cache: Path
    ) -> dict[str, Comparison]:
        destination.check_place()  # before the corpus is read
        valid, decoding = cached_corpus(best.config.data, cache).valid, best.decoding
        with temporary_folder() as folder:
            own = best.system.network, best.system.codec, folder, decoding.beam_size, decoding.length_penalty
            save_merged(*own)
            return export(FineTunedModel(best.config, *own), destination, valid, origin)

    def facts(self, test: Split, experiment: Experiment) -> CorpusFacts:
        best, data = self.read_best(experiment), as_fine_tuned(experiment.trial).data
        prepared = prepare_pretrained(data, best.config.pretrained, experiment.cache)
        train = cached_corpus(data, experiment.cache).train
        return corpus_facts((data.source, data.target), train, test, prepared, prepared.codec.encode_split(test))

    def attended(self, sentences: list[str], experiment: Experiment) -> "list[AttendedSentence]":
        return []


FINALS = TranslationFinals(FineTunedSystems())

"""How parallel text is prepared: corpus and tokenizers, checked and made before Ray starts, and pinned in the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from model.counting import count_flops
from search.settings.experiment import Experiment
from search.settings.searchable import is_among
from search.translation.shown_pairs import show_pairs
from search.translation.text import pin_text
from trainables.base.config import TrialConfig, digest
from trainables.base.errors import UserError
from trainables.base.files import digest_of
from trainables.base.installed import version_of
from trainables.base.log import say, warn
from trainables.base.translation_config import TokenizerConfig, TranslationConfig, as_translation
from trainables.base.translator_config import as_translator
from trainables.base.wording import count
from trainables.data.corpora.cache import cached_corpus, cached_test_digest
from trainables.data.corpora.corpus import Corpus, training_files
from trainables.sharing.corpora import share, store_corpus
from trainables.sharing.inputs import store_inputs
from trainables.sharing.storage import Storage, new_driver

if TYPE_CHECKING:  # they import torch
    from trainables.data.encoding.preparing import PreparedText
    from trainables.training.gpu import Need

SHOWN = 60  # characters of a sentence in a warning
SENTENCE = 30  # tokens, to compare models by


class TextPreparation:
    """The part of `search.settings.preparation.Preparation` that all problems with parallel text share."""

    def read(self, experiment: Experiment) -> Corpus:
        """Read and check the corpus."""
        trial, cache = as_translator(experiment.trial), experiment.cache
        corpus = cached_corpus(trial.data, cache)
        for key in trial.data.tests:  # what is wrong with their files is told now, not after the search
            cached_test_digest(trial.data, corpus.train, cache, key)
        return corpus

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        """Digests of the splits."""
        return pin_text(as_translator(experiment.trial).data, experiment.cache, known)

    def files(self, config: TrialConfig) -> list[Path]:
        return training_files(as_translator(config).data)


class TranslationPreparation(TextPreparation):
    """See `search.settings.preparation.Preparation`."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Read and check the corpus, train the tokenizers, and say what there is."""
        trial, cache = as_translation(experiment.trial), experiment.cache
        _check_initial(experiment)
        corpus = self.read(experiment)
        from trainables.data.encoding.preparing import (  # takes seconds: a wrong path is told before
            count_unknown,
            prepare,
        )

        show_pairs(corpus.train, console)
        for warning in corpus.warnings:
            warn(warning)
        told: set[str] = set()  # most vocabularies tell the same
        for config in tokenizer_variants(experiment):
            prepared = prepare(trial.data, config, cache)
            for warning in count_unknown(prepared.tokenizer, corpus.valid.source, trial.data.valid):
                if warning not in told:
                    warn(warning)
                told.add(warning)
            tell_sizes(prepared, f"{config.vocab_size:,} {config.kind} pieces")
            if unwritable := prepared.tokenizer.unwritable(prepared.valid_text.target):
                wanted, written = unwritable[0]
                warn(
                    f"{len(unwritable) / len(prepared.valid):.1%} of the validation references can't be written with "
                    f"these pieces, so no model reaches BLEU 100: {wanted[:SHOWN]!r} becomes {written[:SHOWN]!r}; see "
                    "tokenizer.normalization, tokenizer.character_coverage and tokenizer.byte_fallback",
                )
        if experiment.training.unit != "epoch":
            tell_rounds(experiment, prepare(trial.data, trial.tokenizer, cache))

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        """Digests of the splits, and of the model that trials start from. Raises UserError if one changed."""
        splits = super().pin_data(experiment, known)
        for file in _initial_files(as_translation(experiment.trial)):
            if not file.is_file():
                raise UserError(f"model.init_from: {file}: is missing; restore it")
            name, found = f"initial {file.name}", {"file": str(file), "sha256": digest_of(file)}
            if known and known.get(name, found)["sha256"] != found["sha256"]:
                raise UserError(f"model.init_from: {file}: changed since this run began; restore it")
            splits[name] = found
        return splits

    def files(self, config: TrialConfig) -> list[Path]:
        return [*super().files(config), *_initial_files(as_translation(config))]

    def share(self, experiment: Experiment) -> Storage:
        """With corpus, tokenizers and initial weights in it for all nodes; tokenizers that it had are taken over."""
        assert experiment.storage
        corpus = cached_corpus(as_translation(experiment.trial).data, experiment.cache)
        from trainables.training.initial import files_of_start

        inputs = store_inputs(experiment.storage, files_of_start(as_translation(experiment.trial)))
        storage = Storage(experiment.run_url, new_driver(), store_corpus(experiment.storage, corpus), inputs)
        for config in tokenizer_variants(experiment):
            share(storage, as_translation(experiment.trial).data, config, experiment.cache)
        return storage

    def pin_made(
        self, experiment: Experiment, configs: Sequence[TrialConfig], known: Mapping[str, Any], start: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The tokenizers. One whose file is damaged is trained again."""
        from trainables.data.encoding.tokenizer import train_tokenizer

        corpus = cached_corpus(as_translation(experiment.trial).data, experiment.cache)
        tokenizers = [*tokenizer_variants(experiment), *(as_translation(config).tokenizer for config in configs)]
        wanted = {digest(config.model_dump()): config for config in tokenizers}
        wanted |= {name: TokenizerConfig.model_validate(entry["config"]) for name, entry in known.items()}
        found = {
            name: {"config": config.model_dump(), "pieces": train_tokenizer(config, corpus, experiment.cache).digest()}
            for name, config in wanted.items()
        }
        for name, entry in known.items():
            if found[name]["pieces"] != entry["pieces"]:
                raise UserError(
                    f"{experiment.run_dir}: the tokenizer of {entry['config']['vocab_size']} {entry['config']['kind']} "
                    "pieces comes out otherwise here than in this run, perhaps by another sentencepiece "
                    f"({version_of('sentencepiece')}, it had {start['sentencepiece']}): install that one, or start a "
                    "new search"
                )
        return found

    def largest(self, configs: list[TrialConfig]) -> list[TrialConfig]:
        """That with the most weights, and that with the largest activations."""
        models = [as_translation(config) for config in configs]
        weights = max(models, key=lambda config: config.num_parameters)
        activations = max(models, key=_activations)
        return [weights] if activations == weights else [weights, activations]

    def measure(self, configs: list[TrialConfig], cache: Path, storage: Storage | None) -> "Need | None":
        from trainables.acceleration.gpu_memory import measure_need

        return measure_need(*_at_hand([as_translation(config) for config in configs], cache, storage))

    def gain_of_bfloat16(self, config: TrialConfig, cache: Path, storage: Storage | None) -> float:
        from trainables.acceleration.bfloat16 import gain_of_bfloat16

        (model,), cache = _at_hand([as_translation(config)], cache, storage)
        return gain_of_bfloat16(model, cache)


PREPARATION = TranslationPreparation()


def _at_hand(
    configs: list[TranslationConfig], cache: Path, storage: Storage | None
) -> tuple[list[TranslationConfig], Path]:
    """The configurations with files of this node, and its cache; fetched from the storage if there is one."""
    from trainables.training.initial import at_hand
    from trainables.translation import TRAINING

    for config in configs if storage else ():
        assert storage
        cache = TRAINING.bring(config, storage)
    return [at_hand(config, cache) for config in configs], cache


def _initial_files(config: TranslationConfig) -> list[Path]:
    """The files that `model.init_from` and `tokenizer.taken_from` name."""
    if config.model.init_from is None and config.tokenizer.taken_from is None:
        return []
    from trainables.training.initial import initial_files  # it imports torch

    return initial_files(config)


def _check_initial(experiment: Experiment) -> None:
    """Raises UserError if trials can't start from the model of `model.init_from`."""
    trial = as_translation(experiment.trial)
    if trial.tokenizer.taken_from is None:
        return
    from trainables.training.initial import FREE, check_initial

    free = [f"model.{name}" for name in FREE] if trial.model.init_from else ["model"]
    groups = ("model.", "tokenizer.")
    for path in experiment.space.domains:
        if path.startswith(groups) and not is_among(path, free):
            raise UserError(f"space: {path}: is decided by the model that trials start from; drop it")
    check_initial(trial)


def tokenizer_variants(experiment: Experiment) -> list[TokenizerConfig]:
    """The extreme tokenizers that the space can draw: if their vocabularies fit the text, all do."""
    variants = [as_translation(experiment.trial).tokenizer]
    for path, domain in experiment.space.domains.items():
        if path.startswith("tokenizer."):
            field = path.removeprefix("tokenizer.")
            values = domain.values or (domain.min, domain.max)
            if field == "vocab_size":
                sizes = sorted(int(float(str(value))) for value in values)
                values = (sizes[0], sizes[-1])
            variants = [v.model_validate({**v.model_dump(), field: value}) for v in variants for value in values]
    return variants


def tell_sizes(prepared: "PreparedText", pieces: str) -> None:
    """Say how many pairs there are. pieces: what their tokens are."""
    overlong = f" ({prepared.train.overlong} above data.max_tokens)" if prepared.train.overlong else ""
    say(
        f"{count(len(prepared.train), 'training pair', 'training pairs')}{overlong}, "
        f"{count(len(prepared.valid), 'validation pair', 'validation pairs')}, "
        f"{prepared.train.target_tokens:,} target tokens in {pieces}",
    )


def tell_rounds(experiment: Experiment, prepared: "PreparedText") -> None:
    """Say how much progress an epoch makes, and warn if rungs lie behind the last report. Raises UserError."""
    from trainables.data.encoding.batching import rounds_of

    training = as_translator(experiment.trial).training
    unit, rounds = training.unit, rounds_of(prepared.train, training)
    rounds.check()
    for name in ("batch_tokens", "batch_sentences"):  # the fewest steps an epoch
        domain = experiment.space.domains.get(f"training.{name}")
        if domain is None:
            continue
        largest = max(int(size) for size in domain.values or (domain.max,) if isinstance(size, int | float))
        sizes = {"batch_tokens": None, "batch_sentences": None, name: largest}
        try:
            rounds_of(prepared.train, training.model_copy(update=sizes)).check()
        except UserError as error:
            raise UserError(f"space.training.{name}: with {largest:,}, {error}") from None
    say(f"{rounds.per_epoch:,} {unit}s an epoch in the base trial, a report every {training.report_every:,}")
    if behind := [rung for rung in experiment.rungs if rung >= rounds.last]:
        warn(
            f"search.scheduler.rungs: {behind} lie behind {unit} {rounds.last}, where the base trial ends: none is "
            "stopped there",
        )


def _activations(config: TranslationConfig) -> int:
    """Operations on a batch, which grow with the activations that are kept."""
    training = config.training
    sentences = training.batch_sentences or max(1, (training.batch_tokens or 0) // (2 * SENTENCE))
    return sentences * count_flops(config.model, config.tokenizer.vocab_size, SENTENCE, SENTENCE)

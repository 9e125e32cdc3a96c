"""The corpus and its tokenizers, checked and made before Ray starts."""

from rich.console import Console

from search.driver.shown_pairs import show_pairs
from search.settings.experiment import Experiment
from trainables.base.config import TokenizerConfig
from trainables.base.log import say, warn
from trainables.data.batching import count_batches
from trainables.data.corpus import digest_test
from trainables.data.corpus_cache import cached_corpus
from trainables.data.preparing import count_unknown, prepare
from trainables.sharing.storage import Storage, new_driver, store_corpus

SHOWN = 60  # characters of a sentence in a warning


def prepare_corpus(experiment: Experiment, console: Console) -> None:
    """Read and check the corpus, train the tokenizers, and say what there is. Raises UserError."""
    corpus = cached_corpus(experiment.data, experiment.cache)
    digest_test(experiment.data, corpus.train)  # what is wrong with its files is told now, not after the search
    show_pairs(corpus.train, console)
    for warning in corpus.warnings:
        warn(warning)
    told: set[str] = set()  # most vocabularies tell the same
    for config in tokenizer_variants(experiment):
        prepared = prepare(experiment.data, config, experiment.cache)
        for warning in count_unknown(prepared.tokenizer, corpus.valid.source, experiment.data.valid):
            if warning not in told:
                warn(warning)
            told.add(warning)
        overlong = f" ({prepared.train.overlong} above data.max_tokens)" if prepared.train.overlong else ""
        say(
            f"{len(prepared.train):,} training pairs{overlong}, {len(prepared.valid):,} validation pairs, "
            f"{prepared.train.target_tokens:,} target tokens in {config.vocab_size:,} {config.kind} pieces",
        )
        if unwritable := prepared.tokenizer.unwritable(prepared.valid_text.target):
            wanted, written = unwritable[0]
            warn(
                f"{len(unwritable) / len(prepared.valid):.1%} of the validation references can't be written with these "
                f"pieces, so no model reaches BLEU 100: {wanted[:SHOWN]!r} becomes {written[:SHOWN]!r}; see "
                "tokenizer.normalization, tokenizer.character_coverage and tokenizer.byte_fallback",
            )
    if experiment.training.report_steps:
        _tell_steps(experiment)


def prepare_storage(experiment: Experiment) -> Storage | None:
    """The storage of the search, with corpus and tokenizers in it for all nodes, and the tokenizers that it had in the
    cache here; None without one. Raises UserError."""
    if experiment.storage is None:
        return None
    corpus = cached_corpus(experiment.data, experiment.cache)
    storage = Storage(experiment.run_url, new_driver(), store_corpus(experiment.storage, corpus))
    for config in tokenizer_variants(experiment):
        storage.share_tokenizer(config, corpus, experiment.cache)
    return storage


def _tell_steps(experiment: Experiment) -> None:
    train = prepare(experiment.data, experiment.tokenizer, experiment.cache).train
    steps = count_batches(train, experiment.training)
    say(f"{steps:,} steps an epoch in the base trial, a report every {experiment.training.report_steps:,}")
    last = steps * experiment.training.epochs
    if behind := [rung for rung in experiment.rungs if rung >= last]:
        warn(
            f"search.scheduler.rungs: {behind} lie behind step {last}, where the base trial ends: no such trial is "
            "stopped there",
        )


def tokenizer_variants(experiment: Experiment) -> list[TokenizerConfig]:
    """The extreme tokenizers that the space can draw: if their vocabularies fit the text, all do."""
    variants = [experiment.tokenizer]
    for path, domain in experiment.space.domains.items():
        if path.startswith("tokenizer."):
            field = path.removeprefix("tokenizer.")
            values = domain.values or (domain.min, domain.max)
            if field == "vocab_size":
                sizes = sorted(int(float(str(value))) for value in values)
                values = (sizes[0], sizes[-1])
            variants = [v.model_validate({**v.model_dump(), field: value}) for v in variants for value in values]
    return variants

"""Trained finalists: how to decode them is chosen on the validation split, then they are scored on the test split."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import ray

from model.transformer import Transformer
from search.finals.retraining import train_again
from search.record.journal import JournalLine
from search.settings.experiment import Experiment
from search.settings.finals import Decoding
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.sealing import Damaged, checksum, read_sealed, write_sealed
from trainables.data.batching import encode_split
from trainables.data.corpus import Split
from trainables.data.corpus_cache import cached_corpus
from trainables.data.scoring import scoring
from trainables.data.tokenizer import Tokenizer
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.sharing.storage import Storage
from trainables.training.checkpoint import load_model
from trainables.training.device import default_device
from trainables.training.evaluation import Scores, corpus_bleu, reference_loss, score, translate

GREEDY = Decoding(1, 1.0)


@dataclass(frozen=True)
class FinalModel:
    """A trained model to score."""

    config: TrialConfig
    trial: int  # of the search
    number: int | None  # in the study of the finals; None for a model of the search itself
    valid_bleu: float  # greedy, as its last report has it
    valid_nll_per_char: float  # as well
    train_seconds: float
    folder: Path  # of its checkpoints and results, in the run directory
    averaged: int = 1  # its weights are the mean of so many last checkpoints
    storage: Storage | None = None  # of its checkpoints
    lines: Sequence[JournalLine] = ()  # of its training; without them the newest checkpoint is taken for the last

    @property
    def identity(self) -> str:
        """By which a result is known to be of this training."""
        return checksum([self.config.model_dump(mode="json"), *(line.stored() for line in self.lines[-1:])])

    def load(self, cache: Path) -> tuple[Transformer, Tokenizer]:
        """The model as its last report has it. A damaged checkpoint is trained again from an older one, or the start.

        Raises UserError if that gives another model.
        """
        places, number = Checkpoints(self.folder.parent, self.storage), int(self.folder.name)
        with places.at_hand(number, self.averaged) as folder:
            reports = [line.report for line in self.lines]
            if reports and train_again(self.config, cache, folder, reports, self.averaged) and self.storage:
                self.storage.send(folder, places.key(number), self.averaged)
            return load_model(self.config, cache, folder, default_device(), self.averaged)


@dataclass(frozen=True)
class ScoredModel:
    """One trained model on the test split."""

    seed: int
    decoding: Decoding
    valid_bleu: float  # greedy
    scores: Scores
    nll_per_char: float | None  # of the references; None where learned positions end before the longest of them
    translations: list[str]
    num_parameters: int
    neural: float | None = None  # by finals.neural_metric


def score_all(models: list[FinalModel], test: Split, experiment: Experiment, gpus: float) -> list[ScoredModel]:
    """The results of the models, in their order; as many at a time as Ray has slots. Raises UserError.

    gpus: of a trial; one is enough to decode. Each result is kept beside its model, and not asked for again.
    """
    remotely = ray.remote(num_cpus=1, num_gpus=min(gpus, 1.0), max_retries=2)
    valid = [known_on_valid(model) for model in models]
    wanted = {GREEDY, *(experiment.finals.decodings if len(experiment.finals.decodings) > 1 else [])}
    on_valid = remotely(bleu_on_valid)
    asked = {
        on_valid.remote(model, missing, experiment.cache): index
        for index, model in enumerate(models)
        if (missing := sorted(wanted - valid[index].keys(), key=astuple))
    }
    for index, bleu in _as_they_come(asked):
        valid[index] |= bleu
        keep_on_valid(models[index], valid[index])
    chosen = choose_decodings(models, valid, experiment)
    results = [known_on_test(model) for model in models]
    if None in results:
        split = ray.put(test)
        on_test = remotely(score_on_test)
        tested = {
            on_test.remote(model, chosen[model.trial], valid[index][GREEDY], split, experiment.cache): index
            for index, model in enumerate(models)
            if results[index] is None
        }
        for index, result in _as_they_come(tested):
            results[index] = result
            keep_on_test(models[index], result)
    return [result for result in results if result]


def _as_they_come(asked: dict[Any, int]) -> Iterator[tuple[int, Any]]:
    """What was asked of remote processes, by number, in the order of the answers. Raises UserError."""
    waiting = list(asked)
    while waiting:
        (done,), waiting = ray.wait(waiting)
        try:
            yield asked[done], ray.get(done)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError | OSError):
                raise error.cause from None  # without Ray's traceback
            raise


def keep_on_valid(model: FinalModel, bleu: dict[Decoding, float]) -> None:
    """For `known_on_valid` to find."""
    ways = [[way.beam_size, way.length_penalty, value] for way, value in bleu.items()]
    _keep(model, "valid.json", {"bleu": ways})


def keep_on_test(model: FinalModel, result: ScoredModel) -> None:
    """For `known_on_test` to find."""
    _keep(model, "test.json", asdict(result))


def _keep(model: FinalModel, name: str, record: dict[str, Any]) -> None:
    make_folder(model.folder)
    write_sealed(model.folder / name, {**record, "model": model.identity})


def _kept(model: FinalModel, name: str) -> dict[str, Any]:
    """Raises Damaged, also for what is of another model; version 0.1 did not write which it was of."""
    record = read_sealed(model.folder / name)
    if record.pop("model", model.identity) != model.identity:
        raise Damaged(f"{model.folder / name}: is of another model")
    return record


def choose_decodings(
    models: list[FinalModel], valid: list[dict[Decoding, float]], experiment: Experiment
) -> dict[int, Decoding]:
    """For each finalist, the way to decode that is best on the validation split, in the mean of its seeds."""
    chosen = {}
    for trial in {model.trial for model in models}:
        mine = [bleu for model, bleu in zip(models, valid, strict=True) if model.trial == trial]
        candidates = experiment.finals.decodings
        # Of equals, the first: they stand as the user listed them.
        chosen[trial] = (
            max(candidates, key=lambda candidate: fmean(bleu[candidate] for bleu in mine))
            if len(candidates) > 1
            else candidates[0]
        )
    return chosen


def known_on_valid(model: FinalModel) -> dict[Decoding, float]:
    """Valid BLEU by ways to decode, as far as it was measured before."""
    known = {GREEDY: model.valid_bleu} if model.averaged == 1 else {}
    with suppress(Damaged, KeyError, TypeError, ValueError):  # it is measured again, then
        kept = _kept(model, "valid.json")["bleu"]
        known |= {Decoding(size, penalty): bleu for size, penalty, bleu in kept}
    return known


def bleu_on_valid(model: FinalModel, decodings: list[Decoding], cache: Path) -> dict[Decoding, float]:
    """BLEU on the validation split for each way to decode."""
    cache = model.storage.bring(model.config) if model.storage else cache
    network, tokenizer = model.load(cache)
    text = cached_corpus(model.config.data, cache).valid
    return {
        decoding: corpus_bleu(
            translate(network, tokenizer, text.source, decoding.beam_size, decoding.length_penalty),
            text.target,
            scoring(model.config.data),
        )
        for decoding in decodings
    }


def score_on_test(model: FinalModel, decoding: Decoding, valid_bleu: float, test: Split, cache: Path) -> ScoredModel:
    """Decode the test split with a trained model."""
    network, tokenizer = model.load(model.storage.bring(model.config) if model.storage else cache)
    translations = translate(network, tokenizer, test.source, decoding.beam_size, decoding.length_penalty)
    return ScoredModel(
        seed=model.config.seed,
        decoding=decoding,
        valid_bleu=valid_bleu,
        scores=score(translations, test.target, scoring(model.config.data)),
        nll_per_char=nll_per_char(network, tokenizer, test),
        translations=translations,
        num_parameters=network.num_parameters(),
    )


def nll_per_char(network: Transformer, tokenizer: Tokenizer, split: Split) -> float | None:
    """The loss of the references, in nats, comparable between vocabularies; None where a sequence is too long for
    the model."""
    encoded, config = encode_split(split, tokenizer), network.config
    longest = max(encoded.source.lengths.max(), encoded.target.lengths.max() - 1)
    if config.longest is not None and longest > config.longest:
        return None
    return reference_loss(network, encoded) / sum(map(len, split.target))


def known_on_test(model: FinalModel) -> ScoredModel | None:
    """None if there is no result, a damaged one, or one of an earlier version with other scores."""
    try:
        record = _kept(model, "test.json")
        record.pop("sentences_per_second", None)  # of version 0.1, while other work ran
        nested = {"scores": Scores(**record["scores"]), "decoding": Decoding(**record["decoding"])}
        return ScoredModel(**{**record, **nested})
    except (Damaged, TypeError, KeyError):
        return None

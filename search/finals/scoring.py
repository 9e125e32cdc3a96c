"""Trained finalists: how to decode them is chosen on the validation split, then they are scored on the test split."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import ray

from model.transformer import Transformer
from search.experiment import Experiment
from search.finals_config import Decoding
from trainables.batching import encode_split
from trainables.config import TrialConfig
from trainables.corpus import Split, read_test
from trainables.errors import UserError
from trainables.evaluation import Scores, corpus_bleu, reference_loss, score, translate
from trainables.files import write_atomically
from trainables.preparing import cached_corpus
from trainables.tokenizer import Tokenizer
from trainables.training import default_device, load_model

GREEDY = Decoding(1, 1.0)


@dataclass(frozen=True)
class FinalModel:
    """A trained model to score."""

    config: TrialConfig
    trial: int  # of the search
    number: int | None  # in the study of the finals; None for a model of the search itself
    valid_bleu: float  # greedy, as its last report has it
    train_seconds: float
    checkpoints: Path
    averaged: int = 1  # its weights are the mean of so many last checkpoints

    def load(self, cache: Path) -> tuple[Transformer, Tokenizer]:
        return load_model(self.config, cache, self.checkpoints, default_device(), self.averaged)


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
    sentences_per_second: float
    neural: float | None = None  # by finals.neural_metric


def score_all(models: list[FinalModel], experiment: Experiment, gpus: float) -> list[ScoredModel]:
    """The results of the models, in their order; as many at a time as Ray has slots. Raises UserError.

    gpus: of a trial; one is enough to decode.
    """
    gpus = min(gpus, 1.0)
    on_valid = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=2)(score_on_valid)
    on_test = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=2)(score_on_test)
    try:
        valid: list[dict[Decoding, float]] = ray.get([on_valid.remote(model, experiment) for model in models])
        chosen = choose_decodings(models, valid, experiment)
        results: list[ScoredModel] = ray.get(
            [
                on_test.remote(model, chosen[model.trial], bleu[GREEDY], experiment)
                for model, bleu in zip(models, valid, strict=True)
            ]
        )
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None  # without Ray's traceback
        raise
    return results


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


def score_on_valid(model: FinalModel, experiment: Experiment) -> dict[Decoding, float]:
    """Valid BLEU by greedy search and, if there is a choice, each way to decode; what is known is not decoded again."""
    candidates = experiment.finals.decodings
    wanted = {GREEDY, *(candidates if len(candidates) > 1 else [])}
    file = model.checkpoints / "valid.json"
    known = {GREEDY: model.valid_bleu} if model.averaged == 1 else {}
    if file.exists():
        known |= {Decoding(size, penalty): bleu for size, penalty, bleu in json.loads(file.read_text())}
    if missing := wanted - known.keys():
        network, tokenizer = model.load(experiment.cache)
        text = cached_corpus(model.config.data).valid
        for decoding in missing:
            translations = translate(network, tokenizer, text.source, decoding.beam_size, decoding.length_penalty)
            known[decoding] = corpus_bleu(translations, text.target)
        rows = [[decoding.beam_size, decoding.length_penalty, bleu] for decoding, bleu in known.items()]
        write_atomically(file, json.dumps(rows))
    return known


def score_on_test(model: FinalModel, decoding: Decoding, valid_bleu: float, experiment: Experiment) -> ScoredModel:
    """Decode the test split with a trained model, or read the result of having done so."""
    file = model.checkpoints / "test.json"
    if (done := _read(file)) is not None:
        return done
    why = f"scoring finalist {model.trial}, seed {model.config.seed}"
    test = read_test(model.config.data, experiment.run_dir, why)
    network, tokenizer = model.load(experiment.cache)
    started = time.perf_counter()
    translations = translate(network, tokenizer, test.source, decoding.beam_size, decoding.length_penalty)
    seconds = time.perf_counter() - started
    result = ScoredModel(
        seed=model.config.seed,
        decoding=decoding,
        valid_bleu=valid_bleu,
        scores=score(translations, test.target),
        nll_per_char=nll_per_char(network, tokenizer, test),
        translations=translations,
        num_parameters=network.num_parameters(),
        sentences_per_second=len(test) / seconds,
    )
    write_atomically(file, json.dumps(asdict(result), ensure_ascii=False))
    return result


def nll_per_char(network: Transformer, tokenizer: Tokenizer, split: Split) -> float | None:
    """Of the references, in nats, comparable between vocabularies; None where a sequence is too long for the model."""
    encoded, config = encode_split(split, tokenizer), network.config
    longest = max(encoded.source.lengths.max(), encoded.target.lengths.max() - 1)
    if config.positions == "learned" and longest > config.max_length:
        return None
    return reference_loss(network, encoded) / sum(map(len, split.target))


def _read(file: Path) -> ScoredModel | None:
    """None if there is no result, or one of an earlier version with other scores."""
    if not file.exists():
        return None
    record = json.loads(file.read_text(encoding="utf-8"))
    try:
        nested = {"scores": Scores(**record["scores"]), "decoding": Decoding(**record["decoding"])}
        return ScoredModel(**{**record, **nested})
    except (TypeError, KeyError):
        return None

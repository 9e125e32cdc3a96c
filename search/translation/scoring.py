"""Scores finalists: their decoding is chosen on the validation split, then they are scored on the test split."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import numpy as np

from search.finals.remotely import Remotely
from search.finals.results import keep_result, keep_statistics, kept_result
from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from search.translation.finals_config import Decoding, TranslationFinals, as_translation_finals
from search.translation.systems import Systems
from trainables.base.data_config import DataConfig
from trainables.base.sealing import Damaged
from trainables.base.translator_config import as_translator
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.corpus import count_references
from trainables.data.corpora.scoring import scoring
from trainables.data.reading.text import Split
from trainables.training.evaluation import Scores, corpus_bleu, score_with_terms

GREEDY = Decoding(1, 1.0)


@dataclass(frozen=True)
class ScoredModel:
    """The result of one trained model on a test split, with those on other tests."""

    seed: int
    decoding: Decoding
    valid_bleu: float  # greedy
    scores: Scores
    nll_per_char: float | None  # of the references; None if learned positions end before the longest one
    translations: list[str]
    num_parameters: int
    further: dict[str, float] = field(default_factory=dict)  # scores by the metrics of the configuration
    others: dict[str, "ScoredModel"] = field(default_factory=dict)  # by the keys of other tests
    ranked: float | None = None  # the score of the ranking, if it is not BLEU
    seconds: float | None = None  # for a sentence, if that is a goal
    seconds_error: float | None = None  # its standard error, as a share

    @property
    def score(self) -> float:
        """The score of the ranking."""
        return self.scores.bleu if self.ranked is None else self.ranked

    def on(self, test: str) -> "ScoredModel":
        """The result on the test of this key."""
        return self.others.get(test, self)

    def by(self, metric: str) -> float:
        """The score on the test split by a metric."""
        return self.further[metric] if metric in self.further else float(getattr(self.scores, metric))


def score_all(
    systems: Systems, models: list[FinalModel], tests: Mapping[str, Split], experiment: Experiment, gpus: float
) -> list[ScoredModel]:
    """The results of the models, in their order, computed in all of Ray's slots. Raises UserError.

    gpus: for each trial; at most one is used. Each result is kept beside its model and reused.
    """
    settings, remotely = as_translation_finals(experiment.finals), Remotely(gpus)
    valid = [known_on_valid(model) for model in models]
    wanted = {GREEDY, *(settings.decodings if len(settings.decodings) > 1 else [])}
    asked = {
        index: (systems, model, missing, experiment.cache)
        for index, model in enumerate(models)
        if (missing := sorted(wanted - valid[index].keys(), key=astuple))
    }
    for index, bleu in remotely.call(bleu_on_valid, asked):
        valid[index] |= bleu
        keep_on_valid(models[index], valid[index])
    chosen = choose_decodings(models, valid, settings)
    ways = [(chosen[model.trial], bleu[GREEDY]) for model, bleu in zip(models, valid, strict=True)]
    found = {key: _score_on(systems, key, models, ways, test, experiment, remotely) for key, test in tests.items()}
    first = found.pop("test")
    return [
        replace(result, others={key: results[index] for key, results in found.items()})
        for index, result in enumerate(first)
    ]


def _score_on(
    systems: Systems,
    key: str,
    models: list[FinalModel],
    ways: list[tuple[Decoding, float]],
    test: Split,
    experiment: Experiment,
    remotely: Remotely,
) -> list[ScoredModel]:
    """The results on one test. ways: for each model its decoding, and its greedy validation BLEU."""
    results = [
        known if (known := known_on_test(model, key)) and (known.decoding, known.valid_bleu) == way else None
        for model, way in zip(models, ways, strict=True)
    ]
    if None in results:
        split = remotely.put(test)
        asked = {
            index: (systems, model, *ways[index], split, experiment.cache)
            for index, model in enumerate(models)
            if results[index] is None
        }
        signatures = signatures_on(as_translator(experiment.trial).data, key)
        for index, (result, terms) in remotely.call(score_on_test, asked):
            results[index] = result
            for name, statistics in terms.items():
                keep_statistics(models[index], f"{key}_{name}", signatures[name], statistics)
            keep_on_test(models[index], result, key)
    return [result for result in results if result]


@lru_cache(maxsize=16)  # the files of the test are looked for
def signatures_on(data: DataConfig, key: str) -> dict[str, str]:
    """How sacreBLEU scores on the test of this key."""
    return scoring(data).signatures(count_references(data, key))


def keep_on_valid(model: FinalModel, bleu: dict[Decoding, float]) -> None:
    """Keep validation BLEU, for `known_on_valid`."""
    ways = [[way.beam_size, way.length_penalty, value] for way, value in bleu.items()]
    keep_result(model, "valid.json", {"bleu": ways})


def keep_on_test(model: FinalModel, result: ScoredModel, key: str = "test") -> None:
    """Keep a result, for `known_on_test`."""
    record = asdict(result)
    for follows in ("further", "others", "ranked"):  # from the configuration
        del record[follows]
    keep_result(model, f"{key}.json", record)


def choose_decodings(
    models: list[FinalModel], valid: list[dict[Decoding, float]], settings: TranslationFinals
) -> dict[int, Decoding]:
    """For each finalist, the decoding with the best mean score of its seeds on the validation split."""
    chosen = {}
    for trial in {model.trial for model in models}:
        mine = [bleu for model, bleu in zip(models, valid, strict=True) if model.trial == trial]
        candidates = settings.decodings
        # Of equal ones the first, in the order of the user's list.
        chosen[trial] = (
            max(candidates, key=lambda candidate: fmean(bleu[candidate] for bleu in mine))
            if len(candidates) > 1
            else candidates[0]
        )
    return chosen


def known_on_valid(model: FinalModel) -> dict[Decoding, float]:
    """The validation BLEU of the decodings that were measured before."""
    known = {GREEDY: model.valid["valid_bleu"]} if model.last_checkpoints == 1 else {}
    with suppress(Damaged, KeyError, TypeError, ValueError):  # then it is measured again
        kept = kept_result(model, "valid.json")["bleu"]
        known |= {Decoding(size, penalty): bleu for size, penalty, bleu in kept}
    return known


def bleu_on_valid(systems: Systems, model: FinalModel, decodings: list[Decoding], cache: Path) -> dict[Decoding, float]:
    """BLEU on the validation split for each decoding."""
    cache, config = model.bring(cache), as_translator(model.config)
    system = systems.load(model, cache)
    text = cached_corpus(config.data, cache).valid
    return {
        decoding: corpus_bleu(system.translate(text.source, decoding), text.target, scoring(config.data))
        for decoding in decodings
    }


def score_on_test(
    systems: Systems, model: FinalModel, decoding: Decoding, valid_bleu: float, test: Split, cache: Path
) -> tuple[ScoredModel, dict[str, np.ndarray]]:
    """Decode the test split with a trained model, and score it; also the statistics of each sentence, by metric."""
    system = systems.load(model, model.bring(cache))
    translations = system.translate(test.source, decoding)
    language = scoring(as_translator(model.config).data)
    scores, terms = score_with_terms(translations, test.target, language, *test.references[1:])
    result = ScoredModel(
        seed=model.config.seed,
        decoding=decoding,
        valid_bleu=valid_bleu,
        scores=scores,
        nll_per_char=system.nll_per_char(test),
        translations=translations,
        num_parameters=system.num_parameters,
    )
    return result, terms


def known_on_test(model: FinalModel, key: str = "test") -> ScoredModel | None:
    """The kept result; None if it is missing or damaged, or an earlier version wrote it with other scores."""
    try:
        record = kept_result(model, f"{key}.json")
        for gone in ("sentences_per_second", "neural"):  # in version 0.1
            record.pop(gone, None)
        nested = {"scores": Scores(**record["scores"]), "decoding": Decoding(**record["decoding"])}
        return ScoredModel(**{**record, **nested})
    except (Damaged, TypeError, KeyError):
        return None

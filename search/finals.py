"""The finalists: chosen by the search's metric, retrained with fresh seeds, then decoded on the test split."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import ray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.experiment import Experiment
from search.samplers import Proposal
from search.space import Params
from search.study import Study
from trainables.config import TrialConfig
from trainables.corpus import read_test
from trainables.errors import UserError
from trainables.evaluation import Scores, score, translate
from trainables.files import write_atomically
from trainables.training import default_device, load_model


@dataclass(frozen=True)
class Finalist:
    """A configuration of the search that goes to the finals."""

    trial: int
    params: Params
    epochs: float  # trained in the search
    score: float  # of the search's metric, at its last epoch


@dataclass(frozen=True)
class TestResult:
    """One trained model on the test split."""

    seed: int
    scores: Scores
    translations: list[str]
    num_parameters: int
    sentences_per_second: float


def choose_finalists(study: Study, experiment: Experiment) -> list[Finalist]:
    """The best trials: those trained to the end first, then by the last rung they reached, by score in each."""
    complete_only = experiment.finals.seeds == 0  # stopped models are not scored as they are
    candidates = [
        trial
        for trial in study.trials.values()
        if trial.outcome == "completed" or (trial.outcome == "stopped" and not complete_only)
    ]
    candidates.sort(key=study.standing)
    return [
        Finalist(trial.number, trial.params, trial.epochs, trial.scores[trial.epoch])
        for trial in candidates[: experiment.finals.top]
    ]


def freeze_finalists(
    file: Path, finalists: list[Finalist], experiment: Experiment, test_opened_before: list[str]
) -> None:
    """Write the choice, once: from here on the test split may be opened. It was before, at those times, if the
    search is an extension."""
    record = {
        "frozen_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "test_opened_before": test_opened_before,
        "metric": experiment.search.metric,
        "seeds": final_seeds(experiment),
        "finalists": [
            {"trial": f.trial, "config": f.params, "epochs": f.epochs, experiment.search.metric: f.score}
            for f in finalists
        ],
    }
    write_atomically(file, json.dumps(record, indent=2))


def read_finalists(file: Path) -> list[Finalist]:
    """What `freeze_finalists` wrote. Raises UserError if the file holds something else."""
    try:
        record = json.loads(file.read_text())
        return [
            Finalist(entry["trial"], entry["config"], entry["epochs"], entry[record["metric"]])
            for entry in record["finalists"]
        ]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file}: holds no finalists as a search writes them; restore it") from None


def final_seeds(experiment: Experiment) -> list[int]:
    """The seeds of the finals: fresh ones, so that no finalist is there by the luck of its seed."""
    if experiment.finals.seeds == 0:
        return [experiment.seed]
    return [experiment.seed + 1 + i for i in range(experiment.finals.seeds)]


class FinalsPlan:
    """Each finalist with each seed, as the trials of a study of their own."""

    def __init__(self, experiment: Experiment, finalists: list[Finalist]):
        self.base = experiment.trial
        self.points: list[Params] = [
            {"finalist": f.trial, "seed": seed} for f in finalists for seed in final_seeds(experiment)
        ]
        self.params = {f.trial: f.params for f in finalists}
        self.distributions: dict[str, BaseDistribution] = {
            "finalist": CategoricalDistribution(tuple(self.params)),
            "seed": CategoricalDistribution(tuple(final_seeds(experiment))),
        }

    def propose(self, study: Study) -> Proposal | None:
        number = len(study.trials)
        return Proposal(self.points[number]) if number < len(self.points) else None

    def config(self, params: Params) -> TrialConfig:
        trial = params["finalist"]
        assert isinstance(trial, int)
        return self.base.with_values({**self.params[trial], "seed": params["seed"]})


@dataclass(frozen=True)
class FinalModel:
    """A trained model to score."""

    config: TrialConfig
    trial: int  # of the search
    number: int | None  # in the study of the finals; None for a model of the search itself
    valid_bleu: float
    train_seconds: float
    checkpoints: Path


def score_on_test(model: FinalModel, experiment: Experiment) -> TestResult:
    """Decode the test split with a trained model, or read the result of having done so."""
    file = model.checkpoints / "test.json"
    if file.exists():
        record = json.loads(file.read_text(encoding="utf-8"))
        return TestResult(**{**record, "scores": Scores(**record["scores"])})
    test = read_test(model.config.data, experiment.run_dir / "finalists.json")
    network, tokenizer = load_model(model.config, experiment.cache, model.checkpoints, default_device())
    started = time.perf_counter()
    translations = translate(
        network, tokenizer, test.source, experiment.finals.beam_size, experiment.finals.length_penalty
    )
    seconds = time.perf_counter() - started
    result = TestResult(
        seed=model.config.seed,
        scores=score(translations, test.target),
        translations=translations,
        num_parameters=network.num_parameters(),
        sentences_per_second=len(test) / seconds,
    )
    write_atomically(file, json.dumps(asdict(result), ensure_ascii=False))
    return result


def score_all(models: list[FinalModel], experiment: Experiment, gpus: float) -> list[TestResult]:
    """The results of the models, in their order; as many at a time as Ray has slots. Raises UserError."""
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=2)(score_on_test)
    try:
        results: list[TestResult] = ray.get([remote.remote(model, experiment) for model in models])
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None  # without Ray's traceback
        raise
    return results

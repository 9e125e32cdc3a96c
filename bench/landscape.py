"""An artificial translation score on the space of configs/architecture.yaml, with properties of real ones.

Larger models gain less and less and overfit without dropout. The best learning rate depends on depth, width and kind of
norm; high rates diverge with post-norm in deep models. Scores vary with the seed.

python bench/landscape.py    searches for the best configuration, for BEST_KNOWN
"""

import math
from itertools import islice
from pathlib import Path

import numpy as np

from model.config import ModelConfig
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers.base import Task, distinct, uniform_draws
from search.samplers.coding import Coding
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.outcomes import Outcome
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.base.yaml_files import read_yaml

FILE = Path(__file__).parents[1] / "configs" / "architecture.yaml"
NOISE = 0.4  # standard deviation of BLEU between training seeds
BEST_KNOWN = 37.078  # python bench/landscape.py

POSITIONS = {
    "sinusoidal": 0.0,
    "learned": -0.4,
    "relative": 0.6,
    "transformer_xl": 0.4,
    "t5": 0.35,
    "rotary": 0.5,
    "alibi": 0.15,
    "none": -2.5,
}
DISTANCES = {8: -0.25, 16: 0.0, 32: -0.1}
ACTIVATIONS = {"relu": 0.0, "gelu": 0.1, "swiglu": 0.35, "geglu": 0.3}
EMBEDDINGS = {"all": 0.15, "decoder": 0.0, "none": -0.4}
NORM_RATES = {"pre": 0.5, "post": -0.9, "deep": 0.0}  # octaves of the best learning rate
NORM_GAINS = {"pre": -0.3, "post": 0.1, "deep": 0.2}


def make_experiment(sampler: str, trials: int, seed: int) -> Experiment:
    """The search of configs/architecture.yaml, without a scheduler."""
    tree = read_yaml(FILE)
    tree["search"] |= {"sampler": sampler, "trials": trials, "seed": seed, "scheduler": "none"}
    return Experiment.model_validate(tree)


def measured(config: TranslationConfig, seed: int) -> float | None:
    """The BLEU of one training run, a function of configuration and seed; None if it diverges."""
    words = (*config.model_dump_json().encode(), seed)
    unsteady, scatter = np.random.default_rng(words).normal(size=2).tolist()
    if excess(config) + 0.25 * unsteady > 0:
        return None
    return max(0.0, expected(config) + NOISE * scatter)


def end(study: Study, trial: StudyTrial, config: TranslationConfig, seed: int) -> float | None:
    """End a trial without training: completed with its score, or diverged."""
    score = measured(config, seed)
    if score is None:
        study.finish(trial, Outcome.DIVERGED)
    else:
        study.report(trial, 1, score)
        study.finish(trial, Outcome.COMPLETED)
    return score


def expected(config: TranslationConfig) -> float:
    """BLEU without noise; 0 if a run diverges with a probability above one half."""
    model, training = config.model, config.training
    if excess(config) > 0:
        return 0.0
    size = math.log2(body_parameters(config) / 3e6)
    bleu = 36.5 - 2.2 * 0.6**size  # a doubling gains 0.6 of the gain of the one before
    bleu -= 0.4 * max(0.0, size - 1) ** 2  # the corpus is too small for larger models
    bleu -= 0.3 * math.log2(model.encoder_layers / 4) ** 2 + 0.2 * math.log2(model.decoder_layers / 3) ** 2
    regularised = model.dropout + 0.3 * model.attention_dropout + 0.3 * model.activation_dropout
    bleu -= 35 * (regularised - min(max(0.13 + 0.06 * size, 0.0), 0.35)) ** 2  # larger models need more of it
    bleu -= 4 * (1 - math.exp(-0.35 * octaves_off(config) ** 2))
    slow_start = math.log2(training.learning_rate / 0.001) + (1.0 if model.norm == "post" else 0.0)
    bleu -= 0.12 * (math.log2(training.warmup_steps / 300) - 0.5 * slow_start) ** 2
    bleu -= 40 * (training.label_smoothing - 0.1) ** 2
    larger_vocabulary = 1.0 if config.tokenizer.vocab_size == 4000 else -1.0
    bleu += 0.25 * larger_vocabulary * min(max(size, -1.5), 1.5)
    bleu += POSITIONS[model.positions] + (DISTANCES[model.max_distance] if model.positions == "relative" else 0.0)
    bleu += NORM_GAINS[model.norm] * depth(model) / 6 + (0.05 if model.norm_type == "rms" else 0.0)
    bleu += ACTIVATIONS[model.activation] + EMBEDDINGS[model.tied_embeddings]
    bleu -= 0.15 * math.log2(model.head_size / 48) ** 2 + 0.12 * math.log2(model.num_heads / model.kv_heads)
    bleu -= 0.15 * math.log2(model.ffn_dim / (4 * model.d_model)) ** 2
    return max(0.0, bleu)


def octaves_off(config: TranslationConfig) -> float:
    """Octaves from the best learning rate of a model; deeper and wider models need lower rates, most with post-norm."""
    model = config.model
    steepness = 0.7 if model.norm == "post" else 0.4
    best = NORM_RATES[model.norm] - steepness * math.log2(depth(model) / 4) - 0.4 * math.log2(model.d_model / 256)
    return math.log2(config.training.learning_rate / 0.0015) - best


def excess(config: TranslationConfig) -> float:
    """Octaves above the highest learning rate at which a model trains."""
    model = config.model
    room = {"pre": 5.0, "post": 2.5, "deep": 4.0}[model.norm]
    room -= (0.25 if model.norm == "post" else 0.1) * (depth(model) - 4)
    room += 0.25 * math.log2(config.training.warmup_steps / 300)
    return math.log2(config.training.learning_rate / 0.001) - room


def depth(model: ModelConfig) -> int:
    return model.encoder_layers + model.decoder_layers


def body_parameters(config: TranslationConfig) -> int:
    """Parameters without the embeddings."""
    vocabulary, width = config.tokenizer.vocab_size, config.model.d_model
    matrices = {"all": 1, "decoder": 2, "none": 3}[config.model.tied_embeddings]
    return config.num_parameters - matrices * vocabulary * width


def look_for_best(draws: int, climbs: int) -> tuple[float, Params]:
    """The best of random draws and of local searches from the best of them, in one or two hyperparameters."""
    experiment = make_experiment("random", 1, 0)
    task, rng = Task(experiment.space, experiment.accept, 0), np.random.default_rng(0)
    coding = Coding(task.space)

    def value(params: Params) -> float:
        return expected(as_translation(experiment.trial.with_values(params)))

    drawn = sorted(islice(distinct(task, uniform_draws(task, rng), rng), draws), key=value, reverse=True)
    best, found = -math.inf, drawn[0]
    for params in drawn[:climbs]:
        height, vain = value(params), 0
        while vain < 3000:
            place = np.nan_to_num(coding.places([params])[0], nan=0.5)
            changed = rng.choice(len(place), rng.integers(1, 3), replace=False)
            fresh = coding.draw(rng.random((1, len(place))))[0]
            place[changed] = np.where(rng.random() < 0.5, fresh, place + rng.normal(0, 0.1, len(place)))[changed]
            moved = task.accept(coding.params(np.clip(place, 0, 1)))
            vain += 1
            if moved is not None and (higher := value(moved)) > height:
                params, height, vain = moved, higher, 0
        if height > best:
            best, found = height, params
    return best, found


if __name__ == "__main__":
    best, params = look_for_best(20_000, 20)
    print(f"{best:.3f}", *(f"{path}={value}" for path, value in params.items()))

"""The time of a model from its shape, fitted to the times of others.

A model takes as long as its operations do together, and each operation has a cost that depends on the machine: so the
costs are fitted, and none can be negative. Weights of the decoder that do not fit into the processor's cache are read
again for each token; the size of the cache is fitted, too.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
from scipy.optimize import nnls

from model.positions.kinds import KINDS
from trainables.base.translation_config import TranslationConfig
from trainables.timing.measuring import Timing

CACHES = [2.0**power for power in range(16, 26)]  # weights: sizes of a cache that are tried
Predictor = Callable[[TranslationConfig], float]


def operations(config: TranslationConfig, source: float, target: float, cache: float) -> list[float]:
    """How much a model does for a sentence, by kind of operation: what `fit_speed` finds the cost of.

    source, target: tokens of the sentence and of its translation; cache: weights that the processor's cache holds.
    """
    model, vocabulary = config.model, config.tokenizer.vocab_size
    width, hidden = model.d_model, model.hidden_dim
    matrices = (3 if model.gated else 2) * width * hidden + 2 * width * width + 2 * width * model.kv_dim
    encoded, decoded = source * model.encoder_layers, target * model.decoder_layers  # tokens that pass a layer
    read = model.decoder_layers * (matrices + 2 * width * width) + vocabulary * width  # weights, for each token
    return [
        1.0,
        float(model.encoder_layers),  # the encoder sees all tokens at once
        encoded * matrices + source * model.decoder_layers * 2 * width * model.kv_dim,  # with keys for the decoder
        encoded * (width + hidden),
        encoded * model.num_heads,
        encoded * hidden * model.gated,
        target,
        decoded,
        decoded * (matrices + 2 * width * width),  # with cross-attention
        decoded * (width + hidden),
        decoded * model.num_heads,
        decoded * hidden * model.gated,
        decoded * (source + target / 2) * width,  # attention over source and earlier tokens
        target * vocabulary,
        target * vocabulary * width,
        target * max(0.0, read - cache),
        *((encoded + decoded) * (model.positions == kind) for kind in KINDS),
    ]


def fit_speed(configs: Sequence[TranslationConfig], timings: Sequence[Timing]) -> Predictor:
    """From measured models of one setup to the seconds for a sentence of any other one.

    The relative errors of the measured times are minimised. Tokens of a vocabulary size that was not measured are
    interpolated.
    """
    tokens = _token_counts(configs, timings)
    seconds = np.array([timing.seconds_per_sentence for timing in timings])
    fits = []
    for cache in CACHES:
        rows = np.array([operations(config, *tokens(config), cache) for config in configs])
        scales = np.where(rows.any(axis=0), rows.max(axis=0), 1.0)
        costs, misfit = nnls(rows / scales / seconds[:, None], np.ones(len(seconds)))
        fits.append((misfit, cache, costs / scales))
    _, best_cache, best_costs = min(fits, key=lambda fit: fit[0])

    def predict(config: TranslationConfig) -> float:
        return float(np.dot(operations(config, *tokens(config), best_cache), best_costs))

    return predict


def error_of_fit(configs: Sequence[TranslationConfig], timings: Sequence[Timing]) -> float:
    """The typical error of a fit for a shape that it has not seen, as a share of the seconds.

    Each model's time is predicted from all others; the root mean square of the logarithms of the ratios. Needs three.
    """
    errors = []
    for left_out, (config, timing) in enumerate(zip(configs, timings, strict=True)):
        others = [each for each in range(len(configs)) if each != left_out]
        predict = fit_speed([configs[each] for each in others], [timings[each] for each in others])
        errors.append(math.log(max(predict(config), 1e-12) / timing.seconds_per_sentence) ** 2)
    return math.sqrt(fmean(errors))


def _token_counts(
    configs: Sequence[TranslationConfig], timings: Sequence[Timing]
) -> Callable[[TranslationConfig], tuple[float, float]]:
    """From a configuration to the tokens of a sentence and its translation, by the size of its vocabulary."""
    known: dict[int, list[tuple[float, float]]] = {}
    for config, timing in zip(configs, timings, strict=True):
        counts = timing.source_tokens, timing.target_tokens
        known.setdefault(config.tokenizer.vocab_size, []).append(counts)
    sizes = sorted(known)
    means = np.array([np.mean(known[size], axis=0) for size in sizes])

    def count(config: TranslationConfig) -> tuple[float, float]:
        place = math.log(config.tokenizer.vocab_size)
        source, target = (float(np.interp(place, np.log(sizes), means[:, side])) for side in (0, 1))
        return source, target

    return count

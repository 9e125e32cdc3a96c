"""Measures time and memory of a few configurations on this machine, in training, validation and decoding."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, count
from pathlib import Path
from statistics import fmean, stdev
from threading import BrokenBarrierError
from typing import Any

import numpy as np
import torch

from search.planning.models import Models, Probed
from search.planning.speeds import Measured
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.translator_config import TranslatorConfig, as_translator
from trainables.data.encoding.batching import count_batches, training_batches
from trainables.data.encoding.sequences import EncodedSplit
from trainables.training.device import default_device
from trainables.training.evaluation import EVALUATION_TOKENS

WARM_UP, FEWEST = 2, 5  # steps that are not counted; the fewest steps that are
SECONDS = 3.0  # for the counted steps
START_SECONDS = 300.0  # the longest time that copies wait for each other

_barrier: Any = None  # in each process, to wait for the other copies


def probe(
    models: Models, configs: Sequence[TrialConfig], cache: Path, copies: int, beam_size: int, test_pairs: int
) -> list[Measured]:
    """Measure each configuration in `copies` processes at once, and return the means.

    copies: the trials at a time on this machine, or on one GPU. beam_size, test_pairs: of the finals. Raises UserError
    if a configuration can't be trained here.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(copies, timeout=START_SECONDS)
    with ProcessPoolExecutor(copies, context, initializer=_join, initargs=(barrier,)) as pool:
        asked = [pool.submit(_measure_all, models, list(configs), cache, beam_size, test_pairs) for _ in range(copies)]
        errors = [error for each in asked if (error := each.exception())]
    if errors:
        # If one fails, the others fail, too, as they wait for it.
        error = next((error for error in errors if not isinstance(error, BrokenBarrierError)), errors[0])
        raise UserError(
            f"space: its heaviest model could not be trained here, {copies} at a time "
            f"({' '.join(str(error).split())[:200]}); set search.max_parameters, or a lower search.concurrency"
        )
    found = [each.result() for each in asked]
    return [_mean(group) for group in zip(*found, strict=True)]


def _join(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _mean(group: Sequence[Measured]) -> Measured:
    first = group[0]
    return Measured(
        work=first.work,
        train_seconds=fmean(each.train_seconds for each in group),
        valid_seconds=fmean(each.valid_seconds for each in group),
        test_seconds=fmean(each.test_seconds for each in group),
        memory=max(each.memory for each in group),
        gpu_memory=max(each.gpu_memory for each in group),
        steps=sum(each.steps for each in group),
        error=fmean(each.error for each in group) / len(group) ** 0.5,
    )


def _measure_all(
    models: Models, configs: list[TrialConfig], cache: Path, beam_size: int, test_pairs: int
) -> list[Measured]:
    torch.set_num_threads(1)
    measured = []
    try:
        for config in configs:
            models.prepare(config, cache)
            _barrier.wait()
            probed = models.probed(config, cache)
            measured.append(_measure(as_translator(config), probed, models.work_of_pair(config), beam_size, test_pairs))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    except BaseException:
        _barrier.abort()
        raise
    return measured


def _measure(config: TranslatorConfig, probed: Probed, work: float, beam_size: int, test_pairs: int) -> Measured:
    device, prepared, step = default_device(), probed.prepared, probed.step
    step.begin(config.seed)
    times: list[float] = []
    epochs = (training_batches(prepared.train, config.training, config.seed, epoch) for epoch in count(1))
    for source, target in chain.from_iterable(epochs):
        started = time.perf_counter()
        step(source, target, 1e-6)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
        if len(times) >= WARM_UP + FEWEST and sum(times[WARM_UP:]) > SECONDS:
            break
    counted = times[WARM_UP:]
    valid, test = _evaluation_seconds(probed, beam_size)
    scale = 1 if sys.platform == "darwin" else 1024  # units of ru_maxrss
    return Measured(
        work=work,
        train_seconds=fmean(counted) * count_batches(prepared.train, config.training),
        valid_seconds=valid,
        test_seconds=test * test_pairs / len(prepared.valid),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale,
        gpu_memory=torch.cuda.max_memory_reserved() if device.type == "cuda" else 0,
        steps=len(counted),
        error=stdev(counted) / fmean(counted) / len(counted) ** 0.5,
    )


def _evaluation_seconds(probed: Probed, beam_size: int) -> tuple[float, float]:
    """Seconds of validation, and of decoding the same sentences by beam search, extrapolated from some of them.

    An untrained model writes each translation up to its limit of length. A trained one ends about where the reference
    does, so its measured time is reduced by this ratio.
    """
    learner, prepared = probed.step.learner, probed.prepared
    learner.evaluated.eval()
    valid, text = prepared.valid, prepared.valid_text
    order = np.argsort(valid.source.lengths, kind="stable")
    wanted = max(1, round(len(order) * min(1.0, EVALUATION_TOKENS / int(valid.source.lengths.sum()))))
    rows = order[np.linspace(0, len(order) - 1, wanted).round().astype(int)]
    started = time.perf_counter()
    learner.reference_loss(EncodedSplit(valid.source.chosen(rows), valid.target.chosen(rows)))
    loss = (time.perf_counter() - started) * len(valid.target.ids) / int(valid.target.lengths[rows].sum())
    limits = 2 * valid.source.lengths[rows] + 10  # as in `length_limits`
    if probed.longest is not None:
        limits = limits.clip(max=probed.longest)
    whole = len(order) / len(rows)
    less = whole if probed.trained else valid.target_tokens / int(limits.sum())
    decoding = []
    for size in dict.fromkeys((1, beam_size)):
        started = time.perf_counter()
        probed.translate([text.source[row] for row in rows], size)
        decoding.append((time.perf_counter() - started) * less)
    return loss + decoding[0], loss + decoding[-1]

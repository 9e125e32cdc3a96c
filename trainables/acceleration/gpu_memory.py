"""The peak GPU memory of a trial, measured by training and validating on the heaviest batches."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainables.acceleration.captured import choose_step
from trainables.base.errors import Diverged, UserError
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.batching import pair_batches
from trainables.data.encoding.preparing import Prepared, prepare
from trainables.data.encoding.sequences import EncodedSplit
from trainables.training.device import default_device
from trainables.training.gpu import Need
from trainables.training.loop import train

# The rate is low so that nothing diverges before validation.
SHORT = {"epochs": 1, "report_steps": None, "report_tokens": None, "learning_rate": 1e-6}
BATCHES = 3  # of each: most ids with padding, most sentences, longest sentences


def measure_need(configs: Sequence[TranslationConfig], cache: Path) -> Need | None:
    """The largest need of the configurations, on the GPU of this process, which no other process may use.

    PyTorch frees no memory before the process ends, but captured steps are freed with their trial, so each report is
    measured. If a configuration can't be trained, its need is the whole GPU. None without a GPU.
    """
    if default_device().type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    for config in configs:
        prepared = prepare(config.data, config.tokenizer, cache)
        short = config.with_values({f"training.{key}": value for key, value in SHORT.items()})
        try:
            if config.captured:  # all shapes of the whole text are captured
                step = choose_step(short, prepared, default_device())
                step.begin(seed=1)
                free = min(free, torch.cuda.mem_get_info()[0])
                del step
            for _ in train(short, heaviest(prepared, config), make_step=choose_step):
                free = min(free, torch.cuda.mem_get_info()[0])
        except (Diverged, UserError, RuntimeError):  # usually of memory; what was used then says nothing
            return Need(total, total)
    return Need(total - free, total)


def heaviest(prepared: Prepared, config: TranslationConfig) -> Prepared:
    """Only the training pairs of the heaviest batches; the validation text, which may need more, is unchanged.

    The batches are those of one part of the text, which is a fair sample of it.
    """
    text = prepared.train.part(0)
    batches = pair_batches(text, config.training)
    sentences = np.array([len(rows) for rows in batches])
    longest = np.array([text.lengths[rows].max(axis=0) for rows in batches])
    heavy = (sentences * longest.sum(1), sentences, longest.max(1))
    chosen = {int(place) for order in heavy for place in np.argsort(-order, kind="stable")[:BATCHES]}
    rows = np.concatenate([batches[place] for place in sorted(chosen)])
    return replace(prepared, train=EncodedSplit(text.source.chosen(rows), text.target.chosen(rows)))

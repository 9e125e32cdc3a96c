"""How much of a GPU a trial takes at its peak: measured by training and validating where most is needed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainables.acceleration.captured import choose_step
from trainables.base.errors import Diverged, UserError
from trainables.base.translation_config import TranslationConfig
from trainables.data.batching import pair_batches
from trainables.data.preparing import Prepared, prepare
from trainables.data.sequences import EncodedSplit
from trainables.training.device import default_device
from trainables.training.gpu import Need
from trainables.training.loop import train

SHORT = {"epochs": 1, "report_steps": None, "learning_rate": 1e-6}  # so that nothing diverges before validation
BATCHES = 3  # of the most ids, padding included, so many of the most sentences, and of the longest ones


def measure_need(configs: Sequence[TranslationConfig], cache: Path) -> Need | None:
    """The largest need of the configurations, on the GPU of this process, which must have it for itself.

    PyTorch gives nothing back before the process ends, but captured steps go with their trial: so it is looked at each
    report. Where one can't be trained, the whole GPU counts as needed. None without a GPU.
    """
    if default_device().type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    for config in configs:
        prepared = prepare(config.data, config.tokenizer, cache)
        short = config.with_values({f"training.{key}": value for key, value in SHORT.items()})
        try:
            if config.training.batch_shapes is not None:  # the shapes, all of which are captured, are the whole text's
                step = choose_step(short, prepared, default_device())
                step.begin(seed=1)
                free = min(free, torch.cuda.mem_get_info()[0])
                del step
            for _ in train(short, heaviest(prepared, config), make_step=choose_step):
                free = min(free, torch.cuda.mem_get_info()[0])
        except (Diverged, UserError, RuntimeError):  # of memory, as a rule: what is taken then tells nothing
            return Need(total, total)
    return Need(total - free, total)


def heaviest(prepared: Prepared, config: TranslationConfig) -> Prepared:
    """The training pairs of the heaviest batches alone; validation, which may be the heavier part, as it is.

    They are looked for in one part of a text, which is a fair sample of it.
    """
    text = prepared.train.part(0)
    batches = pair_batches(text, config.training)
    sentences = np.array([len(rows) for rows in batches])
    longest = np.array([text.lengths[rows].max(axis=0) for rows in batches])
    heavy = (sentences * longest.sum(1), sentences, longest.max(1))
    chosen = {int(place) for order in heavy for place in np.argsort(-order, kind="stable")[:BATCHES]}
    rows = np.concatenate([batches[place] for place in sorted(chosen)])
    return replace(prepared, train=EncodedSplit(text.source.chosen(rows), text.target.chosen(rows)))

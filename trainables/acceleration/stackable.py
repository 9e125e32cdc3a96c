"""Which trials can be trained as one computation. Imports no torch, as the driver uses it to assign trials."""

from collections.abc import Sequence

from trainables.base.config import flatten
from trainables.base.translation_config import TranslationConfig

OWN = (  # fields that may differ between trials that are computed as one
    "seed",
    "model.dropout",
    "model.activation_dropout",
    *(f"training.{name}" for name in ("learning_rate", "warmup_steps", "schedule", "final_rate")),
    *(f"training.{name}" for name in ("beta1", "beta2", "epsilon", "weight_decay", "ema_decay")),
    *(f"training.{name}" for name in ("label_smoothing", "clip_norm")),
)


def can_train_as_one(configs: Sequence[TranslationConfig]) -> bool:
    """Whether trials of these configurations can be trained as one computation.

    A single one always can. Several can if they differ only in OWN, their batches have equal shapes, nothing is frozen,
    and all train to the end.
    """
    if len(configs) == 1:
        return True
    first, *others = ({k: v for k, v in flatten(config.model_dump()).items() if k not in OWN} for config in configs)
    training = configs[0].training
    shaped = training.batch_shapes is not None and not training.freeze and training.patience is None
    return shaped and all(other == first for other in others) and configs[0].model.stackable

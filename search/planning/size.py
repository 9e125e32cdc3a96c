"""The size of a configuration. Only translation is planned, as the sizes in other problems are unknown."""

from trainables.base.config import TrialConfig
from trainables.base.translation_config import as_translation

FLOAT = 4  # bytes of a number in float32


def work_of_pair(config: TrialConfig) -> float:
    """Operations of training on a typical pair; only ratios between trials matter."""
    from search.translation.problem import work_of_pair as work_of_translation  # the driver imports this module, too

    return work_of_translation(as_translation(config))


def state_bytes(config: TrialConfig) -> int:
    """The bytes of a checkpoint: for each parameter the weight, Adam's two moments, and the average if one is kept."""
    numbers = 4 if as_translation(config).training.ema_decay else 3
    return FLOAT * numbers * parameters_of(config)


def parameters_of(config: TrialConfig) -> int:
    """The number of parameters of the model."""
    return as_translation(config).num_parameters

"""How large a configuration is. What is planned is translation; of other problems nobody knows their sizes."""

from search.translation.problem import work_of_pair as work_of_translation
from trainables.base.config import TrialConfig
from trainables.base.translation_config import as_translation


def work_of_pair(config: TrialConfig) -> float:
    """Operations of the training on a typical pair; only their proportions between trials matter."""
    return work_of_translation(as_translation(config))


def parameters_of(config: TrialConfig) -> int:
    """The trained numbers of the model."""
    return as_translation(config).num_parameters

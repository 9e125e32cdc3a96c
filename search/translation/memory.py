"""The memory that a model takes while it translates, as a goal or a limit of a search: computed from its shape."""

from collections.abc import Callable

from search.settings.experiment import Experiment
from trainables.base.config import TrialConfig
from trainables.base.translation_config import as_translation

TOKENS = 100  # of a sentence, on each side
BYTES = {"float32": 4, "int8": 1}  # of a weight
CACHED = 4  # bytes of a cached key or value


def memory_of(experiment: Experiment) -> Callable[[TrialConfig], float]:
    """A function from a trial's configuration to MiB: of its weights, and of the keys and values in its caches.

    The translation is that of `search.speed`: so many sentences at a time, of TOKENS tokens, with so many hypotheses.
    """
    speed = experiment.search.speed

    def memory(config: TrialConfig) -> float:
        trial = as_translation(config)
        positions = TOKENS * speed.batch * (speed.beam + 1)  # of the hypotheses, and of their sources
        cached = 2 * trial.model.decoder_layers * trial.model.kv_dim * positions * CACHED
        return (trial.num_parameters * BYTES[speed.quantization] + cached) / 2**20

    return memory

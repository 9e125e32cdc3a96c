"""The sizes of our own transformers, and how they are measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from search.planning.models import FLOAT, Models, Probed
from search.translation.problem import work_of_pair
from trainables.base.translation_config import TranslationConfig

if TYPE_CHECKING:  # it imports torch
    from trainables.data.encoding.preparing import Prepared

TRAINING_NUMBERS = 4  # for each parameter: the weight, its gradient and Adam's two moments


class OwnModels:
    """See `search.planning.models.Models`."""

    def work_of_pair(self, config: TranslationConfig) -> float:
        return work_of_pair(config)

    def parameters(self, config: TranslationConfig) -> int:
        return config.num_parameters

    def state_bytes(self, config: TranslationConfig) -> int:
        """For each parameter the weight, Adam's two moments, and the average if one is kept."""
        return FLOAT * (4 if config.training.ema_decay else 3) * config.num_parameters

    def training_bytes(self, config: TranslationConfig) -> int:
        return FLOAT * TRAINING_NUMBERS * config.num_parameters

    def prepare(self, config: TranslationConfig, cache: Path) -> "Prepared":
        from trainables.data.encoding.preparing import prepare

        return prepare(config.data, config.tokenizer, cache)

    def probed(self, config: TranslationConfig, cache: Path) -> Probed:
        from trainables.acceleration.captured import choose_step
        from trainables.training.device import default_device
        from trainables.training.evaluation import translate

        prepared = self.prepare(config, cache)
        step = choose_step(config, prepared, default_device())
        model = step.learner.evaluated

        def decode(sentences: list[str], beam_size: int) -> list[str]:
            return translate(model, prepared.tokenizer, sentences, beam_size)

        return Probed(prepared, step, decode, model.config.longest, trained=config.model.init_from is not None)


MODELS: Models = OwnModels()

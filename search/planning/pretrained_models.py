"""The sizes of pretrained models that are fine-tuned, and how they are measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from search.planning.models import FLOAT, Models, Probed
from trainables.base.pretrained_config import FineTunedConfig

if TYPE_CHECKING:  # it imports torch
    from trainables.data.encoding.preparing import PreparedText


class PretrainedModels:
    """See `search.planning.models.Models`."""

    def work_of_pair(self, config: FineTunedConfig) -> float:
        """Forward pass and gradients of activations for all parameters, gradients of weights for those trained."""
        parameters, trained = self._sizes(config)
        return 2.0 * parameters + trained

    def parameters(self, config: FineTunedConfig) -> int:
        return self._sizes(config)[0]

    def state_bytes(self, config: FineTunedConfig) -> int:
        """For each parameter that is trained the weight, and Adam's two moments."""
        return FLOAT * 3 * self._sizes(config)[1]

    def training_bytes(self, config: FineTunedConfig) -> int:
        parameters, trained = self._sizes(config)
        return FLOAT * (parameters + 3 * trained)

    def prepare(self, config: FineTunedConfig, cache: Path) -> "PreparedText":
        from trainables.pretrained.preparing import prepare_pretrained

        return prepare_pretrained(config.data, config.pretrained, cache)

    def probed(self, config: FineTunedConfig, cache: Path) -> Probed:
        from trainables.pretrained.fine_tuning import FineTuningSteps
        from trainables.pretrained.generation import translate
        from trainables.pretrained.preparing import prepare_pretrained
        from trainables.training.device import default_device

        prepared = prepare_pretrained(config.data, config.pretrained, cache)
        step, codec = FineTuningSteps(config, prepared, default_device()), prepared.codec

        def decode(sentences: list[str], beam_size: int) -> list[str]:
            return translate(step.learner.model, codec, sentences, beam_size)

        return Probed(prepared, step, decode, codec.longest, trained=True)

    def _sizes(self, config: FineTunedConfig) -> tuple[int, int]:
        """The parameters of the model, and those that are trained."""
        from trainables.pretrained.network import expected_count

        return expected_count(config)


MODELS: Models = PretrainedModels()

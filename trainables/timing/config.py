"""How the speed of translating is measured."""

from typing import Literal, Self

from pydantic import Field, model_validator

from model.config import Config
from trainables.base.errors import UserError
from trainables.export.forms import FORMS


class SpeedConfig(Config):
    """The program that translates, its settings, and the text."""

    engine: Literal["babeltune", "ctranslate2"] = Field(
        "babeltune", description="what translates: babeltune itself, or ctranslate2, for which a model is exported"
    )
    quantization: Literal["float32", "int8"] = Field("float32", description="type of the weights in ctranslate2")
    device: Literal["cpu", "cuda"] = Field("cpu", description="cpu, or the first GPU")
    threads: int = Field(1, ge=1, description="CPU threads")
    batch: int = Field(1, ge=1, description="sentences that are translated at a time")
    beam: int = Field(5, ge=1, description="hypotheses of beam search; 1 is greedy")
    lines: int = Field(50, ge=1, description="sentences of the validation split that are translated")

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.engine == "babeltune" and self.quantization != "float32":
            raise ValueError(f"quantization: babeltune has float32 alone, not {self.quantization}; use ctranslate2")
        return self

    def need(self, key: str) -> None:
        """Raises UserError if the engine or the device is not there; key: of this setup, such as speed."""
        if self.engine != "babeltune":
            FORMS[self.engine].need(f"{key}.engine")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise UserError(f"{key}.device: cuda: PyTorch finds no GPU on this machine; use cpu")

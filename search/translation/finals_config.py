"""Settings for retraining, decoding and scoring the finalists of translation."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from search.settings.finals import FinalsConfig
from trainables.base.user_code import NAME
from trainables.export.forms import FormName

T = TypeVar("T")
BeamSize = Annotated[int, Field(ge=1)]
Penalty = Annotated[float, Field(ge=0)]
Several = Annotated[tuple[T, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Decoding:
    """Settings of beam search."""

    beam_size: int
    length_penalty: float


class TranslationFinals(FinalsConfig):
    """How the finalists are chosen, retrained and decoded."""

    average_checkpoints: int = Field(
        1, ge=1, description="the number of last epochs whose weights are averaged, in a retrained model"
    )
    beam_size: BeamSize | Several[BeamSize] = Field(
        5,
        description="hypotheses of beam search on the test split; 1 is greedy; several, as [1, 5]: for each finalist "
        "the best one on the validation split",
    )
    length_penalty: Penalty | Several[Penalty] = Field(
        1.0, description="exponent of the length by which a hypothesis' score is divided; several: as for beam_size"
    )
    rank_by: str = Field(
        "bleu", description="the metric of the ranking: bleu, chrf, ter, or the name of one in `metrics`"
    )
    rank_tests: Literal["first", "mean"] = Field(
        "first", description="of several tests (data.test): rank by the first one, or by the mean of their scores"
    )
    neural_metric: str | None = Field(
        None,
        description="short for metrics: {neural: …}, a metric beside the others: a function, as "
        "package.module:function, of sources, translations and references, which returns a score for each sentence, "
        "or one for all",
    )

    export: tuple[FormName, ...] = Field(
        (), description="programs for which the best model is written into export/ of the run, as [ctranslate2]"
    )

    @field_validator("neural_metric")
    @classmethod
    def _names_a_function(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(NAME, name):
            raise ValueError(f"{name!r} names no function; write package.module:function")
        return name

    @model_validator(mode="after")
    def _has_checkpoints(self) -> Self:
        if self.average_checkpoints > 1 and not self.seeds:
            raise ValueError(
                "average_checkpoints: finals.seeds: 0 scores the models of the search, whose older checkpoints are not "
                "kept; retrain with 1 seed or more"
            )
        return self

    @property
    def decodings(self) -> list[Decoding]:
        """The candidates, as listed; the length penalty has no effect on greedy search."""
        sizes = self.beam_size if isinstance(self.beam_size, tuple) else (self.beam_size,)
        penalties = self.length_penalty if isinstance(self.length_penalty, tuple) else (self.length_penalty,)
        every = [Decoding(size, 1.0 if size == 1 else penalty) for size in sizes for penalty in penalties]
        return list(dict.fromkeys(every))

    @property
    def last_checkpoints(self) -> int:
        """The number of last checkpoints that a retrained model keeps."""
        return self.average_checkpoints


def as_translation_finals(finals: FinalsConfig) -> TranslationFinals:
    """The settings of finals as those of this problem, for the type checker."""
    assert isinstance(finals, TranslationFinals)
    return finals

"""What trials can be compared by: the one table. Each is a number of every report, see `EpochReport`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """One of them."""

    title: str  # for people
    direction: Direction
    between_vocabularies: bool = True  # whether models of different vocabularies can be compared by it
    instead: str | None = None  # the one that decides where this one is near zero for all, or equal for all


METRICS = {
    "valid_bleu": Metric("valid BLEU", "maximize", instead="valid_nll_per_char"),
    "valid_nll_per_char": Metric("valid NLL per character", "minimize"),
    "valid_loss": Metric("valid loss per token", "minimize", between_vocabularies=False),
}
if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[tuple(METRICS)]

"""Translation models that a command trains and that a command translates with."""

from search.command.finals_config import CommandFinals
from search.settings.problem import Problem
from trainables.base.metric_config import BUILT_IN
from trainables.base.metrics import Metric
from trainables.command.config import CommandConfig

BLEU = "valid_bleu"
WRITTEN = {"bleu": "BLEU", "chrf": "chrF++", "ter": "TER"}
NEAR_ZERO = 1.0  # corpus BLEU below this says nothing about a model


def metrics_of(config: CommandConfig) -> dict[str, Metric]:
    """The metrics that the reports of this command have."""
    found = {}
    for name, direction in config.command.metrics.items():
        words = [WRITTEN.get(word, word) for word in name.split("_")]
        digits = 2 if name.removeprefix("valid_") in BUILT_IN else 4
        found[name] = Metric(" ".join(words), direction, digits)
        if name == BLEU:
            found[name] = Metric(" ".join(words), direction, digits, instead=instead_of_bleu(config), least=NEAR_ZERO)
    return found


def instead_of_bleu(config: CommandConfig) -> str | None:
    """The metric that decides if BLEU says nothing: the first of which less is better, such as perplexity."""
    lower = [name for name, direction in config.command.metrics.items() if direction == "minimize"]
    return lower[0] if BLEU in config.command.metrics and lower else None


COMMAND = Problem(
    title="translation by a command",
    config=CommandConfig,
    metrics={},
    further_metrics=metrics_of,
    preparation="search.command.preparation:PREPARATION",
    training="trainables.command.training:TRAINER",
    finals="search.command.finals:FINALS",
    several_gpus=True,
    finals_config=CommandFinals,
)

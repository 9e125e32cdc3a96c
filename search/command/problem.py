"""Translation models that a command trains and that a command translates with."""

from search.command.finals_config import CommandFinals
from search.settings.problem import Problem
from trainables.base.metric_config import BUILT_IN
from trainables.base.metrics import Metric
from trainables.command.config import CommandConfig

WRITTEN = {"bleu": "BLEU", "chrf": "chrF++", "ter": "TER"}


def metrics_of(config: CommandConfig) -> dict[str, Metric]:
    """The metrics that the reports of this command have."""
    found = {}
    for name, direction in config.command.metrics.items():
        words = [WRITTEN.get(word, word) for word in name.split("_")]
        found[name] = Metric(" ".join(words), direction, digits=2 if name.removeprefix("valid_") in BUILT_IN else 4)
    return found


COMMAND = Problem(
    title="translation by a command",
    config=CommandConfig,
    metrics={},
    further_metrics=metrics_of,
    preparation="search.command.preparation:PREPARATION",
    training="trainables.command.training:TRAINER",
    finals="search.command.finals:FINALS",
    finals_config=CommandFinals,
)

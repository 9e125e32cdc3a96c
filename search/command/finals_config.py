"""Settings for retraining and scoring finalists that a command trains."""

from pydantic import Field

from search.settings.experiment import Experiment
from search.settings.finals import FinalsConfig
from trainables.command.config import CommandConfig


class CommandFinals(FinalsConfig):
    """How the finalists are chosen, retrained and ranked."""

    rank_by: str = Field(
        "bleu", description="the metric of the ranking: bleu, chrf, ter, or the name of one in `metrics`"
    )


def command_of(experiment: Experiment) -> CommandConfig:
    """The base trial of an experiment, which must be of this problem."""
    trial = experiment.trial
    assert isinstance(trial, CommandConfig)
    return trial

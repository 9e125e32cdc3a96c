"""Pretrained translation models, fine-tuned on parallel text."""

from search.settings.problem import Problem
from search.translation.finals_config import TranslationFinals
from search.translation.problem import TRANSLATION, further_metrics
from trainables.base.metrics import Metric
from trainables.base.pretrained_config import FineTunedConfig

PRETRAINED = Problem(
    title="fine-tuning",
    config=FineTunedConfig,
    metrics={
        **TRANSLATION.metrics,
        "valid_loss": Metric("valid loss per token", "minimize", digits=4, changed_by=("pretrained",)),
    },
    further_metrics=further_metrics,
    rung_metrics=TRANSLATION.rung_metrics,
    preparation="search.pretrained.preparation:PREPARATION",
    training="trainables.pretrained.training:TRAINING",
    planning="search.planning.pretrained_models:MODELS",
    finals="search.pretrained.finals:FINALS",
    finals_config=TranslationFinals,
    curves=TRANSLATION.curves,
    reports_within_epochs=True,
    several_gpus=True,
)

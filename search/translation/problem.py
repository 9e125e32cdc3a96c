"""Translation models trained from scratch on parallel text: the default problem."""

from model.counting import count_flops
from search.settings.goals import MEMORY, SECONDS, ModelCost
from search.settings.problem import Curves, Problem
from search.translation.finals_config import TranslationFinals
from trainables.acceleration.stackable import can_train_as_one
from trainables.base.metrics import Metric
from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import TranslatorConfig
from trainables.export.forms import refusal

LOSS = "valid_nll_per_char"
TOKENS = 20  # on each side of a typical pair
LAYER = 2e7  # operations of a layer for each pair, besides its matrix products
NEAR_ZERO = 1.0  # corpus BLEU below this says nothing about a model


def work_of_pair(config: TranslationConfig) -> float:
    """Operations of training on a typical pair."""
    products = 3 * count_flops(config.model, config.tokenizer.vocab_size, TOKENS, TOKENS)
    return products + LAYER * (config.model.encoder_layers + config.model.decoder_layers)


def work_of_report(config: TranslationConfig) -> float:
    """Operations of training from one report to the next."""
    training, pair = config.training, work_of_pair(config)
    if training.unit == "epoch":
        return pair
    if training.unit == "token":
        return pair * training.report_every / TOKENS
    pairs = training.batch_sentences or (training.batch_tokens or 0) / (2 * TOKENS)
    return pair * pairs * training.report_every


def further_metrics(config: TranslatorConfig) -> dict[str, Metric]:
    """The scores that reports have if the configuration asks for them, by their names there."""
    built_in = {
        "valid_chrf": Metric("valid chrF++", "maximize"),
        "valid_ter": Metric("valid TER", "minimize"),
    }
    own = {
        f"valid_{name}": Metric(f"valid {name}", config.metrics[name].direction, digits=4) for name in config.metrics
    }
    return built_in | own


TRANSLATION = Problem(
    title="translation",
    config=TranslationConfig,
    metrics={
        "valid_bleu": Metric("valid BLEU", "maximize", instead=LOSS, least=NEAR_ZERO),
        LOSS: Metric("valid loss per character", "minimize", digits=4),
        "valid_loss": Metric("valid loss per token", "minimize", digits=4, changed_by=("tokenizer",)),
    },
    further_metrics=further_metrics,
    rung_metrics={"bleu": "valid_bleu", "chrf": "valid_chrf", "ter": "valid_ter"},
    costs={
        SECONDS: ModelCost(
            "seconds per sentence",
            "search.translation.speeds:known_seconds",
            "search.translation.speeds:measure_seconds",
            "speeds.json",
        ),
        MEMORY: ModelCost("MiB while it translates", "search.translation.memory:memory_of"),
    },
    preparation="search.translation.preparation:PREPARATION",
    training="trainables.translation:TRAINING",
    planning="search.planning.own_models:MODELS",
    finals="search.translation.finals:FINALS",
    finals_config=TranslationFinals,
    curves=Curves(
        ("train_loss", "valid_loss"),
        "loss per token (nats)",
        "Both without label smoothing; train loss is taken with dropout, over the epoch.",
    ),
    reports_within_epochs=True,
    several_gpus=True,
    train_as_one=can_train_as_one,
    work_of_report=work_of_report,
    refusal=refusal,
)

"""Translation from parallel text, trained from scratch: the problem that this program is made for."""

from model.counting import count_flops
from search.settings.problem import Curves, Problem
from search.translation.finals_config import TranslationFinals
from trainables.acceleration.stackable import can_train_as_one
from trainables.base.metrics import Metric
from trainables.base.translation_config import TranslationConfig

LOSS = "valid_nll_per_char"
TOKENS = 20  # of a side of a typical pair
LAYER = 2e7  # operations a pair that a layer takes beside its matrix products
NEAR_ZERO = 1.0  # corpus BLEU below this says nothing of a model


def work_of_report(config: TranslationConfig) -> float:
    """Operations of the training from one report to the next."""
    model, training = config.model, config.training
    products = 3 * count_flops(model, config.tokenizer.vocab_size, TOKENS, TOKENS)
    pair = products + LAYER * (model.encoder_layers + model.decoder_layers)
    if training.report_steps is None:
        return pair
    pairs = training.batch_sentences or (training.batch_tokens or 0) / (2 * TOKENS)
    return pair * pairs * training.report_steps


TRANSLATION = Problem(
    title="translation",
    config=TranslationConfig,
    metrics={
        "valid_bleu": Metric("valid BLEU", "maximize", instead=LOSS, least=NEAR_ZERO),
        LOSS: Metric("valid loss per character", "minimize", digits=4),
        "valid_loss": Metric("valid loss per token", "minimize", digits=4, changed_by=("tokenizer",)),
    },
    preparation="search.translation.preparation:PREPARATION",
    training="trainables.translation:TRAINING",
    finals="search.translation.finals:FINALS",
    finals_config=TranslationFinals,
    curves=Curves(
        ("train_loss", "valid_loss"),
        "loss per token (nats)",
        "Both without label smoothing; train loss is taken with dropout, over the epoch.",
    ),
    reports_by_steps=True,
    train_as_one=can_train_as_one,
    work_of_report=work_of_report,
)

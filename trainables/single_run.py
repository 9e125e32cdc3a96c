"""The work of `python -m trainables`: train one model, and test it if requested."""

import json
import time
from pathlib import Path

import torch

from model.transformer import Transformer
from trainables.acceleration.captured import choose_step
from trainables.base.claiming import claim
from trainables.base.files import write_atomically
from trainables.base.translation_config import TranslationConfig
from trainables.base.wording import count
from trainables.data.corpora.corpus import read_test
from trainables.data.corpora.scoring import scoring
from trainables.data.encoding.preparing import count_unknown, prepare
from trainables.data.encoding.tokenizer import Tokenizer, save_tokenizer
from trainables.training.evaluation import score, translate
from trainables.training.loop import train


def train_model(config: TranslationConfig, cache: Path, folder: Path, threads: int) -> tuple[Transformer, Tokenizer]:
    """Train or resume in a folder, and print losses and BLEU. Raises UserError if the folder has another model."""
    torch.set_num_threads(threads)
    prepared = prepare(config.data, config.tokenizer, cache)
    for warning in count_unknown(prepared.tokenizer, prepared.valid_text.source, config.data.valid):
        print(f"warning: {warning}")
    claim(folder, config)
    save_tokenizer(prepared.tokenizer, folder)  # for who starts from this model
    pairs = count(len(prepared.train), "training pair", "training pairs")
    print(f"{pairs} ({prepared.train.overlong:,} overlong), {folder}")
    print("epoch  train loss  valid loss  valid BLEU  seconds")
    model: Transformer | None = None
    for report, trained in train(config, prepared, folder, make_step=choose_step):
        model = trained
        print(
            f"{report.epoch:5.4g}  {report.score('train_loss'):10.4f}  {report.score('valid_loss'):10.4f}  "
            f"{report.score('valid_bleu'):10.2f}  "
            f"{report.train_seconds:.0f} + {report.eval_seconds:.0f}",
            flush=True,
        )
    assert model is not None
    print(f"{model.num_parameters():,} parameters")
    return model, prepared.tokenizer


def score_model(
    model: Transformer,
    tokenizer: Tokenizer,
    config: TranslationConfig,
    folder: Path,
    beam_size: int,
    length_penalty: float,
) -> None:
    """Print the scores on the test split, with greedy and with beam search."""
    frozen = {"frozen_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "finalists": [config.model_dump()]}
    write_atomically(folder / "finalists.json", json.dumps(frozen))  # the run's own model is its only finalist
    metrics = scoring(config.data)
    for key in config.data.tests:
        test = read_test(config.data, folder, "scoring the trained model", key)
        for size in sorted({1, beam_size}):
            translations = translate(model, tokenizer, test.source, size, length_penalty)
            scores = score(translations, test.target, metrics, *test.references[1:])
            print(
                f"{key}, beam {size}: BLEU {scores.bleu:.2f}, chrF++ {scores.chrf:.2f}, TER {scores.ter:.2f}, "
                f"mean sentence BLEU {scores.sentence_bleu:.2f}"
            )
    print(metrics.signatures()["bleu"])

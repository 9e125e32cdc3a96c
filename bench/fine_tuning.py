"""Adapters, full fine-tuning, one's own model as a start, and training from scratch, on the second half of a corpus.

python bench/fine_tuning.py    needs the extras pretrained and export; about 5 minutes on a core

The embedded phrasebook is cut in two. Our trainer learns a base model from the first half, which is exported for
transformers. Each way then learns from the second half for as many epochs. Validation BLEU is greedy; the test split is
not used.
"""

import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from search.translation.best import BestModel, write_best
from search.translation.finals_config import Decoding
from trainables.base.data_config import DataConfig
from trainables.base.errors import Diverged
from trainables.base.pretrained_config import FineTunedConfig
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import prepare
from trainables.data.reading.phrasebook import read_phrasebook
from trainables.export.forms import FORMS
from trainables.export.trained import TrainedModel
from trainables.pretrained.training import TRAINING
from trainables.training.loop import train

SHAPE = {"encoder_layers": 2, "decoder_layers": 2, "d_model": 64, "num_heads": 4, "ffn_dim": 256, "norm": "post"}
TOKENS = 768  # of a batch


def write_halves(folder: Path, pairs: int, valid: int) -> list[Path]:
    """Two corpora with as many training pairs each, and the same validation pairs."""
    found = []
    text = {split: list(read_phrasebook(DataConfig(), split)) for split in ("train", "valid", "test")}
    for number in range(2):
        half = folder / f"half-{number}"
        half.mkdir()
        chosen = {**text, "train": text["train"][number::2][:pairs], "valid": text["valid"][:valid]}
        for split, lines in chosen.items():
            for side, language in enumerate(("en", "fr")):
                (half / f"{split}.{language}").write_text("".join(f"{pair[side]}\n" for pair in lines), "utf-8")
        found.append(half)
    return found


def own(half: Path, epochs: int, seed: int = 1, **changes: Any) -> TranslationConfig:
    """A configuration of our own trainer."""
    tree = {
        "data": {"path": str(half)},
        "tokenizer": {"vocab_size": 2000},
        "model": {**SHAPE, **changes},
        "training": {"epochs": epochs, "batch_tokens": TOKENS, "learning_rate": 0.002, "warmup_steps": 50},
        "seed": seed,
    }
    return TranslationConfig.model_validate(tree)


def trained(config: TranslationConfig, cache: Path) -> tuple[float, Any]:
    """Validation BLEU at the end, and the model."""
    *_, (report, network) = train(config, prepare(config.data, config.tokenizer, cache))
    return report.score("valid_bleu"), network


def make_base(half: Path, epochs: int, folder: Path, cache: Path) -> tuple[float, Path, Path]:
    """Train the base model; returns its BLEU, best/, and its folder for transformers."""
    config = own(half, epochs)
    bleu, network = trained(config, cache)
    tokenizer = prepare(config.data, config.tokenizer, cache).tokenizer
    exported, run = folder / "base", folder / "run"
    for place in (exported, run):
        place.mkdir()
    FORMS["huggingface"].write(TrainedModel(config, network, tokenizer, 1, 1.0), exported, "float32")
    write_best(run, BestModel(config, network, tokenizer, Decoding(1, 1.0)), [])
    return bleu, run / "best", exported


def tuned(half: Path, base: Path, epochs: int, seed: int, cache: Path, tuning: str, rate: float) -> float:
    """Validation BLEU of fine-tuning."""
    config = FineTunedConfig.model_validate(
        {
            "data": {"path": str(half)},
            "pretrained": {"model": str(base)},
            "tuning": tuning,
            "lora": {"rank": 16, "targets": "all-linear"},
            "training": {"epochs": epochs, "batch_tokens": TOKENS, "learning_rate": rate, "warmup_steps": 50},
            "seed": seed,
        }
    )
    with tempfile.TemporaryDirectory() as checkpoints:
        *_, (_, report) = TRAINING.train([config], cache, [Path(checkpoints)], 0, 2)
    assert not isinstance(report, Diverged), report
    return report.score("valid_bleu")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000, help="training pairs of each half")
    parser.add_argument("--valid", type=int, default=200, help="validation pairs")
    parser.add_argument("--base-epochs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder, cache, epochs = Path(place), Path(place) / "cache", options.epochs
        cache.mkdir()
        first, second = write_halves(folder, options.pairs, options.valid)
        bleu, best, base = make_base(first, options.base_epochs, folder, cache)
        ways: dict[str, Callable[[int], float]] = {
            "from scratch": lambda seed: trained(own(second, epochs, seed), cache)[0],
            "own model as a start": lambda seed: trained(own(second, epochs, seed, init_from=str(best)), cache)[0],
            "full fine-tuning, rate 5e-4": lambda seed: tuned(second, base, epochs, seed, cache, "full", 5e-4),
            "adapters of rank 16, rate 5e-3": lambda seed: tuned(second, base, epochs, seed, cache, "lora", 5e-3),
        }
        table = Table("way", "valid BLEU", "over seeds", title=f"The base alone: {bleu:.1f}")
        for name, way in ways.items():
            scores = [way(seed) for seed in range(1, options.seeds + 1)]
            spread = f"± {stdev(scores):.1f}" if len(scores) > 1 else ""
            table.add_row(name, f"{fmean(scores):.1f} {spread}", ", ".join(f"{score:.1f}" for score in scores))
            print(name, scores, flush=True)
        Console().print(table)


if __name__ == "__main__":
    main()

"""Whether a learning rate that is right at one width is right at another one, with `model.base_width` and without.

Trains with each rate at both widths, and prints valid BLEU after the last epoch, the mean of the seeds:

    python bench/widths.py --data DIR --cache .cache [--limit 10000]

DIR has Multi30k; results are in docs/explanation/training.md. A result that the cache has is not computed again.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean, stdev

import torch
from trial import corpus_options

from trainables.base.config import digest
from trainables.base.files import make_folder, write_atomically
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import prepare
from trainables.training.loop import train

NARROW, WIDE = 64, 192
HEAD = 16  # the width of a head at both
RATES = [0.001, 0.002, 0.004, 0.008, 0.016]


def bleu(config: TranslationConfig, cache: Path) -> float:
    """Valid BLEU after the last epoch."""
    known = cache / "widths" / f"{digest(config.model_dump(mode='json'))}.json"
    if not known.exists():
        reports = [report for report, _ in train(config, prepare(config.data, config.tokenizer, cache))]
        make_folder(known.parent)
        write_atomically(known, json.dumps(reports[-1].score("valid_bleu")))
    return float(json.loads(known.read_text()))


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    base = TranslationConfig().with_values(
        corpus_options(arguments.data)
        | {"data.limit": arguments.limit, "training.epochs": arguments.epochs, "tokenizer.vocab_size": 4000}
    )

    def scores(width: int, rate: float, base_width: int | None) -> list[float]:
        shape = {"d_model": width, "num_heads": width // HEAD, "ffn_dim": 4 * width, "base_width": base_width}
        values = {f"model.{key}": value for key, value in shape.items()} | {"training.learning_rate": rate}
        found = [bleu(base.with_values({**values, "seed": seed}), arguments.cache) for seed in range(arguments.seeds)]
        spread = f" ± {stdev(found):.2f}" if len(found) > 1 else ""
        print(f"| {width} | {base_width or '-'} | {rate:g} | {fmean(found):.2f}{spread} |", flush=True)
        return found

    print("| d_model | base_width | learning rate | valid BLEU |\n|---|---|---|---|")
    for width, base_width in ((NARROW, None), (WIDE, None), (WIDE, NARROW)):
        means = {rate: fmean(scores(width, rate, base_width)) for rate in RATES}
        print(f"best at {width}, base_width {base_width}: {max(means, key=lambda rate: means[rate]):g}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with Multi30k")
    parser.add_argument("--cache", type=Path, required=True, help="where text, ids and results are kept")
    parser.add_argument("--limit", type=int, default=10_000, help="training pairs")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    main(parser.parse_args())

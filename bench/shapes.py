"""How well the time of a shape is predicted from the times of others: `python bench/shapes.py`.

Random shapes are timed on the embedded corpus, as `babeltune time` does, in the setup that the options describe; then
each is predicted from all others. Options: those of `speed`, and --shapes N; for example --engine ctranslate2
--quantization int8 --beam 5. The machine should be idle.
"""

import math
import random
import sys
from typing import Any

from pydantic import Field, ValidationError
from rich.console import Console

from trainables.base.command_line import parse_arguments
from trainables.base.help_pages import Program
from trainables.base.temporary import temporary_folder
from trainables.base.translation_config import TranslationConfig
from trainables.timing.config import SpeedConfig
from trainables.timing.fitting import error_of_fit, fit_speed
from trainables.timing.measuring import measure

SPACE: dict[str, list[Any]] = {
    "encoder_layers": [1, 2, 3, 4, 6],
    "decoder_layers": [1, 2, 3, 4, 6],
    "d_model": [64, 96, 128, 192, 256, 384, 512],
    "num_heads": [2, 4, 8],
    "num_kv_heads": [None, None, 1],
    "ffn_dim": [256, 512, 1024, 2048],
    "positions": ["sinusoidal", "sinusoidal", "rotary", "alibi", "relative", "t5"],
    "activation": ["relu", "relu", "swiglu"],
    "norm": ["pre", "post"],
}
VOCABULARIES = [600, 1200, 2500]


class Setup(SpeedConfig):
    """How shapes are timed, and how many."""

    shapes: int = Field(36, ge=3, description="random shapes")


def draw(number: int) -> list[TranslationConfig]:
    """So many random configurations, always the same."""
    rng = random.Random(1)
    found: list[TranslationConfig] = []
    while len(found) < number:
        model = {name: rng.choice(values) for name, values in SPACE.items()}
        try:
            tokenizer = {"vocab_size": rng.choice(VOCABULARIES)}
            found.append(TranslationConfig.model_validate({"model": model, "tokenizer": tokenizer}))
        except ValidationError:
            continue
    return found


def main() -> None:
    console = Console()
    setup = parse_arguments(
        Setup, sys.argv[1:], Program("shapes.py", "Times of shapes, and how well they are predicted.")
    )
    configs = draw(setup.shapes)
    with temporary_folder() as cache, console.status("translating"):
        timings = measure(configs, setup, cache)
    seconds = [timing.seconds_per_sentence for timing in timings]
    predict = fit_speed(configs, timings)
    inside = [abs(math.log(predict(config) / each)) for config, each in zip(configs, seconds, strict=True)]
    print(f"{len(configs)} shapes of {min(seconds):.4g} to {max(seconds):.4g} seconds a sentence")
    print(f"largest standard error of a time: {max(timing.error for timing in timings):.1%}")
    print(f"error of the fit: {sum(inside) / len(inside):.1%} on average")
    print(f"error for a shape that the fit has not seen: {error_of_fit(configs, timings):.1%} (root mean square)")


if __name__ == "__main__":
    main()

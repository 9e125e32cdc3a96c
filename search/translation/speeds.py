"""The seconds that a model needs for a sentence, as a goal or limit: measured on untrained models before the search."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console

from model.counting import count_flops
from search.samplers.base import Task
from search.samplers.design import balanced_design
from search.settings.experiment import Experiment
from search.translation.finals_config import as_translation_finals
from search.translation.problem import TOKENS
from trainables.base.config import TrialConfig
from trainables.base.log import say, warn
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.timing.config import SpeedConfig
from trainables.timing.measuring import Timing

SPEEDS, OF_FINALISTS = "speeds.json", "finalist_speeds.json"  # in the run directory
SHAPES = 36  # of the space that are measured
TOKENIZERS = 3  # that their sentences are cut by; each must be made
OPERATIONS = 2e9  # in a second, for a plan without measured times
Seconds = Callable[[TrialConfig], float]


def known_seconds(experiment: Experiment) -> Seconds:
    """The seconds for a sentence by a model of a configuration: fitted to the measured times of the run.

    Without them, as in a plan, a guess from its operations. Raises UserError for a damaged file.
    """
    found = _read(experiment.run_dir / SPEEDS, experiment) if experiment.name else None
    if found is None:
        return _guessed
    from trainables.timing.fitting import fit_speed

    predict = fit_speed(*found)
    return lambda config: max(predict(as_translation(config)), 1e-9)


def measure_seconds(experiment: Experiment, console: Console) -> None:
    """Measure models from all over the space, unless the run has their times by these settings. Raises UserError."""
    file = experiment.run_dir / SPEEDS
    if _read(file, experiment) is not None:
        return
    from trainables.timing.fitting import error_of_fit
    from trainables.timing.measuring import measure

    configs = _shapes(experiment)
    say(f"speed: {len(configs)} untrained models of the space translate for a moment, {_by(experiment.search.speed)}")
    beams = sorted({way.beam_size for way in as_translation_finals(experiment.finals).decodings})
    if experiment.search.speed.beam not in beams:
        warn(
            f"search.speed.beam: the time is that of beam {experiment.search.speed.beam}, but the finals decode with "
            f"{' or '.join(map(str, beams))}; set it to finals.beam_size to time what is scored"
        )
    with console.status("measuring speed"):
        timings = measure(configs, experiment.search.speed, experiment.cache)
    _write(file, configs, timings, experiment.search.speed)
    seconds = [timing.seconds_per_sentence for timing in timings]
    error = (
        f"; a shape that was not measured is off by {error_of_fit(configs, timings):.0%}" if len(seconds) > 3 else ""
    )
    say(f"speed: {min(seconds):.3g} to {max(seconds):.3g} s a sentence{error}")


def seconds_of_finalists(
    experiment: Experiment, configs: Sequence[TranslationConfig], console: Console
) -> list[Timing]:
    """The times of finalists, measured once for a ranking, alone and in turn. Raises UserError."""
    from trainables.timing.measuring import measure, shape_of

    file = experiment.run_dir / OF_FINALISTS
    wanted = {shape_of(config): config for config in configs}
    kept: dict[str, Timing] = {}
    if found := _read(file, experiment):
        kept = {shape_of(config): timing for config, timing in zip(*found, strict=True)}
    if wanted.keys() - kept.keys():
        with console.status("measuring the speed of the finalists"):
            timings = measure(list(wanted.values()), experiment.search.speed, experiment.cache)
        _write(file, list(wanted.values()), timings, experiment.search.speed)
        kept = dict(zip(wanted, timings, strict=True))
    return [kept[shape_of(config)] for config in configs]


def _guessed(config: TrialConfig) -> float:
    found = as_translation(config)
    return count_flops(found.model, found.tokenizer.vocab_size, TOKENS, TOKENS) / OPERATIONS


def _shapes(experiment: Experiment) -> list[TranslationConfig]:
    """Configurations from all over the space, of different shapes, with few tokenizers."""
    from trainables.timing.measuring import shape_of

    task = Task(experiment.space, experiment.accept, experiment.search.seed)
    chosen = balanced_design(task, SHAPES) if experiment.space.domains else [{}]
    configs = [as_translation(experiment.trial), *(as_translation(experiment.trial.with_values(p)) for p in chosen)]
    by_size = sorted({config.tokenizer.vocab_size: config.tokenizer for config in configs}.items())
    places = np.unique(np.linspace(0, len(by_size) - 1, TOKENIZERS).round().astype(int))
    few = [by_size[place][1] for place in places]

    def with_one_of_few(config: TranslationConfig) -> TranslationConfig:
        near = min(few, key=lambda one: abs(math.log(one.vocab_size / config.tokenizer.vocab_size)))
        return config.model_copy(update={"tokenizer": near})

    shapes = {shape_of(config): config for config in map(with_one_of_few, configs)}
    return list(islice(shapes.values(), SHAPES))


def _by(setup: SpeedConfig) -> str:
    engine = setup.engine if setup.engine == "babeltune" else f"{setup.engine} in {setup.quantization}"
    return f"{engine} on {setup.device}, {setup.threads} thread{'s' * (setup.threads > 1)}, beam {setup.beam}"


def _write(file: Path, configs: Sequence[TranslationConfig], timings: Sequence[Timing], setup: SpeedConfig) -> None:
    shapes = [
        {"tokenizer": config.tokenizer.model_dump(mode="json"), "model": config.model.model_dump(mode="json")}
        for config in configs
    ]
    times = [asdict(timing) for timing in timings]
    write_sealed(file, {"setup": setup.model_dump(mode="json"), "shapes": shapes, "times": times})


def _read(file: Path, experiment: Experiment) -> tuple[list[TranslationConfig], list[Timing]] | None:
    """The measured configurations and their times; None if there are none by these settings. Raises UserError."""
    if not file.exists():
        return None
    record = read_sealed(file)
    if record.get("setup") != experiment.search.speed.model_dump(mode="json"):
        return None
    try:
        times = [Timing(**values) for values in record["times"]]
        return [as_translation(experiment.as_given.with_values(shape)) for shape in record["shapes"]], times
    except (KeyError, TypeError, ValueError):
        raise Damaged(f"{file}: is damaged; restore it from a copy") from None

"""Measures how long models take for a sentence."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

import torch

from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig
from trainables.export.forms import refusal
from trainables.timing.config import SpeedConfig
from trainables.timing.engines import Engine, open_engine
from trainables.timing.workload import Workload, make_workload

ERROR = 0.05  # the largest standard error of a time, as a share of it
LEAST, MOST = 3, 20  # passes over the sentences
TOGETHER = 200e6  # parameters of the models that are in memory at a time, and measured in turn


@dataclass(frozen=True)
class Timing:
    """How long a model takes for a sentence."""

    seconds_per_sentence: float
    error: float  # standard error, as a share of the seconds; infinite after a single pass
    source_tokens: float  # of a sentence, on average
    target_tokens: float  # of a translation; ends count in both


@dataclass
class Candidate:
    """A model that is measured."""

    workload: Workload
    engine: Engine
    setup: SpeedConfig
    seconds: list[float] = field(default_factory=list)  # of each pass, for a sentence

    def time(self) -> None:
        """Translate all sentences once.

        On one thread of a CPU, the time is processor time, as other programs disturb it less.
        """
        on_gpu = self.setup.device == "cuda"
        clock = time.process_time if self.setup.threads == 1 and not on_gpu else time.perf_counter
        began = clock()
        for batch in self.workload.batches:
            self.engine.run(batch)
        if on_gpu:
            torch.cuda.synchronize()
        self.seconds.append((clock() - began) / self.workload.sentences)

    @property
    def timing(self) -> Timing:
        """The mean of the passes."""
        mean = fmean(self.seconds)
        error = stdev(self.seconds) / math.sqrt(len(self.seconds)) / mean if len(self.seconds) > 1 else math.inf
        return Timing(mean, error, *self.workload.tokens)

    @property
    def is_done(self) -> bool:
        """Whether more passes would not help."""
        return len(self.seconds) >= MOST or (len(self.seconds) >= LEAST and self.timing.error <= ERROR)


def measure(configs: Sequence[TranslationConfig], setup: SpeedConfig, cache: Path) -> list[Timing]:
    """The seconds that a model of each configuration takes for a sentence; models are not trained.

    Validation sentences are translated with forced lengths, those of their references, so that random weights take as
    long as trained ones. Models are measured in turn, until the standard error of each is at most 5%, or after 20
    passes. Nothing else should run on the device. Configurations that differ only in training have one timing.

    Args:
        configs: Configurations of one corpus.
        setup: The engine and its settings.
        cache: The cache of the runs, with the corpus.

    Raises:
        UserError: If the engine is not installed or can't compute a model, or for a corpus that can't be read.
    """
    setup.need("search.speed")
    if setup.engine != "babeltune":
        for config in configs:
            if why := refusal(setup.engine, config):
                raise UserError(why)
    keys = [shape_of(config) for config in configs]
    shapes = dict(zip(keys, configs, strict=True))
    found: dict[str, Timing] = {}
    with threads(setup.threads):
        for names in _groups(shapes):
            with ExitStack() as stack:
                group = [candidate(shapes[name], setup, cache, stack) for name in names]
                for each in group:
                    each.time()  # the first pass reserves memory
                    each.seconds.clear()
                while waiting := [each for each in group if not each.is_done]:
                    for each in waiting:
                        each.time()
                found |= {name: each.timing for name, each in zip(names, group, strict=True)}
    return [found[key] for key in keys]


def _groups(shapes: Mapping[str, TranslationConfig]) -> list[list[str]]:
    """The names of the shapes that are measured together."""
    groups: list[list[str]] = []
    filled = math.inf
    for name, config in shapes.items():
        if filled + config.num_parameters > TOGETHER:
            groups.append([])
            filled = 0.0
        groups[-1].append(name)
        filled += config.num_parameters
    return groups


def candidate(config: TranslationConfig, setup: SpeedConfig, cache: Path, stack: ExitStack) -> Candidate:
    """A model of this configuration, in memory until the stack is closed."""
    workload = make_workload(config, setup.lines, setup.batch, cache)
    return Candidate(workload, stack.enter_context(open_engine(config, workload, setup)), setup)


def shape_of(config: TranslationConfig) -> str:
    """What the speed of a model depends on, as a key: its tokenizer and architecture, without dropout."""
    unused = {name.removeprefix("model.") for name in config.unused}
    dropouts = {name for name in type(config.model).model_fields if name.endswith("dropout")}
    return config.tokenizer.model_dump_json() + config.model.model_dump_json(exclude=unused | dropouts)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """PyTorch with so many CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""What a corpus costs from its text to batches, by its size: CPU seconds and memory, of made-up text.

python bench/corpus_size.py --pairs 1000000    about 2 minutes, and 1 GB of disk in TMPDIR

The text has 200,000 word types a side by Zipf's law, and about 400 bytes a pair. Each stage is a process of its own, as
in a search: the driver, whose children train the tokenizer and encode, and a worker.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from trainables.base.translation_config import TranslationConfig

TYPES, WORDS, AT_A_TIME = 200_000, 19, 50_000  # word types a side, words of a mean sentence, pairs written at a time
EVALUATED = 1000  # pairs of the other splits
BATCHES = 2000  # that a worker takes
MIB = 1 << 20


def write_corpus(folder: Path, pairs: int) -> None:
    """Plain text whose target sentences are about as long as their sources."""
    rng = np.random.default_rng(1)
    shares = np.cumsum(1 / np.arange(1, TYPES + 1))
    shares /= shares[-1]
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", np.uint8)
    words_of = {}
    for language in ("en", "fr"):
        lengths = rng.integers(3, 14, TYPES)
        words_of[language] = np.array(
            [letters[np.minimum(rng.geometric(0.12, size) - 1, 25)].tobytes() for size in lengths]
        )
    for split, count in (("train", pairs), ("valid", EVALUATED), ("test", EVALUATED)):
        with (folder / f"{split}.en").open("wb") as source, (folder / f"{split}.fr").open("wb") as target:
            for start in range(0, count, AT_A_TIME):
                sizes = np.clip(rng.normal(WORDS, 6, min(AT_A_TIME, count - start)), 3, 60).astype(int)
                for file, language, factor in ((source, "en", 1.0), (target, "fr", 1.15)):
                    types, ends = words_of[language], np.cumsum((sizes * factor).astype(int))
                    words = types[np.searchsorted(shares, rng.random(ends[-1]))]
                    file.writelines(b" ".join(line) + b"\n" for line in np.split(words, ends[:-1]))


def settings(folder: Path, pairs: int) -> TranslationConfig:
    """A small model on that corpus."""
    return TranslationConfig().with_values(
        {"data.path": str(folder), "tokenizer.vocab_size": 8000, "training.batch_tokens": 4096}
    )


def drive(config: TranslationConfig, cache: Path) -> dict[str, float]:
    """From text to parts, or at a second start to parts that are there; imports are not counted."""
    from trainables.data.corpora.cache import cached_corpus
    from trainables.data.encoding.preparing import prepare
    from trainables.data.encoding.tokenizer import train_tokenizer

    stages: dict[str, Callable[[], object]] = {
        "reading and checks": lambda: cached_corpus(config.data, cache),
        "tokenizer": lambda: train_tokenizer(config.tokenizer, cached_corpus(config.data, cache), cache),
        "encoding": lambda: prepare(config.data, config.tokenizer, cache),
    }
    figures = {}
    for name, stage in stages.items():
        started, clock = _cpu_seconds(), time.perf_counter()
        stage()
        figures[name] = _cpu_seconds() - started
        figures[f"{name}, wall"] = time.perf_counter() - clock
    figures["largest child, MiB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return figures


def work(config: TranslationConfig, cache: Path) -> dict[str, float]:
    """Batches of an epoch, as a worker takes them."""
    from trainables.data.encoding.batching import count_batches, training_batches
    from trainables.data.encoding.preparing import prepare

    before = _memory()
    prepared = prepare(config.data, config.tokenizer, cache)
    started = time.process_time()
    count = count_batches(prepared.train, config.training)
    counted = time.process_time() - started
    batches = training_batches(prepared.train, config.training, 1, 1)
    next(batches)
    started, taken, peak = time.process_time(), 0, 0
    for taken, _ in enumerate(batches, 1):
        if taken % 100 == 0:
            peak = max(peak, _memory())
    each = (time.process_time() - started) / taken
    return {
        "memory above imports, MiB": (peak - before) / MIB,
        "a batch, ms": 1000 * each,
        "steps an epoch": count,
        "counting steps, CPU s": counted,
    }


def _memory() -> int:
    """Resident bytes now, those of files that are mapped among them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measure(stage: str, pairs: int, folder: Path, cores: int) -> dict[str, float]:
    """Run a stage in a process of its own, on so many cores."""
    command = [sys.executable, __file__, "--stage", stage, "--pairs", str(pairs), "--folder", str(folder)]
    bound = set(sorted(os.sched_getaffinity(0))[:cores])
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, bound)
    )
    return {str(name): float(value) for name, value in json.loads(ended.stdout.splitlines()[-1]).items()}


def main() -> None:
    """Measure, or be one of the processes measured."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="where the corpus and its cache are kept; default: for this run")
    parser.add_argument("--stage", choices=["drive", "work"], help="used by the program itself")
    options = parser.parse_args()
    if options.stage:
        stage = {"drive": drive, "work": work}[options.stage]
        print(json.dumps(stage(settings(options.folder / "corpus", options.pairs), options.folder / "cache")))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "corpus").exists():
            (folder / "corpus").mkdir(parents=True)
            write_corpus(folder / "corpus", options.pairs)
            time.sleep(3)  # a corpus that was written just now is read again at the next start
        table = Table("stage", "figure", "value", title=f"{options.pairs:,} pairs, {options.cores} cores")
        for title, name in (("first start", "drive"), ("second start", "drive"), ("a worker", "work")):
            figures = measure(name, options.pairs, folder, options.cores)
            if title == "first start":
                total = sum(figures[each] for each in ("reading and checks", "tokenizer", "encoding"))
                figures["text to parts, CPU µs a pair"] = total / options.pairs * 1e6
            for figure, value in figures.items():
                table.add_row(title, figure, f"{value:,.3f}" if value < 100 else f"{value:,.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()

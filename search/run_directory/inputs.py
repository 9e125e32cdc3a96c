"""What a run was made from: digests of its text and tokenizers, versions and machines, recorded from its start."""

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from search.settings.experiment import Experiment
from search.settings.stored import is_sealed, read_seal, seal_of
from trainables.base.config import TokenizerConfig, digest
from trainables.base.errors import UserError
from trainables.base.installed import processor, version_of
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.data.corpus import digest_test
from trainables.data.corpus_cache import cached_corpus
from trainables.data.tokenizer import train_tokenizer

INPUTS = "inputs.json"
PACKAGES = ("babeltune", "torch", "ray", "optuna", "sentencepiece", "sacrebleu")


def pin_inputs(experiment: Experiment) -> list[str]:
    """Record the splits and this start in the run, or compare them with its record; sentences on what differs, but may.

    Raises UserError if the run was made from other text, Damaged if its record is.
    """
    run_dir, corpus = experiment.run_dir, cached_corpus(experiment.data, experiment.cache)
    file = run_dir / INPUTS
    begun = (run_dir / "study.db").exists() and is_sealed(run_dir / "experiment.yaml")
    record = read_sealed(file) if begun or file.exists() else {}
    splits = {
        "training text": {"pairs": len(corpus.train), "sha256": corpus.train.digest()},
        "validation text": {"pairs": len(corpus.valid), "sha256": corpus.valid.digest()},
        "test text": digest_test(experiment.data, corpus.train),
    }
    for split, found in splits.items():
        known = record.get("splits", splits)[split]
        if known != found:
            raise UserError(
                f"data.path: {experiment.data.path}: its {split} is another than this run was made from: "
                f"{found['pairs']:,} pairs ({found['sha256'][:8]}), where there were {known['pairs']:,} "
                f"({known['sha256'][:8]}); restore the text, or start a new search"
            )
    before, start = record.get("starts", []), _this_start()
    # The experiment is written after this, and until then the file has the one before.
    experiments = [_known_experiment(run_dir / "experiment.yaml", record), seal_of(experiment)]
    started = {"starts": [*before, start], "experiments": experiments}
    write_sealed(file, {"splits": splits, "tokenizers": {}, **record, **started})
    differing = _differing([*before[-1:], start])
    return [f"{name} is {start[name]} now, and was {before[-1].get(name)}" for name in differing]


def _known_experiment(file: Path, record: dict[str, Any]) -> str | None:
    """The seal of the experiment that the run has; None if it has none yet. Raises Damaged for another run's."""
    if not is_sealed(file):
        return None
    if (seal := read_seal(file)) not in record.get("experiments", [seal]):
        raise Damaged(f"{file}: is of another run, or another state of this one; restore it from a copy")
    return seal


def pin_tokenizers(experiment: Experiment, configs: Iterable[TokenizerConfig]) -> None:
    """Record the tokenizers of the run, and compare those that were with its record.

    One whose file is damaged is trained again. Raises UserError if it comes out otherwise.
    """
    file = experiment.run_dir / INPUTS
    record = read_sealed(file)
    corpus = cached_corpus(experiment.data, experiment.cache)
    known: dict[str, Any] = record["tokenizers"]
    wanted = {digest(config.model_dump()): config for config in configs}
    wanted |= {name: TokenizerConfig.model_validate(entry["config"]) for name, entry in known.items()}
    found = {
        name: {"config": config.model_dump(), "pieces": train_tokenizer(config, corpus, experiment.cache).digest()}
        for name, config in wanted.items()
    }
    for name, entry in known.items():
        if found[name]["pieces"] != entry["pieces"]:
            raise UserError(
                f"{file}: the tokenizer of {entry['config']['vocab_size']} {entry['config']['kind']} pieces comes out "
                f"otherwise here than in this run, perhaps by another sentencepiece ({version_of('sentencepiece')}, it "
                f"had {record['starts'][0]['sentencepiece']}): install that one, or start a new search"
            )
    if found != known:
        write_sealed(file, {**record, "tokenizers": found})


def describe_starts(run_dir: Path) -> list[str]:
    """Sentences on versions and machines that were not the same all through the run."""
    starts: list[dict[str, Any]] = read_sealed(run_dir / INPUTS)["starts"]
    return [
        f"the run was worked on with {name} {', then '.join(dict.fromkeys(str(start.get(name)) for start in starts))}"
        for name in _differing(starts)
    ]


def _differing(starts: list[dict[str, Any]]) -> list[str]:
    return [name for name in starts[-1] if name != "at" and len({str(start.get(name)) for start in starts}) > 1]


def _this_start() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **{name: version_of(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "device": device,
    }

"""One training run without a search: `python -m trainables --help`."""

import json
import sys
import time
from pathlib import Path

import torch
from pydantic import Field

from model.transformer import Transformer
from trainables.acceleration.captured import choose_step
from trainables.base.command_line import parse_config
from trainables.base.config import RunName, digest, flatten
from trainables.base.ending import end_in_words
from trainables.base.errors import UserError
from trainables.base.files import make_folder, named_path, write_atomically
from trainables.base.help_pages import Program
from trainables.base.translation_config import TranslationConfig
from trainables.base.yaml_files import dump_yaml, read_yaml
from trainables.data.corpus import digest_test, read_test
from trainables.data.corpus_cache import cached_corpus
from trainables.data.preparing import count_unknown, prepare
from trainables.data.scoring import scoring
from trainables.training.evaluation import score, translate
from trainables.training.loop import train


class SingleRun(TranslationConfig):
    """One training run from the command line."""

    output_dir: str = Field("runs", min_length=1, description="holds the run's folder and the tokenizer cache")
    name: RunName | None = Field(None, description="of the folder; from the configuration unless given")
    threads: int = Field(1, ge=1, description="CPU threads")
    score_test: bool = Field(False, description="at the end, translate the test split and print its BLEU")
    beam_size: int = Field(5, ge=1, description="hypotheses of beam search on the test split, beside greedy search")
    length_penalty: float = Field(1.0, ge=0, description="exponent of the length that divides a hypothesis' score")


def main(arguments: list[str]) -> int:
    """Train one model, or go on with it, and print losses and BLEU; its status."""
    program = Program("python -m trainables", "Train one translation model.")
    run, _ = parse_config(SingleRun, arguments, program)
    config = TranslationConfig(**{name: getattr(run, name) for name in TranslationConfig.model_fields})
    output_dir = named_path("--output_dir", run.output_dir)
    cache, folder = output_dir / ".cache", output_dir / (run.name or f"training-{digest(config.model_dump())}")
    torch.set_num_threads(run.threads)
    for warning in cached_corpus(config.data, cache).warnings:
        print(f"warning: {warning}")
    if run.score_test:
        digest_test(
            config.data, cached_corpus(config.data, cache).train
        )  # what is wrong with it is told before training
    prepared = prepare(config.data, config.tokenizer, cache)
    for warning in count_unknown(prepared.tokenizer, prepared.valid_text.source, config.data.valid):
        print(f"warning: {warning}")
    _claim(folder, config)
    print(f"{len(prepared.train)} training pairs ({prepared.train.overlong} overlong), {folder}")
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
    if not run.score_test:
        return 0
    frozen = {"frozen_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "finalists": [config.model_dump()]}
    write_atomically(folder / "finalists.json", json.dumps(frozen))  # the run's own model is its only finalist
    metrics = scoring(config.data)
    test = read_test(config.data, folder, "scoring the trained model")
    for beam_size in sorted({1, run.beam_size}):
        translations = translate(model, prepared.tokenizer, test.source, beam_size, run.length_penalty)
        scores = score(translations, test.target, metrics)
        print(
            f"test, beam {beam_size}: BLEU {scores.bleu:.2f}, chrF++ {scores.chrf:.2f}, TER {scores.ter:.2f}, "
            f"mean sentence BLEU {scores.sentence_bleu:.2f}"
        )
    print(metrics.signatures()["bleu"])
    return 0


def _claim(folder: Path, config: TranslationConfig) -> None:
    """Write the configuration into the run's folder. Raises UserError if another one was trained there."""
    file = folder / "config.yaml"
    if (folder / "study.db").exists():
        raise UserError(f"--name: {folder} is the directory of a search; choose another name")
    if file.exists():
        trained, asked = flatten(read_yaml(file)), flatten(config.model_dump(mode="json"))
        if other := [f"{path} {trained.get(path)}" for path in asked if trained.get(path) != asked[path]]:
            raise UserError(f"--name: {folder} holds a run with {', '.join(other)}; choose another name")
    make_folder(folder)
    write_atomically(file, dump_yaml(config))


if __name__ == "__main__":
    again = "stopped; the same command goes on from the last checkpoint"
    sys.exit(end_in_words(lambda: main(sys.argv[1:]), lambda text: print(text, file=sys.stderr), again))

"""One training run without a search: `python -m trainables --help`."""

import sys

from pydantic import Field

from trainables.base.command_line import parse_config
from trainables.base.config import RunName, digest
from trainables.base.ending import exit_status
from trainables.base.files import named_path
from trainables.base.help_pages import Program
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.cache import cached_corpus, cached_test_digest


class SingleRun(TranslationConfig):
    """One training run from the command line."""

    output_dir: str = Field("runs", min_length=1, description="contains the run's folder and the tokenizer cache")
    name: RunName | None = Field(None, description="name of the folder; by default from the configuration")
    threads: int = Field(1, ge=1, description="CPU threads")
    score_test: bool = Field(False, description="at the end, translate the test split and print its BLEU")
    beam_size: int = Field(5, ge=1, description="hypotheses of beam search on the test split, beside greedy search")
    length_penalty: float = Field(1.0, ge=0, description="hypotheses are scored log p / length^length_penalty")


def main(arguments: list[str]) -> int:
    """Train one model, from its last checkpoint if there is one, and print losses and BLEU; returns the exit status."""
    program = Program("python -m trainables", "Train one translation model.")
    run, _ = parse_config(SingleRun, arguments, program)
    config = TranslationConfig(**{name: getattr(run, name) for name in TranslationConfig.model_fields})
    output_dir = named_path("--output_dir", run.output_dir)
    cache, folder = output_dir / ".cache", output_dir / (run.name or f"training-{digest(config.model_dump())}")
    corpus = cached_corpus(config.data, cache)
    for warning in corpus.warnings:
        print(f"warning: {warning}")
    if run.score_test:
        for key in config.data.tests:  # errors in them are reported before training
            cached_test_digest(config.data, corpus.train, cache, key)
    from trainables.single_run import score_model, train_model  # imported late, as it takes seconds

    model, tokenizer = train_model(config, cache, folder, run.threads)
    if run.score_test:
        score_model(model, tokenizer, config, folder, run.beam_size, run.length_penalty)
    return 0


if __name__ == "__main__":
    again = "stopped; the same command continues from the last checkpoint"
    sys.exit(exit_status(lambda: main(sys.argv[1:]), lambda text: print(text, file=sys.stderr), again))

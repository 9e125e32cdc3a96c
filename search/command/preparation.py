"""What is checked before a command trains: its description, its programs, and the text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from search.command.finals_config import command_of
from search.settings.experiment import Experiment
from search.settings.preparation import Nothing
from search.translation.shown_pairs import show_pairs
from search.translation.text import pin_text
from trainables.base.config import TrialConfig
from trainables.base.data_config import PHRASEBOOK
from trainables.base.errors import UserError
from trainables.base.log import say, warn
from trainables.base.wording import count
from trainables.command.config import CommandConfig
from trainables.command.corpus import plain_corpus
from trainables.command.process import check_program
from trainables.command.started import Start
from trainables.data.corpora.cache import cached_corpus, cached_test_digest
from trainables.data.corpora.corpus import training_files
from trainables.sharing.storage import Storage


class CommandPreparation(Nothing):
    """See `search.settings.preparation.Preparation`. Trials have their GPUs whole, as no command shares its memory."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Check all that can be checked without training, and say what can't be kept."""
        config, search = command_of(experiment), experiment.search
        if isinstance(search.gpus_per_trial, float) and 0 < search.gpus_per_trial < 1:
            warn("search.gpus_per_trial: nothing keeps a command from taking all memory of a GPU that it shares")
        check_text(config)
        corpus = cached_corpus(config.data, experiment.cache)
        for key in config.data.tests:  # what is wrong with their files is told now, not after the search
            cached_test_digest(config.data, corpus.train, experiment.cache, key)
        show_pairs(corpus.train, console)
        for warning in corpus.warnings:
            warn(warning)
        check_programs(config, experiment.cache)
        pairs = count(len(corpus.train), "training pair", "training pairs")
        if config.uses_data:
            say(f"{pairs} and {len(corpus.valid):,} for validation, in {plain_corpus(config.data, experiment.cache)}")
        for sentence in promises(config):
            say(sentence)

    def share(self, experiment: Experiment) -> Storage:
        raise UserError(
            "storage: a command writes files into a folder; give a folder that all nodes share as output_dir"
        )

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        """Digests of the splits."""
        return pin_text(command_of(experiment).data, experiment.cache, known)

    def files(self, config: TrialConfig) -> list[Path]:
        assert isinstance(config, CommandConfig)
        return training_files(config.data)


PREPARATION = CommandPreparation()


def check_text(config: CommandConfig) -> None:
    """Raises UserError if the command can't be trained on the text that it is tested with."""
    if config.data.path == PHRASEBOOK and not config.uses_data:
        raise UserError(
            "data.path: the command does not train on the embedded corpus; name its corpus, of which the test is read, "
            "or let it train on this one by {data} in command.set or command.train"
        )


def check_programs(config: CommandConfig, cache: Path) -> None:
    """Raises UserError if a program of the command is missing."""
    values = {**Start(config, cache, Path()).values(), "checkpoint": "", "checkpoint_folder": ""}
    for key in ("train", "translate"):
        check_program(f"command.{key}", getattr(config.command, key), values, config.command.folder)


def promises(config: CommandConfig) -> list[str]:
    """Sentences on what holds for this command, and what does not."""
    exact = {
        True: "a training that was paused or killed gives the numbers of an uninterrupted one, as the command's "
        "description says (command.exact)",
        False: "a training that was paused or killed does not give the numbers of an uninterrupted one "
        "(command.exact); a score that was reported is never replaced",
        None: "it is not known whether a paused training gives the numbers of an uninterrupted one (command.exact); "
        "`command check` finds out; a score that was reported is never replaced",
    }[config.command.exact]
    text = (
        "the command gets training and validation text alone; the test stays closed until the finalists are frozen"
        if config.uses_data
        else "the command reads its own files, so it must be kept from the test text by you"
    )
    return [exact, text]

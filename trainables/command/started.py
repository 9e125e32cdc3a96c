"""How a process of a trainer is started: the values of its placeholders, its configuration, its environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.base.config import flatten
from trainables.command.checkpoints import checkpoint_path
from trainables.command.config import CommandConfig
from trainables.command.corpus import plain_corpus
from trainables.command.placeholders import TRAINER, fill
from trainables.command.process import Process, command_line
from trainables.command.trainer_file import write_trainer_file

REPORTS = "reports.jsonl"  # in the folder of the training, by default


@dataclass(frozen=True)
class Start:
    """What a command is started for: its trial, its folder, and the checkpoint that it starts from."""

    config: CommandConfig
    cache: Path
    folder: Path
    checkpoint: Path | None = None  # one of ours
    target: int | None = None  # the step at which the training must end; None for a translation

    def values(self) -> dict[str, Any]:
        """The values of the placeholders. Raises UserError."""
        config, command = self.config, self.config.command
        total = int(config.training.epochs) * command.round
        found = {
            **{f"{TRAINER}{path}": value for path, value in flatten(config.trainer.root).items()},
            "folder": str(self.folder),
            "config": str(self.folder / command.file),
            "seed": config.seed,
            "round": command.round,
            "target": total if self.target is None else self.target,
            "total": total,
            "python": command.python,
            "source_language": config.data.source,
            "target_language": config.data.target,
        }
        if config.uses_data:
            found["data"] = str(plain_corpus(config.data, self.cache))
        if self.checkpoint:
            path = checkpoint_path(self.checkpoint, command)
            found |= {"checkpoint": str(path), "checkpoint_folder": str(path.parent)}
        return found

    def write_config(self, values: Mapping[str, Any]) -> None:
        """Write the trainer's configuration into the folder."""
        command = self.config.command
        further = command.translating if self.target is None else command.resume if self.checkpoint else {}
        changes = {**command.set, **further}
        filled = {path: fill(value, values) for path, value in changes.items()}
        write_trainer_file(self.folder / command.file, self.config.trainer.root, filled)

    def process(
        self, log: Path, locks: Sequence[int] = (), given: Path | None = None, output: Path | None = None
    ) -> Process:
        """Start the command that trains, or that translates the file `given` into `output`. Raises UserError."""
        command, values = self.config.command, self.values()
        self.write_config(values)
        line = command.train if self.target is not None else command.translate
        environment = {
            "OMP_NUM_THREADS": "1",
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **{f"BABELTUNE_{name.upper()}": str(value) for name, value in values.items() if "." not in name},
            "BABELTUNE_REPORTS": str(self.folder / REPORTS),
            **{name: str(fill(text, values)) for name, text in command.environment.items()},
        }
        return Process(
            command_line(line, values),
            log,
            folder=command.folder,
            environment=environment,
            grace=command.grace_seconds,
            locks=locks,
            given=given or Path(os.devnull),
            output=output,
        )

"""best/ of a search whose trials a command trains: the trainer's files, and how to translate with them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from trainables.base.checkpoint_files import REPORT, last_checkpoints, whole_checkpoint
from trainables.base.errors import UserError
from trainables.base.files import digest_of, publish_folder, remove
from trainables.base.mistakes import validate
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.yaml_files import dump_yaml, read_stored
from trainables.command.checkpoints import FILES
from trainables.command.config import CommandConfig
from trainables.command.translating import translate_lines

DIGESTS = "digests.json"  # of the other files in best/


@dataclass(frozen=True)
class BestCommand:
    """The best model of a search, used by the command that trained it."""

    config: CommandConfig
    folder: Path  # with the trainer's files
    cache: Path

    def translate(self, lines: Sequence[str]) -> list[str]:
        """A translation for each line; a blank line stays blank. Raises UserError."""
        return translate_lines(self.config, self.folder, lines, self.cache)


def write_best(experiment: Experiment, model: FinalModel, translations: Sequence[str]) -> None:
    """Write best/ into a run: the last checkpoint of a model, its configuration, its translations of the test."""
    draft = experiment.run_dir / ".best"
    remove(draft)
    draft.mkdir()
    with model.checkpoints(experiment.cache) as folder:
        (checkpoint,) = last_checkpoints(folder, 1)
        shutil.copytree(checkpoint / FILES, draft / FILES)
        shutil.copyfile(checkpoint / REPORT, draft / REPORT)
    (draft / "config.yaml").write_text(dump_yaml(model.config), encoding="utf-8")
    (draft / "translations.txt").write_text("".join(f"{line}\n" for line in translations), encoding="utf-8")
    write_sealed(draft / DIGESTS, {name: digest_of(draft / name) for name in ("config.yaml", "translations.txt")})
    publish_folder(draft, experiment.run_dir / "best")


def read_best(experiment: Experiment) -> BestCommand:
    """The best model of a run. Raises UserError for missing or damaged files."""
    folder = experiment.run_dir / "best"
    if not folder.is_dir():
        raise UserError(f"{experiment.run_dir}: holds no best/, as a search leaves at its end; resume it")
    digests = read_sealed(folder / DIGESTS)
    damaged = [name for name, digest in digests.items() if not _is_same(folder / name, digest)]
    if damaged or whole_checkpoint(folder) is None:
        raise Damaged(f"{folder}: {', '.join(damaged) or FILES}: is missing or was changed; resume writes it again")
    file = folder / "config.yaml"
    return BestCommand(validate(CommandConfig, read_stored(file), str(file)), folder, experiment.cache)


def _is_same(file: Path, digest: str) -> bool:
    return file.is_file() and digest_of(file) == digest

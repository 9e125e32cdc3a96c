"""The folder of one training: it belongs to the configuration that was trained there first."""

from pathlib import Path

from trainables.base.config import TrialConfig, flatten
from trainables.base.errors import UserError
from trainables.base.files import make_folder, write_atomically
from trainables.base.yaml_files import dump_yaml, read_yaml

CONFIG = "config.yaml"


def claim(folder: Path, config: TrialConfig) -> None:
    """Write the configuration into the folder. Raises UserError if another one was trained there."""
    file = folder / CONFIG
    if (folder / "study.db").exists():
        raise UserError(f"--name: {folder} is the directory of a search; choose another name")
    if file.exists():
        trained, asked = flatten(read_yaml(file)), flatten(config.model_dump(mode="json"))
        if other := [f"{path} {trained.get(path)}" for path in asked if trained.get(path) != asked[path]]:
            raise UserError(f"--name: {folder} holds a run with {', '.join(other)}; choose another name")
    make_folder(folder)
    write_atomically(file, dump_yaml(config))

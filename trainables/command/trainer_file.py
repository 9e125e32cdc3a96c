"""The trainer's own configuration: read from its file, and written for each training."""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, JsonValue, RootModel, model_validator

from trainables.base.config import flatten, set_paths
from trainables.base.errors import UserError
from trainables.base.files import full_path, parse_json, read_text
from trainables.base.yaml_files import LARGEST, read_stored

SUFFIXES = (".yaml", ".yml", ".json")


class TrainerConfig(RootModel[dict[str, JsonValue]]):
    """The trainer's configuration, whatever its keys are.

    In a configuration, the name of its file may stand in its place. The file is read once, so a run has all that
    determines it.
    """

    model_config = ConfigDict(frozen=True)
    root: dict[str, JsonValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return read_trainer_file(value) if isinstance(value, str) else value

    @property
    def paths(self) -> list[str]:
        """The dotted paths of all values."""
        return list(flatten(self.root))


def read_trainer_file(name: str) -> dict[str, Any]:
    """The content of a YAML or JSON file. Raises ValueError."""
    file = full_path(name)
    if file.suffix not in SUFFIXES:
        raise ValueError(f"{name}: is read as YAML or JSON; name a file that ends in {', '.join(SUFFIXES)}")
    try:
        tree = parse_json(read_text(file, LARGEST)) if file.suffix == ".json" else read_stored(file)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}; name the trainer's configuration file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not a text file") from None
    except UserError as error:
        raise ValueError(
            str(error).replace("name an existing YAML file with --config", "name an existing file")
        ) from None
    except ValueError as error:
        raise ValueError(f"{file}: is not valid JSON: {error}") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{file}: must contain keys and values, not a {type(tree).__name__}")
    return tree


def write_trainer_file(file: Path, tree: dict[str, Any], changes: dict[str, Any]) -> None:
    """Write the configuration, with changes by dotted path, as YAML or JSON by the file's ending."""
    changed = set_paths(json.loads(json.dumps(tree)), changes)
    text = json.dumps(changed, indent=2) if file.suffix == ".json" else yaml.safe_dump(changed, sort_keys=False)
    file.write_text(text, encoding="utf-8")


def check_settable(tree: dict[str, Any], path: str) -> None:
    """Raises ValueError if a dotted path leads through something that is not a section."""
    node: Any = tree
    *parents, _ = path.split(".")
    for place, parent in enumerate(parents, 1):
        node = node.get(parent, {})
        if not isinstance(node, dict):
            raise ValueError(f"{path}: {'.'.join(parents[:place])} is not a section of the trainer's configuration")

"""Test results, kept beside their models."""

from typing import Any

from search.finals.stages import FinalModel
from trainables.base.files import make_folder
from trainables.base.sealing import Damaged, read_sealed, write_sealed


def keep_result(model: FinalModel, name: str, record: dict[str, Any]) -> None:
    """Write a result into a file of this name, which `kept_result` reads."""
    make_folder(model.folder)
    write_sealed(model.folder / name, {**record, "model": model.identity})


def kept_result(model: FinalModel, name: str) -> dict[str, Any]:
    """Read a result. Raises Damaged, also if it belongs to another model, which version 0.1 did not write."""
    record = read_sealed(model.folder / name)
    if record.pop("model", model.identity) != model.identity:
        raise Damaged(f"{model.folder / name}: belongs to another model")
    return record

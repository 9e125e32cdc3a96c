"""Results of tests, kept beside the models they are of."""

from typing import Any

from search.finals.stages import FinalModel
from trainables.base.files import make_folder
from trainables.base.sealing import Damaged, read_sealed, write_sealed


def keep_result(model: FinalModel, name: str, record: dict[str, Any]) -> None:
    """Write a result into a file of that name, for `kept_result` to find."""
    make_folder(model.folder)
    write_sealed(model.folder / name, {**record, "model": model.identity})


def kept_result(model: FinalModel, name: str) -> dict[str, Any]:
    """Raises Damaged, also for what is of another model; version 0.1 did not write which it was of."""
    record = read_sealed(model.folder / name)
    if record.pop("model", model.identity) != model.identity:
        raise Damaged(f"{model.folder / name}: is of another model")
    return record

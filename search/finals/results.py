"""Test results, kept beside their models."""

from contextlib import suppress
from typing import Any

import numpy as np

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


def keep_statistics(model: FinalModel, metric: str, signature: str, statistics: np.ndarray) -> None:
    """Write the statistics of a metric on each test item, (items, k), into a file that `kept_statistics` reads."""
    keep_result(model, f"{metric}.json", {"signature": signature, "statistics": statistics.tolist()})


def kept_statistics(model: FinalModel, metric: str, signature: str) -> np.ndarray | None:
    """Read statistics; None if they are missing, damaged, or those of a metric that was computed in another way."""
    with suppress(Damaged, KeyError, TypeError, ValueError):
        record = kept_result(model, f"{metric}.json")
        if record["signature"] == signature:
            return np.array(record["statistics"], dtype=np.float64)
    return None

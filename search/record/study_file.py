"""The sqlite file of a study, opened for writing, or for reading without any change to it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import Study as OptunaStudy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from search.record.quiet_optuna import quiet_optuna
from trainables.base.files import unwritable
from trainables.base.sealing import Damaged

LOCK_TIMEOUT_SECONDS = 60
# A full disk, no permission, a mount that is read-only or lost. The file itself may be whole.
OF_THE_MACHINE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
Mode = Literal["new", "old", "read"]  # created if it is missing; must exist; must exist and is not changed


@quiet_optuna()
def open_study(
    file: Path | None, name: str, direction: Literal["maximize", "minimize"], mode: Mode
) -> tuple[BaseStorage, OptunaStudy]:
    """The storage in the file, or in memory if file is None, and the study of this name in it.

    Raises Damaged if the file or the study is missing or broken, UserError if the machine refuses access.
    """
    if file is None:
        storage: BaseStorage = InMemoryStorage()
        return storage, optuna.create_study(storage=storage, study_name=name, direction=direction)
    if mode != "new" and not (file.is_file() and file.stat().st_size):
        raise Damaged(f"{file}: is missing or empty; restore the study from a copy, or start a new search")
    try:
        storage = _snapshot(file) if mode == "read" else _storage(file)
        names = {study.study_name for study in storage.get_all_studies()}
        if name not in names and mode != "new":
            raise Damaged(f"{file}: has no study {name!r}; restore it from a copy, or start a new search")
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
        study.get_trials(deepcopy=False)
        return storage, study
    except (sqlite3.Error, SQLAlchemyError, optuna.exceptions.OptunaError, ValueError, LookupError, TypeError) as error:
        cause = getattr(error, "orig", error)
        if getattr(cause, "sqlite_errorcode", None) in OF_THE_MACHINE:
            raise unwritable(file, cause) from None
        reason = " ".join(str(cause).split())[:200]
        raise Damaged(f"{file}: {reason}; restore the study from a copy, or start a new search") from None


def _storage(file: Path) -> BaseStorage:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(file, timeout=LOCK_TIMEOUT_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA synchronous=FULL")  # some builds of sqlite sync less, and lose the last writes
        return connection

    with closing(connect()) as connection:
        # In WAL mode readers such as a dashboard don't lock the driver out.
        connection.execute("PRAGMA journal_mode=WAL")
        _check(connection)
    return _engine(creator=connect)


def _snapshot(file: Path) -> BaseStorage:
    """A copy of the file in memory, in its state between two writes."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        _copy(file, "mode=ro", memory)
    except sqlite3.OperationalError:  # in a read-only folder sqlite can't keep its index of the WAL
        _copy(file, "immutable=1", memory)
    _check(memory)
    return _engine(creator=lambda: memory, poolclass=StaticPool)


def _copy(file: Path, how: str, target: sqlite3.Connection) -> None:
    with closing(
        sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True, timeout=LOCK_TIMEOUT_SECONDS)
    ) as source:
        source.backup(target)


def _check(connection: sqlite3.Connection) -> None:
    """Check that the pages fit together. Raises sqlite3.DatabaseError."""
    if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(f"is damaged: {found}")


def _engine(**arguments: Any) -> BaseStorage:
    # The path is not in the address, where "?", "%" and braces have other meanings.
    return RDBStorage("sqlite:///study.db", engine_kwargs=arguments)

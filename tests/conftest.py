"""What all tests share."""

import sqlite3
from collections.abc import Iterator

import pytest
import sqlalchemy
import torch
from hypothesis import settings

torch.set_num_threads(1)  # more only slow tiny models down
settings.register_profile("busy", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def _state_of_a_user_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _do_not_wait_for_the_disk(connection: sqlite3.Connection, _: object) -> None:
    """In this process alone: no test pulls the plug, and thousands of transactions would each wait."""
    connection.execute("PRAGMA synchronous = OFF")

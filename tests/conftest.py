"""What all tests share."""

import os
import sqlite3
from collections.abc import Iterator

import pytest
import sqlalchemy
import torch
from hypothesis import settings

torch.set_num_threads(1)  # more only slow tiny models down
settings.register_profile("busy", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("busy")
os.environ.setdefault("RAY_worker_niceness", "0")  # its 15 would starve trials beside the other process of `make test`

# Files that start searches, by how long they take: of two processes, neither gets a long one when the other is done.
SEARCHES = [
    "run",
    "tracking",
    "python",
    "examples",
    "problems",
    "command_search",
    "pretrained_search",
    "watchdog",
    "damage",
    "scoring",
    "soak",
    "report_page",
    "report_browser",
    "deciding",
    "metric_search",
    "several_tests",
    "compatibility",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("FAULTS_ALL"):
        for item in items:
            if item.get_closest_marker("rare"):
                item.add_marker(pytest.mark.skip("make test-faults"))
    place = {f"test_{name}": number for number, name in enumerate(SEARCHES)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="session", autouse=True)
def _state_of_a_user_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _do_not_wait_for_the_disk(connection: sqlite3.Connection, _: object) -> None:
    """In this process alone: no test pulls the plug, and thousands of transactions would each wait."""
    connection.execute("PRAGMA synchronous = OFF")

"""What every object store does for us: one suite for S3 (moto), Azure (Azurite), a folder and memory."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from azure_container import KEY, make_container
from object_store import BUCKET, free_port, object_store

from trainables.base.errors import StorageFails, UserError
from trainables.sharing.object_store import Store

EMULATORS = Path(__file__).parents[1] / ".emulators" / "node_modules" / ".bin"
AZURITE = shutil.which("azurite-blob", path=f"{EMULATORS}:{os.environ['PATH']}")


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def s3(environment: pytest.MonkeyPatch) -> Iterator[str]:
    with object_store() as reach:
        for name, value in reach.items():
            environment.setenv(name, value)
        yield f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def az(environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if AZURITE is None:
        pytest.skip("azurite-blob is not there; `make test-emulators` installs it by npm")
    port = free_port()
    command = [AZURITE, "--location", str(tmp_path_factory.mktemp("azurite")), "--blobPort", str(port)]
    with subprocess.Popen([*command, "--silent", "--skipApiVersionCheck"], stdout=subprocess.DEVNULL) as server:
        try:
            endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
            environment.setenv("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1")
            environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
            environment.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
            make_container(endpoint, BUCKET)
            yield f"az://{BUCKET}"
        finally:
            server.kill()


@pytest.fixture(params=["s3", "az", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Empty, and with a neighbour whose name begins alike."""
    roots = {"file": f"file://{tmp_path}", "memory": "memory://tests"}
    root = roots.get(request.param) or request.getfixturevalue(request.param)
    name = request.node.originalname[:40]
    Store(f"{root}/{name}-2").write("neighbour", b"")
    return Store(f"{root}/{name}")


def test_an_object_is_whole_or_absent(store: Store, tmp_path: Path) -> None:
    assert store.read("a/1") is None and not store.exists("a/1")
    assert not store.get("a/1", tmp_path / "new" / "none") and not list((tmp_path / "new").iterdir())
    store.write("a/1", b"one")
    store.write("a/1", b"two")
    assert store.read("a/1") == b"two" and store.exists("a/1")
    assert store.get("a/1", tmp_path / "file") and (tmp_path / "file").read_bytes() == b"two"
    large = os.urandom(11 * 2**20)  # sent in several parts
    (tmp_path / "large").write_bytes(large)
    store.put(tmp_path / "large", "b")
    assert store.read("b") == large
    with pytest.raises(StorageFails, match="No such file"):
        store.put(tmp_path / "nowhere", "c")


def test_a_prefix_ends_where_a_part_of_a_key_does(store: Store) -> None:
    for key in ("a/1", "a/10", "ab", "b"):
        store.write(key, key.encode())
    assert store.find() == ["a/1", "a/10", "ab", "b"]
    assert store.find("a") == ["a/1", "a/10"] and store.find("a/1") == ["a/1"] and store.find("c") == []
    assert store.copy("a/1", "c/1") and not store.copy("a/2", "c/2")
    assert store.find("c") == ["c/1"] and store.read("c/1") == b"a/1"
    store.remove("a")
    store.remove("nothing")
    assert store.find() == ["ab", "b", "c/1"]


def test_a_write_on_condition_meets_the_version_that_it_knows_or_nothing(store: Store) -> None:
    first = store.create("lease", b"first")
    assert first and store.create("lease", b"other") is None and store.read("lease") == b"first"
    second = store.replace("lease", first, b"second")
    assert second and store.replace("lease", first, b"late") is None and store.read("lease") == b"second"
    known = store.read_version("lease")
    assert known and known.content == b"second"
    assert store.replace("lease", known, b"third") and store.replace("lease", second, b"late") is None
    third = store.read_version("lease")
    store.remove("lease")
    assert third and store.replace("lease", third, b"late") is None and store.read("lease") is None


def test_of_many_that_write_on_one_condition_one_succeeds(store: Store) -> None:
    known = store.create("lease", b"")
    for attempt in range(5):
        assert known
        names = [f"{attempt}-{writer}".encode() for writer in range(8)]
        with ThreadPoolExecutor(len(names)) as pool:
            written = list(pool.map(partial(store.replace, "lease", known), names))
        known = store.read_version("lease")
        assert known and [version.content for version in written if version] == [known.content]


def test_a_store_that_can_be_used_is_left_as_it_was(store: Store) -> None:
    store.try_out()
    assert store.find() == []


def test_a_store_that_writes_on_any_condition_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("memory://tests/careless")
    monkeypatch.setattr(store, "replace", lambda key, known, content: known)
    with pytest.raises(StorageFails, match="overwrites an object in spite of a condition"):
        store.try_out()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s9://bucket/runs", "storage: s9://bucket/runs: unknown protocol; known are s3://, gs://, az://"),
        ("s3://no-such-bucket/runs", "storage: s3://no-such-bucket/runs/.*bucket does not exist; is the bucket there"),
    ],
)
def test_a_storage_that_can_not_be_used_is_told(url: str, message: str, s3: str) -> None:
    with pytest.raises(UserError, match=message):
        Store(url).try_out()


def test_a_missing_package_is_named_with_its_cure(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StorageFails, match=r"gs://new/runs: needs obstore, .*: pip install 'babeltune\[storage\]'"):
        Store("gs://new/runs").try_out()
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "credentials").write_text("[default]\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(StorageFails, match=r"credentials: needs boto3, .*: pip install 'babeltune\[aws\]'"):
        Store("s3://another/runs").try_out()


def test_keys_in_the_users_aws_folder_are_found(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = me\naws_secret_access_key = mine\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    begun = time.monotonic()
    Store(f"{s3}/profile").try_out()
    assert time.monotonic() - begun < 10, "no machine was asked for its role"

"""Files that trials start from, such as a pretrained model, on nodes that share no folder with the driver.

The storage of a search has each file by its content, and a record of them by its own. A node fetches the files of an
input once.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from trainables.base.errors import StorageFails
from trainables.base.files import digest_of, make_folder, publish_folder, remove
from trainables.base.locks import locked
from trainables.sharing.object_store import Store
from trainables.sharing.storage import Storage

Inputs = Mapping[str, Mapping[str, Path]]  # by the name of an input: its files by their names in its folder


def store_inputs(url: str, inputs: Inputs) -> str:
    """Put the inputs into the storage at this URL, unless they are there; returns the name of their record.

    That is empty if there are none. Raises StorageFails.
    """
    if not inputs:
        return ""
    store, record = Store(f"{url}/.cache"), {}
    for name, files in inputs.items():
        record[name] = {path: digest_of(file) for path, file in files.items()}
        for path, sha256 in record[name].items():
            if not store.exists(f"inputs/{sha256}"):
                store.put(files[path], f"inputs/{sha256}")
    content = json.dumps(record, sort_keys=True).encode()
    store.create(f"inputs/{_name(content)}", content)
    return _name(content)


def bring_input(storage: Storage, name: str, cache: Path) -> None:
    """Fetch the files of an input into this node's cache, unless they are there. Raises StorageFails."""
    folder, draft = input_folder(name, cache), cache / f".{name}"
    make_folder(folder.parent)
    with locked(folder.parent / "lock"):
        if folder.is_dir():
            return
        content = storage.shared.read(f"inputs/{storage.inputs}")
        if content is None or _name(content) != storage.inputs:
            raise _gone(storage, storage.inputs)
        remove(draft)
        for path, sha256 in json.loads(content)[name].items():
            if not storage.shared.get(f"inputs/{sha256}", draft / path) or digest_of(draft / path) != sha256:
                raise _gone(storage, sha256)
        publish_folder(draft, folder)


def input_folder(name: str, cache: Path) -> Path:
    """The folder of an input in the cache of a node; missing where it was not brought, as on the driver."""
    return cache / "inputs" / name


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _gone(storage: Storage, key: str) -> StorageFails:
    return StorageFails(f"storage: {storage.shared.url}/inputs/{key}: is gone or changed; resume")

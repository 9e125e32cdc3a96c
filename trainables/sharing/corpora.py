"""Corpus and tokenizers on nodes that share no folder: each node fetches them once from the storage of the search."""

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from trainables.base.config import digest
from trainables.base.errors import StorageFails
from trainables.base.files import make_folder, write_atomically
from trainables.base.locks import locked
from trainables.base.temporary import hold, user_folder
from trainables.base.translation_config import DataConfig, TokenizerConfig, TranslationConfig
from trainables.data.corpus import Corpus
from trainables.data.corpus_cache import CORPUS, cached_corpus
from trainables.data.tokenizer import keep_model, tokenizer_folder, train_tokenizer
from trainables.sharing.object_store import Store
from trainables.sharing.storage import Storage


def bring_corpus(storage: Storage, config: TranslationConfig) -> Path:
    """A cache folder of this node with the corpus and the tokenizer of the trial; each is fetched once per node."""
    return _bring(storage, config.data, config.tokenizer)


def share_tokenizer(storage: Storage, config: TokenizerConfig, corpus: Corpus, cache: Path) -> None:
    """Make sure that cache and storage have the same tokenizer: the first one in the storage."""
    folder = tokenizer_folder(config, corpus, cache)
    make_folder(folder)
    sides = ("tokenizer",) if config.shared else ("source", "target")
    with locked(folder / "sharing"):
        shared = folder / f"shared-{digest(storage.shared.url)}"
        if shared.exists():
            return
        keys = {f"tokenizers/{folder.name}/{side}.model": folder / f"{side}.model" for side in sides}
        if not all(storage.shared.exists(key) for key in keys):
            train_tokenizer(config, corpus, cache)
            for key, file in keys.items():
                storage.shared.create(key, file.read_bytes())
        for key, file in keys.items():
            keep_model(file, storage.shared.read(key) or b"")
        shared.touch()


@lru_cache(maxsize=4)
def _bring(storage: Storage, data: DataConfig, tokenizer: TokenizerConfig) -> Path:
    cache = user_folder() / "corpora" / storage.corpus / digest(storage.shared.url)
    make_folder(cache)
    hold(cache)  # until this process ends
    with locked(cache / "lock"):
        if not (cache / CORPUS).exists() or _name((cache / CORPUS).read_bytes()) != storage.corpus:
            content = storage.shared.read(f"corpora/{storage.corpus}")
            if content is None or _name(content) != storage.corpus:
                raise StorageFails(
                    f"storage: {storage.shared.url}/corpora/{storage.corpus}: is gone or changed; resume"
                )
            write_atomically(cache / CORPUS, content)
    share_tokenizer(storage, tokenizer, cached_corpus(data, cache), cache)
    return cache


def store_corpus(url: str, corpus: Corpus) -> str:
    """Put a corpus into the storage at this URL, unless it is there; returns its name. Raises StorageFails."""
    content = json.dumps(asdict(corpus), ensure_ascii=False).encode()
    name = _name(content)
    store = Store(f"{url}/.cache")
    if not store.exists(f"corpora/{name}"):  # a write would be refused only after everything is sent
        store.create(f"corpora/{name}", content)
    return name


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

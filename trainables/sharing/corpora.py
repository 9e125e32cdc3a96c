"""Corpus and tokenizers on nodes that share no folder: each node fetches them once from the storage of the search.

Shared objects are named by their content and have a digest: a record of the corpus, the training text, tokenizers, and
the text as ids. A node fetches the text itself only if a tokenizer or ids are missing.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from trainables.base.config import digest
from trainables.base.data_config import DataConfig
from trainables.base.errors import StorageFails
from trainables.base.files import digest_of, make_folder, write_atomically
from trainables.base.locks import locked
from trainables.base.temporary import hold, user_folder
from trainables.base.translation_config import TokenizerConfig, TranslationConfig
from trainables.data.corpora.cache import BROUGHT, cached_corpus, record_of
from trainables.data.corpora.corpus import Corpus
from trainables.data.encoding.encoded_text import INDEX, index_of, name_of
from trainables.data.encoding.encoding import encode_text
from trainables.data.encoding.part_encoder import Job
from trainables.data.encoding.tokenizer import keep_model, tokenizer_folder, train_tokenizer
from trainables.data.reading.text import FACTS, SIDES, stored, verify
from trainables.sharing.object_store import Store
from trainables.sharing.storage import Storage


def store_corpus(url: str, corpus: Corpus) -> str:
    """Put a corpus into the storage at this URL, unless it is there; returns its name. Raises StorageFails."""
    text, store = stored(corpus.train), Store(f"{url}/.cache")
    content = json.dumps(record_of(corpus), ensure_ascii=False).encode()
    name, key = _name(content), f"texts/{text.sha256}"
    if not store.exists(f"{key}/{FACTS}"):
        for file in (*SIDES, FACTS):  # the facts come last: they show that the text is complete
            store.put(text.folder / file, f"{key}/{file}")
    if not store.exists(f"corpora/{name}"):  # a write would be refused only after everything is sent
        store.create(f"corpora/{name}", content)
    return name


def bring_corpus(storage: Storage, config: TranslationConfig) -> Path:
    """A cache folder of this node with the data of the trial; each part is fetched once per node."""
    return _bring(storage, config.data, config.tokenizer)


def bring_text(storage: Storage, data: DataConfig) -> Path:
    """A cache folder of this node with the corpus as text; it is fetched once per node."""
    cache = bring_record(storage)
    with locked(cache / "lock"):
        _see_text(storage, cached_corpus(data, cache))
    return cache


@lru_cache(maxsize=4)
def _bring(storage: Storage, data: DataConfig, tokenizer: TokenizerConfig) -> Path:
    cache = bring_record(storage)
    share(storage, data, tokenizer, cache)
    return cache


@lru_cache(maxsize=4)
def bring_record(storage: Storage) -> Path:
    """A cache folder of this node with a description of the corpus, and the validation text."""
    cache = user_folder() / "corpora" / storage.corpus / digest([storage.shared.url, storage.inputs])
    make_folder(cache)
    hold(cache)  # until this process ends
    with locked(cache / "lock"):
        if not (cache / BROUGHT).exists() or _name((cache / BROUGHT).read_bytes()) != storage.corpus:
            content = storage.shared.read(f"corpora/{storage.corpus}")
            if content is None or _name(content) != storage.corpus:
                raise _gone(storage, f"corpora/{storage.corpus}")
            _fetch_text(storage, json.loads(content)["train"], cache / "texts", (FACTS,))
            write_atomically(cache / BROUGHT, content)
    return cache


def share(storage: Storage, data: DataConfig, tokenizer: TokenizerConfig, cache: Path) -> None:
    """Make sure that cache and storage have the same tokenizer and ids of the text: the first ones in the storage."""
    corpus = cached_corpus(data, cache)
    _share_tokenizer(storage, tokenizer, corpus, cache)
    _share_ids(storage, data, tokenizer, corpus, cache)


def _share_tokenizer(storage: Storage, config: TokenizerConfig, corpus: Corpus, cache: Path) -> None:
    folder = tokenizer_folder(config, corpus, cache)
    make_folder(folder)
    sides = ("tokenizer",) if config.shared else ("source", "target")
    with locked(folder / "sharing"):
        shared = folder / f"shared-{digest(storage.shared.url)}"
        if shared.exists():
            return
        keys = {f"tokenizers/{folder.name}/{side}.model": folder / f"{side}.model" for side in sides}
        if not all(storage.shared.exists(key) for key in keys):
            _see_text(storage, corpus)
            train_tokenizer(config, corpus, cache)
            for key, file in keys.items():
                storage.shared.create(key, file.read_bytes())
        for key, file in keys.items():
            keep_model(file, storage.shared.read(key) or b"")
        shared.touch()


def _share_ids(storage: Storage, data: DataConfig, config: TokenizerConfig, corpus: Corpus, cache: Path) -> None:
    text, tokenizer = stored(corpus.train), tokenizer_folder(config, corpus, cache)
    job = Job.of(text, tokenizer, data, cache)
    make_folder(job.folder)
    with locked(job.folder / "sharing"):
        shared, key = job.folder / f"shared-{digest(storage.shared.url)}", f"encoded/{job.folder.name}"
        if shared.exists():
            return
        content = storage.shared.read(f"{key}/{INDEX}") if index_of(job.folder) is None else None
        if content is not None:
            for number, part in enumerate(json.loads(content)["parts"]):
                file = job.folder / name_of(number)
                storage.shared.get(f"{key}/{file.name}", file)
                if not file.exists() or digest_of(file) != part["sha256"]:
                    raise _gone(storage, f"{key}/{file.name}")
            write_atomically(job.folder / INDEX, content)
        else:
            _see_text(storage, corpus)
            for number in range(encode_text(text, tokenizer, data, cache).num_parts):
                storage.shared.put(job.folder / name_of(number), f"{key}/{name_of(number)}")
            storage.shared.create(f"{key}/{INDEX}", (job.folder / INDEX).read_bytes())
        shared.touch()


def _see_text(storage: Storage, corpus: Corpus) -> None:
    """Fetch the training text itself into the cache, unless it is there."""
    text = stored(corpus.train)
    if not all((text.folder / side).exists() for side in SIDES):
        _fetch_text(storage, text.sha256, text.texts, SIDES)
        if not verify(text):
            raise _gone(storage, f"texts/{text.sha256}")


def _fetch_text(storage: Storage, sha256: str, texts: Path, names: tuple[str, ...]) -> None:
    make_folder(texts / sha256)
    for name in names:
        if not storage.shared.get(f"texts/{sha256}/{name}", texts / sha256 / name):
            raise _gone(storage, f"texts/{sha256}/{name}")


def _gone(storage: Storage, key: str) -> StorageFails:
    return StorageFails(f"storage: {storage.shared.url}/{key}: is gone or changed; resume")


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

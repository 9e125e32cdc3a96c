"""A search whose nodes share no folder: corpus, tokenizers and checkpoints go through its storage, an object store."""

import hashlib
import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from trainables.base.checkpoint_files import KEEP, checkpoint_number, newest_checkpoint, whole_checkpoint
from trainables.base.config import DataConfig, TokenizerConfig, TrialConfig, digest
from trainables.base.errors import StorageFails
from trainables.base.files import make_folder, write_atomically
from trainables.base.locks import locked
from trainables.base.temporary import held, hold, user_folder
from trainables.data.corpus import Corpus
from trainables.data.corpus_cache import CORPUS, cached_corpus
from trainables.data.tokenizer import keep_model, tokenizer_folder, train_tokenizer
from trainables.sharing.object_store import Store

DRIVER = "driver.json"  # who may write, and where the run is; the driver renews it (search/remote/lease.py)
CHECKPOINT = ("state.pt", "report.json")  # in the order of sending: a torn one lacks its report


def new_driver() -> str:
    """A key that no other driver has, ever; later ones sort later, as far as clocks agree."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:12]}"


def is_driver(name: str) -> bool:
    """Whether a name is the key of a driver."""
    return re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{12}", name) is not None


def find_place(url: str) -> Store | None:
    """Where the files of a run are: below the key of the last driver that held all of them. None if there is no run.

    Raises StorageFails.
    """
    root = Store(url)
    content = root.read(DRIVER)
    if content is None:
        return None
    record = json.loads(content)
    if "whole" not in record:  # of version 0.1, which kept all files below the run itself
        return root
    return Store(f"{url}/{record['whole']}") if record["whole"] else None


@dataclass(frozen=True)
class Storage:
    """The storage of one search, for its driver and, on any node, its workers.

    Each driver, with its workers, writes below its own key and nowhere else but in `shared`, so what an earlier one has
    sent and the network delivers late meets nothing of a later one's. All methods raise StorageFails.
    """

    url: str  # of the run in it
    driver: str  # the key of the driver that this is for; a later one has another
    corpus: str  # the name of the corpus in it, which is its hash

    @property
    def root(self) -> Store:
        """The drivers of the run, and DRIVER."""
        return Store(self.url)

    @property
    def run(self) -> Store:
        """The run as this driver writes it."""
        return Store(f"{self.url}/{self.driver}")

    @property
    def shared(self) -> Store:
        """What all runs of a storage share, named by content."""
        return Store(f"{self.url.rpartition('/')[0]}/.cache")

    # -- corpus and tokenizers

    def bring(self, config: TrialConfig) -> Path:
        """A cache folder of this node with the corpus and the tokenizer of the trial; each comes once to a node."""
        return _bring(self, config.data, config.tokenizer)

    def share_tokenizer(self, config: TokenizerConfig, corpus: Corpus, cache: Path) -> None:
        """See that cache and storage have the same tokenizer, the one that came first to the storage."""
        folder = tokenizer_folder(config, corpus, cache)
        make_folder(folder)
        sides = ("tokenizer",) if config.shared else ("source", "target")
        with locked(folder / "sharing"):
            shared = folder / f"shared-{digest(self.shared.url)}"
            if shared.exists():
                return
            keys = {f"tokenizers/{folder.name}/{side}.model": folder / f"{side}.model" for side in sides}
            if not all(self.shared.exists(key) for key in keys):
                train_tokenizer(config, corpus, cache)
                for key, file in keys.items():
                    self.shared.create(key, file.read_bytes())
            for key, file in keys.items():
                keep_model(file, self.shared.read(key) or b"")
            shared.touch()

    # -- checkpoints, by a key such as "trials/3"

    def fetch(self, key: str, folder: Path, count: int = 1, at_most: int | None = None) -> None:
        """The newest `count` whole checkpoints into the folder, or as many as there are; none above `at_most`."""
        for number, name in self._checkpoints(key):
            if count and (at_most is None or number <= at_most):
                for part in CHECKPOINT:
                    self.run.get(f"{key}/{name}/{part}", folder / name / part)
                count -= whole_checkpoint(folder / name) is not None

    def send(self, folder: Path, key: str, keep: int) -> None:
        """The newest checkpoint of a folder; the `keep` last stay. Raises StorageFails in a lost driver's worker."""
        self.check_driver()
        found = newest_checkpoint(folder)
        assert found, "a checkpoint precedes each report"
        name, report = found[0].name, (found[0] / "report.json").read_bytes()
        if self.run.read(f"{key}/{name}/report.json") != report:
            for part in CHECKPOINT:
                self.run.put(found[0] / part, f"{key}/{name}/{part}")
        # Those beyond it are of a driver whose last seconds are lost, and are trained again.
        there = [old for _, old in self._checkpoints(key)]
        last = there[there.index(name) :][: max(KEEP, keep)]
        for old in there:
            if old not in last:
                self.run.remove(f"{key}/{old}")

    def check_driver(self) -> None:
        """Raises StorageFails if another driver has taken over."""
        content = self.root.read(DRIVER)
        if content is None or json.loads(content)["key"] != self.driver:
            raise StorageFails(f"storage: {self.url}: another driver has taken this search over")

    def _checkpoints(self, key: str) -> list[tuple[int, str]]:
        """Number and name of all that have a report, the newest first."""
        names = {path.split("/")[-2] for path in self.run.find(key) if path.endswith("/report.json")}
        return sorted(((checkpoint_number(name) or 0, name) for name in names), reverse=True)

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A folder of this node to train in, empty unless a process of this driver died in it.

        What workers of earlier drivers have left here is removed.
        """
        runs = user_folder() / "runs" / digest(self.url)
        for other in runs.glob("*"):
            if other.name != self.driver:
                shutil.rmtree(other, ignore_errors=True)
        folder = runs / self.driver / key
        make_folder(folder)
        with held(folder):
            yield folder


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
    storage.share_tokenizer(tokenizer, cached_corpus(data, cache), cache)
    return cache


def store_corpus(url: str, corpus: Corpus) -> str:
    """Put a corpus into the storage at this URL, unless it is there; its name. Raises StorageFails."""
    content = json.dumps(asdict(corpus), ensure_ascii=False).encode()
    name = _name(content)
    store = Store(f"{url}/.cache")
    if not store.exists(f"corpora/{name}"):  # a write would be refused only when all is sent
        store.create(f"corpora/{name}", content)
    return name


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

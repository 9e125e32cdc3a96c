"""Corpora by name: the Hub against a server on this machine, sacreBLEU's test sets in its own layout and over HTTP."""

import functools
import hashlib
import http.server
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import sacrebleu.dataset
from hub_server import REVISION, serve_hub
from pydantic import ValidationError
from sacrebleu.dataset.plain_text import PlainTextDataset
from test_layouts import SPLITS, in_tar, lines, pairs, parquet, read, sides, write

from trainables.base import extras
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.importing import import_corpus
from trainables.data.reading.published.hub import fetch

ROOT = Path(__file__).parents[1]
CARD = """---
configs:
- config_name: en-fr
  data_files:
""" + "".join(f"  - {{split: {name}, path: en-fr/{name}-*}}\n" for name in ("train", "validation", "test"))
BOOKS = {"README.md": f"{CARD}---\n".encode()} | {
    f"en-fr/{name}-00000-of-00001.parquet": parquet(pairs(split))
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True)
}
PROGRAM = """
import sys
from pathlib import Path
from trainables.base.errors import UserError
from trainables.base.data_config import DataConfig
from trainables.data.reading.importing import import_corpus
try:
    print([each.pairs for each in import_corpus(DataConfig(path=sys.argv[1]), Path(sys.argv[2]))])
except UserError as error:
    print(error)
"""


def imported(path: str, folder: Path, hub: str, home: Path) -> str:
    offline = "0" if hub else "1"
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": offline, "no_proxy": "127.0.0.1"}
    environment |= {"HF_ENDPOINT": hub} if hub else {}
    program = [sys.executable, "-c", PROGRAM, path, str(folder)]
    done = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_corpus_of_the_hub_is_read_at_a_revision_and_then_from_the_cache(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    address, home = "hf://owner/books?config=en-fr", tmp_path / "cache"
    with serve_hub("owner/books", BOOKS) as (hub, asked):
        told = imported(address, tmp_path / "plain", hub, home)
        assert f"can change; name the state that is meant; as it is now: {address}&revision={REVISION}" in told
        other = address.replace("en-fr", "en-de")
        assert "can't be fetched" in imported(f"{other}&revision={REVISION}", tmp_path / "plain", hub, home)
        assert imported(f"{address}&revision={REVISION}", tmp_path / "plain", hub, home) == "[30, 6, 4]"
        fetched = [line for line in asked if line.startswith("GET") and line.endswith(".parquet")]
        assert len(fetched) == 3
    assert {file.name: file.read_bytes() for file in (tmp_path / "plain").iterdir()} == sides("{split}.{language}")
    assert imported(f"{address}&revision={REVISION}", tmp_path / "again", "", home) == "[30, 6, 4]", "without the Hub"
    told = imported(f"{address}&revision={'f' * 40}", tmp_path / "other", "", home)
    assert "has another state of it alone" in told, "which `datasets` would take"


def test_the_package_that_reads_the_hub_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    fetch.cache_clear()
    with pytest.raises(UserError, match=r"hf://a/b: needs datasets, .* pip install 'babeltune\[datasets\]'"):
        read(DataConfig(path="hf://a/b"), "train")


@pytest.fixture
def test_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a test set `mini` of sacreBLEU's, with two references, which is fetched from this machine."""
    folder = tmp_path / "sacrebleu"
    archive = in_tar({"mini/a.en": lines(["one", "two"]), "mini/a.fr": lines(["un", "deux"])}, "w:gz", "mini.tar.gz")
    write(tmp_path / "served", archive)
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("sacrebleu.dataset.base.SACREBLEU_DIR", str(folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    mini = PlainTextDataset(
        "mini",
        data=[f"http://127.0.0.1:{server.server_port}/mini.tar.gz"],
        md5=[hashlib.md5(archive["mini.tar.gz"]).hexdigest()],
        langpairs={"en-fr": ["mini/a.en", "mini/a.fr"]},
    )
    monkeypatch.setitem(sacrebleu.dataset.DATASETS, "mini", mini)
    yield folder
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_test_set_of_sacrebleu_stands_for_a_split(test_sets: Path, tmp_path: Path) -> None:
    write(tmp_path / "corpus", sides("{split}.{language}", names=("train", "valid")))
    config = DataConfig(path=str(tmp_path / "corpus"), test="sacrebleu://mini/en-fr")
    assert read(config, config.splits[2]) == [("one", "un"), ("two", "deux")]
    assert read(config, "valid") == pairs("valid")
    assert (test_sets / "mini" / "mini.en-fr.src").is_file(), "in the cache of sacreBLEU"
    import_corpus(config, tmp_path / "plain")
    assert (tmp_path / "plain" / "test.fr").read_bytes() == lines(["un", "deux"])


def test_a_test_set_that_was_fetched_needs_no_network(test_sets: Path, tmp_path: Path) -> None:
    (tmp_path / "served" / "mini.tar.gz").unlink()
    write(test_sets / "mini", {"mini.en-fr.src": b"kept\n", "mini.en-fr.ref": "gardé\n".encode()})
    config = DataConfig(path=str(tmp_path), valid="sacrebleu://mini/en-fr")
    assert read(config, config.valid) == [("kept", "gardé")]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sacrebleu://minni/en-fr", "sacreBLEU has no test set minni; did you mean mini"),
        ("sacrebleu://mini/fr-en", "is from fr to en, and data.source and data.target are en and fr"),
        ("sacrebleu://wmt24/en-fr", "wmt24 has no en-fr"),
    ],
)
def test_a_test_set_that_there_is_not_is_told(address: str, message: str, test_sets: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(DataConfig(path=str(tmp_path), test=address), address)


def test_a_damaged_or_missing_download_is_told(test_sets: Path, tmp_path: Path) -> None:
    (tmp_path / "served" / "mini.tar.gz").write_bytes(b"other")
    with pytest.raises(UserError, match=r"sacrebleu://mini/en-fr: can't be fetched: .* `sacrebleu -t mini -l en-fr"):
        read(DataConfig(path=str(tmp_path), test="sacrebleu://mini/en-fr"), "sacrebleu://mini/en-fr")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "hf://wmt14"}, r"path: hf://wmt14: is written hf://OWNER/NAME\?config=…&revision=…"),
        ({"path": "hf://a/b?lang=de"}, "is written hf://OWNER/NAME"),
        ({"path": "s3://bucket/corpus"}, "no corpus is read from s3://"),
        ({"path": "sacrebleu://wmt24/en-de"}, "a test set as sacrebleu://wmt24/en-de is named by test"),
        (
            {"test": "sacrebleu://wmt24"},
            "test: sacrebleu://wmt24: is the name of a split; a test set is sacrebleu://wmt24/",
        ),
        ({"train": "sacrebleu://wmt24/en-de"}, "train: sacrebleu://wmt24/en-de: is the name of a split"),
    ],
)
def test_an_address_that_can_not_be_read_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate(settings)

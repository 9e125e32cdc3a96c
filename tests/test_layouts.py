"""The layouts in which people keep parallel text, a table: each is found and read as the same pairs, or refused."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.ipc
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.finding import find_files
from trainables.data.reading.language_codes import same_language
from trainables.data.reading.layouts import find_name_of
from trainables.data.reading.pairs import read_pairs

# Signs that some form writes otherwise: spaces of two kinds, quotes, marks of XML and JSON, an emoji.
EN = "{split} {number}: a <b> & 'two', \"three\" \u00a0 — é 🙂"
FR = "{split} {number} : une, deux\u202f; « trois » < &amp;"
SIZES = {"train": 30, "valid": 6, "test": 4}
SPLITS = tuple(SIZES)
Files = dict[str, bytes]
Pair = tuple[str, str]


def pairs(split: str) -> list[Pair]:
    numbers = range(SIZES[split])
    return [(EN.format(split=split, number=n), FR.format(split=split, number=n)) for n in numbers]


ALL = [pair for split in SPLITS for pair in pairs(split)]


def lines(some: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in some).encode()


def sides(pattern: str, languages: tuple[str, str] = ("en", "fr"), names: tuple[str, ...] = SPLITS) -> Files:
    """Two plain files for each split, which have other names in files."""
    return {
        pattern.format(split=name, language=language): lines([pair[side] for pair in pairs(split)])
        for split, name in zip(SPLITS, names, strict=False)
        for side, language in enumerate(languages)
    }


def whole(pattern: str, languages: tuple[str, str] = ("en", "fr")) -> Files:
    return {
        pattern.format(language=language): lines([pair[side] for pair in ALL])
        for side, language in enumerate(languages)
    }


def packed(files: Files, ending: str, pack: Callable[[bytes], bytes]) -> Files:
    return {f"{name}.{ending}": pack(content) for name, content in files.items()}


def in_zip(files: Files, name: str = "corpus.zip") -> Files:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return {name: out.getvalue()}


def in_tar(files: Files, mode: Any = "w", name: str = "corpus.tar", pack: Callable[[bytes], bytes] = bytes) -> Files:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for member, content in files.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return {name: pack(out.getvalue())}


def zst(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


def tables(pattern: str, write: Callable[[list[Pair]], bytes]) -> Files:
    return {pattern.format(split=split): write(pairs(split)) for split in SPLITS}


def tsv(some: list[Pair]) -> bytes:
    return lines([f"{en}\t{fr}" for en, fr in some])


def csv(some: list[Pair], header: str = "fr,id,en", between: str = ",") -> bytes:
    quote = '"{}"'.format
    rows = [header.split(","), *([quote(fr), "7", quote(en.replace(chr(34), chr(34) * 2))] for en, fr in some)]
    return lines([between.join(row) for row in rows])


def jsonl(some: list[Pair], record: Callable[[str, str], Any] = lambda en, fr: {"fr": fr, "en": en, "id": 7}) -> bytes:
    return lines([json.dumps(record(en, fr)) for en, fr in some])


def tmx(some: list[Pair], codes: tuple[str, str] = ("en-US", "fr")) -> bytes:
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;")

    units = (
        f'<tu><prop type="x">no text</prop>\n<tuv xml:lang="{codes[1]}">\n  <seg>{escaped(fr)}</seg>\n</tuv>'
        f'<tuv xml:lang="de"><seg>Deutsch</seg></tuv><tuv xml:lang="{codes[0]}"><seg>\n  <bpt i="1">\\b</bpt>'
        f"{escaped(en)}<ept i='1'>\\b0</ept>\n</seg></tuv></tu>\n"
        for en, fr in some
    )
    head = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4">'
    return f'{head}<header srclang="en"/><body>\n{"".join(units)}</body></tmx>'.encode()


def table(some: list[Pair]) -> pyarrow.Table:
    return pyarrow.table({"translation": [{"en": en, "fr": fr} for en, fr in some]})


def parquet(some: list[Pair]) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(table(some), out, row_group_size=4)
    return out.getvalue()


def arrow(some: list[Pair]) -> bytes:
    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, table(some).schema) as stream:
        stream.write_table(table(some), max_chunksize=4)
    return out.getvalue()


def saved_by_datasets() -> Files:
    """What `DatasetDict.save_to_disk` leaves, and `map` beside it."""
    state = json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}).encode()
    files: Files = {"dataset_dict.json": b'{"splits": ["train", "validation", "test"]}'}
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        files |= {
            f"{name}/data-00000-of-00001.arrow": arrow(pairs(split)),
            f"{name}/state.json": state,
            f"{name}/dataset_info.json": b"{}",
            f"{name}/cache-1a2b.arrow": arrow(pairs(split)[:1]),
        }
    return files


def on_the_hub() -> Files:
    """A repository of `datasets`, with the training text in two parts."""
    some, files = (
        pairs("train"),
        {"README.md": b"---\n", "data/validation-00000-of-00001.parquet": parquet(pairs("valid"))},
    )
    files |= {f"data/train-0000{part}-of-00002.parquet": parquet(some[15 * part :][:15]) for part in range(2)}
    return files | {"data/test-00000-of-00001.parquet": parquet(pairs("test"))}


OPUS = {**whole("Books.en-fr.{language}"), "README": b"OPUS\n", "LICENSE": b"free\n", "Books.en-fr.xml": b"<cesAlign/>"}
OTHERS = ("train", "dev", "devtest")
# Layouts with all three splits: files, and what is set.
WITH_SPLITS: dict[str, tuple[Files, dict[str, Any]]] = {
    "plain": (sides("{split}.{language}"), {}),
    "codes of mBART": (sides("{split}.{language}", ("en_XX", "fr_XX")), {}),
    "three letters": (sides("{split}.{language}", ("eng", "fra")), {}),
    "roles": (sides("{split}.{language}", ("src", "tgt")), {}),
    "pair": (sides("{split}.en-fr.{language}"), {}),
    "other pairs beside": (
        sides("{split}.en-fr.{language}") | whole("train.en-de.{language}", ("en", "de")) | {"train.de-fr.fr": b"x\n"},
        {},
    ),
    "pair backwards": (sides("{split}.fr-en.{language}"), {}),
    "underscore": (sides("{split}_{language}.txt"), {}),
    "a folder a split": (sides("{split}/{language}.txt"), {}),
    "a folder a language": (sides("{language}/{split}.txt"), {}),
    "FLORES": (sides("{split}/{language}.{split}", ("eng_Latn", "fra_Latn"), OTHERS), {}),
    "dev for valid": (sides("{split}.{language}", names=("train", "dev", "test")), {}),
    "val for valid": (sides("{split}.{language}", names=("train", "val", "test")), {}),
    "validation for valid": (sides("{split}.{language}", names=("train", "validation", "test")), {}),
    "dev beside valid": (sides("{split}.{language}") | {"dev.en": b"x\n", "dev.fr": b"y\n"}, {}),
    "devtest for test": (sides("{split}.{language}", names=OTHERS), {}),
    "in a folder within": (sides("corpus/text/{split}.{language}"), {}),
    "gz": (packed(sides("{split}.{language}"), "gz", gzip.compress), {}),
    "bz2": (packed(sides("{split}.{language}"), "bz2", bz2.compress), {}),
    "xz": (packed(sides("{split}.{language}"), "xz", lzma.compress), {}),
    "zst": (packed(sides("{split}.{language}"), "zst", zst), {}),
    "unpacked beside gz": (sides("{split}.{language}") | {"train.en.gz": gzip.compress(b"old\n")}, {}),
    "zip": (in_zip(sides("{split}.{language}")), {"path": "corpus.zip"}),
    "zip of a folder of gz": (
        in_zip(packed(sides("text/{split}.{language}"), "gz", gzip.compress)),
        {"path": "corpus.zip"},
    ),
    "zip with a pattern": (
        in_zip(sides("{language}/{split}-v2")),
        {"path": "corpus.zip/{language}/{split}-v2"},
    ),
    "tar": (in_tar(sides("./{split}.{language}")), {"path": "corpus.tar"}),
    "tar.gz": (in_tar(sides("{split}.{language}"), "w:gz", "corpus.tar.gz"), {"path": "corpus.tar.gz"}),
    "tgz": (in_tar(tables("{split}.tsv", tsv), "w:gz", "corpus.tgz"), {"path": "corpus.tgz"}),
    "tar.xz": (in_tar(sides("{split}.{language}"), "w:xz", "corpus.tar.xz"), {"path": "corpus.tar.xz"}),
    "tar.zst": (in_tar(sides("{split}.{language}"), "w", "corpus.tar.zst", zst), {"path": "corpus.tar.zst"}),
    "TSV": (tables("{split}.tsv", tsv), {}),
    "TSV with a header": (tables("{split}.tsv", lambda some: b"source\ttarget\n" + tsv(some)), {}),
    "TSV with four columns": (
        tables("{split}.tsv", lambda some: lines([f"a\t{en}\tb\t{fr}" for en, fr in some])),
        {"columns": (2, 4)},
    ),
    "TSV of a pair": (tables("{split}.en-fr.tsv", tsv), {}),
    "CSV with quotes": (tables("{split}.csv", csv), {}),
    "CSV with semicolons": (tables("{split}.csv", lambda some: csv(some, between=";")), {}),
    "CSV with named columns": (
        tables("{split}.csv", lambda some: csv(some, "French,no,English")),
        {"columns": ("English", "French")},
    ),
    "JSONL": (tables("{split}.jsonl", jsonl), {}),
    "JSONL with codes": (tables("{split}.jsonl", lambda some: jsonl(some, lambda en, fr: {"fra": fr, "eng": en})), {}),
    "JSONL, translation": (
        tables("{split}.jsonl", lambda some: jsonl(some, lambda en, fr: {"translation": {"fr": fr, "en": en}})),
        {},
    ),
    "JSONL, nested": (
        tables("{split}.jsonl", lambda some: jsonl(some, lambda en, fr: {"text": [{"a": en}, {"b": {"c": fr}}]})),
        {"columns": ("text.1.a", "text.2.b.c")},
    ),
    "JSON array": (tables("{split}.json", lambda some: b"[" + b",\n".join(jsonl(some).splitlines()) + b"]\n"), {}),
    "JSON object": (
        tables("{split}.json", lambda some: b'{"v": 1, "data": [' + b",".join(jsonl(some).splitlines()) + b"]}"),
        {},
    ),
    "JSON lines as .json": (tables("{split}.json", jsonl), {}),
    "TMX": (tables("{split}.tmx", tmx), {}),
    "TMX, UTF-16": (
        tables("{split}.tmx", lambda some: tmx(some).decode().replace("utf-8", "utf-16").encode("utf-16")),
        {},
    ),
    "TMX, gz": (packed(tables("{split}.tmx", tmx), "gz", gzip.compress), {}),
    "parquet": (tables("{split}.parquet", parquet), {}),
    "parquet of the hub": (on_the_hub() | {"builder.json": b"{}"}, {}),
    "parquet, packed": (
        in_zip(packed(tables("{split}.parquet", parquet), "gz", gzip.compress)),
        {"path": "corpus.zip"},
    ),
    "arrow in a tar": (in_tar(tables("{split}.arrow", arrow)), {"path": "corpus.tar"}),
    "parquet, nested": (tables("{split}.parquet", parquet), {"columns": ("translation.en", "translation.fr")}),
    "arrow folder": (saved_by_datasets(), {}),
    "arrow cache": (tables("books-{split}-00000-of-00001.arrow", arrow), {}),
}


def write(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def configured(folder: Path, files: Files, settings: dict[str, Any]) -> DataConfig:
    write(folder, files)
    return DataConfig.model_validate({**settings, "path": f"{folder}/{settings.get('path', '')}"})


def read(config: DataConfig, split: str) -> list[Pair]:
    return list(read_pairs(config, split))


@pytest.mark.parametrize("layout", WITH_SPLITS)
def test_a_layout_with_splits_is_read_as_its_pairs(layout: str, tmp_path: Path) -> None:
    config = configured(tmp_path, *WITH_SPLITS[layout])
    for split in SPLITS:
        assert read(config, split) == pairs(split)
        assert read(config, split) == pairs(split), "again"
        assert all(file.is_file() for file in find_files(config, split))


TAKEN = {"valid": 6, "test": 4}
WITHOUT_SPLITS: dict[str, tuple[Files, str]] = {
    "OPUS zip": (in_zip(OPUS, "en-fr.txt.zip"), "en-fr.txt.zip"),
    "OPUS folder": (OPUS, ""),
    "plain": (whole("corpus.{language}"), ""),
    "pattern": (whole("a.{language}.txt"), "a.{language}.txt"),
    "train alone": ({name.replace("all", "train"): text for name, text in whole("all.{language}").items()}, ""),
    "TSV": ({"pairs.tsv": tsv(ALL)}, "pairs.tsv"),
    "TSV in a folder": ({"pairs.tsv": tsv(ALL), "notes.md": b"# notes\n"}, ""),
    "TSV, gz": ({"pairs.tsv.gz": gzip.compress(tsv(ALL))}, "pairs.tsv.gz"),
    "JSONL": ({"pairs.jsonl": jsonl(ALL)}, "pairs.jsonl"),
    "TMX": ({"memory.tmx": tmx(ALL, ("EN", "fr-FR"))}, "memory.tmx"),
    "TMX, zip": (in_zip({"en-fr.tmx": tmx(ALL)}, "en-fr.tmx.zip"), "en-fr.tmx.zip"),
    "parquet": ({"pairs.parquet": parquet(ALL)}, "pairs.parquet"),
    "arrow folder": ({"data-00000-of-00001.arrow": arrow(ALL), "state.json": b"{}", "dataset_info.json": b"{}"}, ""),
}


@pytest.mark.parametrize("layout", WITHOUT_SPLITS)
def test_a_corpus_without_splits_is_split_by_its_text_alone(layout: str, tmp_path: Path) -> None:
    files, path = WITHOUT_SPLITS[layout]
    config = configured(tmp_path, files, {"path": path, "split": TAKEN})
    parts = {split: read(config, split) for split in SPLITS}
    assert [len(parts[split]) for split in SPLITS] == [30, 6, 4]
    assert sorted(pair for part in parts.values() for pair in part) == sorted(ALL)
    write(tmp_path / "other", {"pairs.tsv": tsv(ALL)})
    same = configured(tmp_path / "other", {}, {"path": "pairs.tsv", "split": TAKEN})
    assert parts == {split: read(same, split) for split in SPLITS}, "in whatever form the text is"
    other_seed = configured(tmp_path / "other", {}, {"path": "pairs.tsv", "split": {**TAKEN, "seed": 2}})
    assert read(other_seed, "test") != parts["test"]


def test_the_embedded_corpus_has_its_splits() -> None:
    with pytest.raises(ValidationError, match="split: phrasebook has all splits"):
        DataConfig.model_validate({"split": TAKEN})


def test_what_has_no_files_is_taken_out_of_train(tmp_path: Path) -> None:
    files = sides("{split}.{language}", names=("train", "dev"))
    config = configured(tmp_path, files, {"split": {"test": 5}})
    assert read(config, "valid") == pairs("valid")
    assert len(read(config, "test")) == 5
    assert sorted(read(config, "test") + read(config, "train")) == sorted(pairs("train"))


BOMB = """<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<tmx><body><tu><tuv xml:lang="en"><seg>&b;</seg></tuv><tuv xml:lang="fr"><seg>&b;</seg></tuv></tu></body></tmx>"""
TWICE = '<tmx><tu>\n<tuv xml:lang="en-US"><seg>a</seg></tuv><tuv xml:lang="en-GB"><seg>b</seg></tuv></tu></tmx>'
REFUSED: dict[str, tuple[Files, dict[str, Any], str]] = {
    "two for valid": (
        sides("{split}.{language}", names=("train", "dev", "test"))
        | {"validation.en": b"a\n", "validation.fr": b"b\n"},
        {},
        r"dev\.en with dev\.fr or validation\.en with validation\.fr can be valid; name it by data\.train, data\.valid",
    ),
    "two for English": (
        {"train.en_GB": b"a\n", "train.en_US": b"a\n", "train.fr": b"b\n"},
        {},
        r"en_GB or en_US can be meant by en; name one by data\.source",
    ),
    "two forms": (
        sides("{split}.{language}") | {"train.tsv": tsv(pairs("train"))},
        {},
        r"train\.en with train\.fr or train\.tsv can be train",
    ),
    "two folders": (
        sides("raw/{split}.{language}") | sides("tok/{split}.{language}"),
        {},
        r"raw/ and tok/ have training text; name one of them",
    ),
    "two corpora": (whole("A.{language}") | whole("B.{language}"), {"split": TAKEN}, r"A\.en with A\.fr or B\.en with"),
    "no validation": (
        sides("{split}.{language}", names=("train",)),
        {},
        r"no valid\.en .* can serve: data\.split: {valid: 1000, test: 1000}",
    ),
    "no splits": (
        {"pairs.tsv": tsv(ALL)},
        {"path": "pairs.tsv"},
        r"no split train, but pairs\.tsv.* data\.split: {valid",
    ),
    "taken and there": (
        sides("{split}.{language}"),
        {"split": {"test": 2}},
        r"data\.split: .* has test\.en with test\.fr for test already; leave test out of data\.split",
    ),
    "more than there is": (
        {"pairs.tsv": tsv(ALL)},
        {"path": "pairs.tsv", "split": {"valid": 40}},
        r"40 pairs .* of 40",
    ),
    "four columns": (
        tables("{split}.tsv", lambda some: lines([f"a{en}\t{fr}\tb{en}\tc{fr}" for en, fr in some])),
        {},
        r"train\.tsv: has 4 columns without names; its first line is .*; name source and target by data\.columns",
    ),
    "a quote that does not end": ({"train.csv": b'en,fr\n"a",b\nc,"d\n'}, {}, r"train\.csv: the cells from line 3 on"),
    "no comma": ({"train.csv": b"en,fr\na,b\nc\n"}, {}, r"train\.csv: line 3 has no comma; a line is source, comma"),
    "JSON that ends": ({"train.json": b'[{"en": "a", "fr": "b"},\n{"en": "c"'}, {}, r"train\.json: line 2 is no JSON"),
    "JSON that is not UTF-8": (
        {"train.json": b'[{"en": "a",\n"fr": "\xe9"}]'},
        {},
        r"train\.json: line 2 is not UTF-8",
    ),
    "JSON without a key": ({"train.json": b'[{"en": "a"}]'}, {}, r'train\.json: record 1 must be {"en"'),
    "half a character": (
        {"train.json": b'[{"en": "a", "fr": "\\ud83d"}]'},
        {},
        r"train\.json: record 1 has half a character \(\\ud83d\)",
    ),
    "entities": ({"train.tmx": BOMB.encode()}, {}, r"train\.tmx: line 1 defines an entity, a; such files can grow"),
    "TMX that ends": ({"train.tmx": tmx(ALL)[:-20]}, {}, r"train\.tmx: line \d+ is no XML"),
    "TMX of others": (
        {"train.tmx": tmx(ALL, ("it", "es"))},
        {},
        r"no unit has en and fr; its languages are de, es, it",
    ),
    "TMX, two variants": (
        {"train.tmx": TWICE.encode()},
        {},
        r"line 1: en-GB or en-US can be meant by en; name one by data",
    ),
    "a part is missing": (
        {"train-00001-of-00002.parquet": parquet(ALL)},
        {},
        r"1 of the 2 parts of train-00001-of-00002",
    ),
    "no such column": (
        {"train.parquet": parquet(ALL)},
        {"columns": ("de", "fr")},
        r"train\.parquet: no column de; its columns are translation\.en, translation\.fr; name source",
    ),
    "no parquet": ({"train.parquet": b"PAR1no"}, {}, r"train\.parquet: can't be read"),
    "no arrow": ({"train.arrow": b"no arrow file"}, {}, r"train\.arrow: can't be read"),
    "no zip": ({"corpus.zip": b"no zip"}, {"path": "corpus.zip"}, r"corpus\.zip: can't be read: File is not a zip"),
    "no tar": (
        {"corpus.tar.gz": gzip.compress(b"x" * 600)},
        {"path": "corpus.tar.gz"},
        r"corpus\.tar\.gz: can't be read",
    ),
    "a tar that ends": (
        {"corpus.tar": in_tar(sides("{split}.{language}"))["corpus.tar"][:1500]},
        {"path": "corpus.tar"},
        r"corpus\.tar: can't be read: unexpected end of data",
    ),
    "a zst that ends": (
        {"train.en.zst": zst(b"a\n" * 999)[:-4], "train.fr": b"b\n"},
        {},
        r"train\.en\.zst: can't be read",
    ),
    "a line without end": (
        {"train.en": b"a" * (1 << 25), "train.fr": b"b\n"},
        {},
        r"train\.en: line 1 has more than 16 MiB",
    ),
    "UTF-16": ({"train.en": "a\n".encode("utf-16"), "train.fr": b"b\n"}, {}, r"train\.en: is UTF-16, not UTF-8"),
    "names that escape": (
        in_zip({"../train.en": b"a\n", "/train.fr": b"b\n"}),
        {"path": "corpus.zip"},
        r"holds nothing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_or_could_be_meant_otherwise_is_refused_with_its_place(case: str, tmp_path: Path) -> None:
    files, settings, message = REFUSED[case]
    config = configured(tmp_path, files, settings)
    with pytest.raises(UserError, match=message) as told:
        for split in SPLITS:
            read(config, split)
    assert str(tmp_path) in str(told.value)


@pytest.mark.parametrize(
    ("split", "names", "found"),
    [
        ("valid", ("train", "valid", "validation"), "valid"),
        ("valid", ("train", "validation", "test"), "validation"),
        ("valid", ("train", "test"), None),
        ("test", ("train", "dev"), None),
        ("books", ("books",), "books"),
        ("valid", ("dev", "validation"), "refused"),
    ],
)
def test_names_of_splits_that_are_known(split: str, names: tuple[str, ...], found: str | None) -> None:
    config = DataConfig(path="books")
    if found == "refused":
        with pytest.raises(UserError, match=r"dev or validation can be valid; name it by data\.valid"):
            find_name_of(split, names, config)
        assert find_name_of(split, names, DataConfig(path="books", test="dev")) == "validation", "dev is the test"
    else:
        assert find_name_of(split, names, config) == found


@pytest.mark.parametrize(
    ("code", "name", "same"),
    [
        ("en", "en_XX", True),
        ("en", "EN-us", True),
        ("en", "eng", True),
        ("eng_Latn", "en", True),
        ("de", "ger", True),
        ("pt_BR", "pt_PT", False),
        ("pt_BR", "pt", True),
        ("en", "es", False),
        ("no", "nob", False),
        ("xx", "xx", True),
    ],
)
def test_names_that_stand_for_a_language(code: str, name: str, same: bool) -> None:
    assert same_language(code, name) == same == same_language(name, code)

"""Files as people keep them: what can't be text is refused with line and cure, and headers are no pairs."""

import gzip
import io
import json
from pathlib import Path

import pyarrow.ipc
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.corpora.corpus import read_corpus
from trainables.data.reading.formats import FORMATS
from trainables.data.reading.formats.lines import is_blank
from trainables.data.reading.pairs import read_pairs

PAIRS = [("the man reads a book", "l'homme lit un livre"), ("we see the old house", "nous voyons la vieille maison")]


def write(folder: Path, suffix: str, *lines: str, end: str = "\n") -> Path:
    """The same lines as each split, the numbers of pairs apart."""
    for split in ("train", "valid", "test"):
        (folder / f"{split}.{suffix}").write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return folder


def table(line: str, *before: str) -> list[str]:
    return [*before, *(line.format(number=number, en=en, fr=fr) for number, (en, fr) in enumerate(PAIRS, 1000))]


def tmx() -> str:
    units = (
        f'<tu tuid="{number}">\n <tuv xml:lang="FR-fr"><seg>{fr}</seg></tuv>\n <tuv xml:lang="en-US"><seg>\n {en}</seg>'
        "</tuv>\n <tuv xml:lang='de'><seg>…</seg></tuv></tu>\n"
        for number, (en, fr) in enumerate(PAIRS)
    )
    head = '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header srclang="en"/><body>\n'
    return f"{head}{''.join(units)}</body></tmx>\n"


def columns() -> pyarrow.Table:
    return pyarrow.table({"id": [7, 8], "translation": [{"fr": fr, "en": en} for en, fr in PAIRS]})


def parquet() -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(columns(), file)
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    with pyarrow.ipc.new_stream(file, columns().schema) as stream:
        stream.write_table(columns())
    return file.getvalue()


def joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# How each format keeps PAIRS.
SAMPLES: dict[str, str | bytes] = {
    "tsv": joined(table("{en}\t{fr}")),
    "csv": joined(table('"{en}",{fr},{number}')),
    "jsonl": joined(table('{{"en": "{en}", "fr": "{fr}"}}')),
    "json": json.dumps([{"translation": {"en": en, "fr": fr}} for en, fr in PAIRS], indent=1),
    "tmx": tmx(),
    "parquet": parquet(),
    "arrow": arrow(),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_is_found_by_its_name_and_read_in_order(suffix: str, packed: bool, tmp_path: Path) -> None:
    assert suffix in SAMPLES, f"add to SAMPLES how {suffix} keeps PAIRS"
    sample = SAMPLES[suffix]
    content = sample if isinstance(sample, bytes) else sample.encode()
    for split in ("train", "valid", "test"):
        name = f"{split}.{suffix}.gz" if packed else f"{split}.{suffix}"
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    config = DataConfig(path=str(tmp_path))
    assert list(read_pairs(config, "valid")) == PAIRS and len(read_corpus(config).train) == len(PAIRS)


@pytest.mark.parametrize(
    "lines",
    [
        table("{en}\t{fr}"),
        table("{en}\t{fr}", "source\ttarget"),
        table("{fr}\t{number}\t{en}", "TRG\tid\tSRC"),
        table("{fr}\t{en}", "fr\ten"),
        table("{number}\t{fr}\t{en}", "id\tFr\tEn"),
    ],
)
def test_a_header_names_the_columns_and_is_no_pair(lines: list[str], tmp_path: Path) -> None:
    corpus = read_corpus(DataConfig(path=str(write(tmp_path, "tsv", *lines))))
    assert list(zip(corpus.train.source, corpus.train.target, strict=True)) == PAIRS


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        ([2, 4], table("{number}\t{en}\t{number}\t{fr}")),
        (["english", "french"], table("{fr}\t{en}", "french\tenglish")),
        ([2, "french"], table("{fr}\t{en}", "french\tenglish")),
    ],
)
def test_columns_are_taken_as_they_are_named(columns: list[str | int], lines: list[str], tmp_path: Path) -> None:
    data = DataConfig.model_validate({"path": str(write(tmp_path, "tsv", *lines)), "columns": columns})
    assert read_corpus(data).train.source == [en for en, _ in PAIRS]


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        (
            table("{number}\t{en}\t{number}\t{fr}"),
            None,
            r"train\.tsv: column 1 holds no text; its first line is 1000 \| the man reads a book \| 1000 \| .*columns",
        ),
        (table("{en}\thttps://example.org/{number}"), None, r"train\.tsv: column 2 holds no text; .*data\.columns"),
        (table("{en}\t{en}\t{fr}"), None, r"train\.tsv: columns 1 and 2 hold the same text; .*data\.columns"),
        (table("{en}\t{fr}"), [1, 3], r"train\.tsv: line 1 has 2 columns; column 3 is wanted"),
        (
            table("{en}\t{fr}", "a\tb"),
            ["a", "c"],
            r"data\.columns: .*: no column 'c' in its first line, which is a \| b",
        ),
    ],
)
def test_what_is_no_text_is_refused_and_the_key_is_named(
    lines: list[str], columns: list[str | int] | None, message: str, tmp_path: Path
) -> None:
    data = DataConfig.model_validate({"path": str(write(tmp_path, "tsv", *lines)), "columns": columns})
    with pytest.raises(UserError, match=message):
        read_corpus(data)


@pytest.mark.parametrize("columns", [[0, 1], [2, 2], ["a", "a"]])
def test_columns_that_can_not_be_meant_are_refused(columns: list[str | int]) -> None:
    with pytest.raises(ValidationError, match="columns:"):
        DataConfig.model_validate({"columns": columns})


@pytest.mark.parametrize(("numbers", "refused"), [(8, False), (9, False), (10, True)])
def test_a_column_may_hold_numbers_beside_text(numbers: int, refused: bool, tmp_path: Path) -> None:
    lines = [f"{number}\tno. {number}" for number in range(numbers)] + ["a word\tun mot"] * (10 - numbers)
    data = DataConfig(path=str(write(tmp_path, "tsv", *lines)))
    if refused:
        with pytest.raises(UserError, match="column 1 holds no text"):
            read_corpus(data)
    else:
        assert len(read_corpus(data).train) == 10


def test_half_a_character_is_told_with_its_line(tmp_path: Path) -> None:
    lines = [json.dumps({"en": en, "fr": fr}) for en, fr in [*PAIRS, ("cut \ud83d", "coupé")]]
    with pytest.raises(UserError, match=r"train\.jsonl: line 3 has half a character \(\\ud83d\), as a cut emoji"):
        read_corpus(DataConfig(path=str(write(tmp_path, "jsonl", *lines))))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_two_systems_are_read(end: str, tmp_path: Path) -> None:
    for side, language in enumerate(("en", "fr")):
        write(tmp_path, language, *(pair[side] for pair in PAIRS), end=end)
    assert read_corpus(DataConfig(path=str(tmp_path))).train.target == [fr for _, fr in PAIRS]


def test_line_ends_of_a_third_are_named(tmp_path: Path) -> None:
    for side, language in enumerate(("en", "fr")):
        write(tmp_path, language, *(pair[side] for pair in PAIRS * 2), end="\r")
    with pytest.raises(
        UserError, match=r"train\.en: its lines end with a carriage return alone, as on old Macs; .*tr "
    ):
        read_corpus(DataConfig(path=str(tmp_path)))


@pytest.mark.parametrize("text", ["", "  ", "\u00a0", "\u200b", " \u200d\ufeff ", "\u2060\u00ad"])
def test_what_shows_nothing_is_blank(text: str, tmp_path: Path) -> None:
    assert is_blank(text) and not is_blank(f"{text}x{text}")
    lines = [json.dumps({"en": en, "fr": fr}) for en, fr in PAIRS]
    write(tmp_path, "jsonl", *lines)
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, json.dumps({"en": text, "fr": "vide"})]) + "\n")
    corpus = read_corpus(DataConfig(path=str(tmp_path)))
    assert len(corpus.train) == 2 and "1 training pair with a blank side is left out, the first at line 3" in str(
        corpus.warnings
    )


def test_what_the_tokenizer_leaves_out_is_counted(tmp_path: Path) -> None:
    odd = [("the old man", "le vieil \u2585 homme"), ("été " * 1000, "long"), ("short", "court")]
    write(tmp_path, "tsv", *(f"{en}\t{fr}" for en, fr in [*PAIRS, *odd]))
    (warning,) = [text for text in read_corpus(DataConfig(path=str(tmp_path))).warnings if "tokenizer" in text]
    assert warning.startswith("the tokenizer learns nothing from 2 sentences of train, as sentencepiece leaves out")


@pytest.mark.parametrize(("copies", "told"), [(0, False), (3, True)])
def test_copied_pairs_are_counted(copies: int, told: bool, tmp_path: Path) -> None:
    lines = [f"{en} {number}\t{fr} {number}" for number in range(20) for en, fr in PAIRS]
    write(tmp_path, "tsv", *lines, *[f"a copied line {number}\ta copied line {number}" for number in range(copies)])
    warnings = read_corpus(DataConfig(path=str(tmp_path))).warnings
    assert ("3 of 43 pairs of train have the same text on both sides" in warnings) == told


def test_two_files_of_one_language_are_refused(tmp_path: Path) -> None:
    for language in ("en", "fr"):
        write(tmp_path, language, *(en for en, _ in PAIRS))
    with pytest.raises(UserError, match=r"2 of 2 pairs of train have the same text on both sides; are both"):
        read_corpus(DataConfig(path=str(tmp_path)))

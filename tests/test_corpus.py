"""Reading parallel text, and what is said of text that can't be read."""

import ast
import errno
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from corpora import write_digits
from pydantic import ValidationError

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.corpora.corpus import Corpus, read_corpus, read_test
from trainables.data.reading.text import Split

ROOT = Path(__file__).parents[1]
PAIRS = {
    "train": [("one", "un"), ("two two", "deux deux"), ("three", "trois")],
    "valid": [("four", "quatre"), ("été", "summer")],
    "test": [("five", "cinq")],
}


def words(**values: Any) -> DataConfig:
    """A corpus of sentences of one word, for which a tokenizer has to be named."""
    return DataConfig(bleu_tokenize="13a", **values)


def split(name: str, flipped: bool = False) -> Split:
    sides = [source for source, _ in PAIRS[name]], [target for _, target in PAIRS[name]]
    return Split(*reversed(sides)) if flipped else Split(*sides)


def write(file: Path, text: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)


def write_sides(folder: Path, pattern: str = "{split}.{language}") -> Path:
    for name, pairs in PAIRS.items():
        for index, language in enumerate(("en", "fr")):
            file = folder / pattern.format(split=name, language=language)
            write(file, "".join(f"{pair[index]}\n" for pair in pairs))
    return folder


def write_tables(folder: Path, pattern: str, line: str, header: str = "") -> Path:
    for name, pairs in PAIRS.items():
        lines = [line % {"en": source, "fr": target} for source, target in pairs]
        write(folder / pattern.format(split=name), "".join(f"{text}\n" for text in [*filter(None, [header]), *lines]))
    return folder


def reads_as_written(config: DataConfig, run_dir: Path) -> bool:
    flipped = config.source == "fr"
    (run_dir / "finalists.json").write_text("{}")
    return read_corpus(config) == Corpus(split("train", flipped), split("valid", flipped), []) and (
        read_test(config, run_dir, "a test") == split("test", flipped)
    )


@pytest.mark.parametrize("pattern", ["{split}.{language}", "{split}.{language}.gz", "{split}.en-fr.{language}"])
@pytest.mark.parametrize("languages", [("en", "fr"), ("fr", "en")])
def test_a_folder_of_two_files_a_split(pattern: str, languages: tuple[str, str], tmp_path: Path) -> None:
    folder = write_sides(tmp_path / "corpus", pattern)
    config = words(path=str(folder), source=languages[0], target=languages[1])
    assert reads_as_written(config, tmp_path)


@pytest.mark.parametrize("pattern", ["{language}/{split}-v2.txt", "{split}.{language}.gz"])
def test_a_pattern(pattern: str, tmp_path: Path) -> None:
    folder = write_sides(tmp_path / "corpus", pattern)
    assert reads_as_written(words(path=f"{folder}/{pattern}"), tmp_path)


@pytest.mark.parametrize(
    ("pattern", "line", "header"),
    [
        ("{split}.tsv", "%(en)s\t%(fr)s", ""),
        ("{split}.tsv.gz", "%(en)s\t%(fr)s\ta third column", ""),
        ("{split}.tsv", "17\t%(fr)s\t%(en)s", "id\tfr\ten"),
        ("{split}.jsonl", '{"fr": "%(fr)s", "en": "%(en)s", "id": 1}', ""),
        ("{split}.jsonl.gz", '{"translation": {"en": "%(en)s", "fr": "%(fr)s"}}', ""),
    ],
)
@pytest.mark.parametrize("named", ["folder", "pattern"])
def test_a_table_a_split(pattern: str, line: str, header: str, named: str, tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "corpus", pattern, line, header)
    path = str(folder) if named == "folder" else f"{folder}/{pattern}"
    assert reads_as_written(words(path=path), tmp_path)


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_newline_do_not_matter(tmp_path: Path) -> None:
    folder = write_sides(tmp_path)
    for file in folder.iterdir():
        write(file, b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    assert reads_as_written(words(path=str(folder)), tmp_path)


def test_splits_may_have_other_names(tmp_path: Path) -> None:
    folder = write_sides(tmp_path, "my_{split}.{language}")
    config = words(path=str(folder), train="my_train", valid="my_valid", test="my_test")
    assert reads_as_written(config, tmp_path)


def test_the_limit_keeps_the_first_training_pairs_and_all_of_the_others(tmp_path: Path) -> None:
    corpus = read_corpus(words(path=str(write_sides(tmp_path)), limit=2))
    assert corpus.train == Split(["one", "two two"], ["un", "deux deux"])
    assert corpus.valid == split("valid")


def test_the_fingerprint_is_of_the_training_text_alone(tmp_path: Path) -> None:
    def fingerprint(folder: Path, limit: int | None = None) -> str:
        return read_corpus(words(path=str(folder), limit=limit)).fingerprint()

    first, second = write_sides(tmp_path / "first"), write_sides(tmp_path / "second", "{split}.{language}.gz")
    original = fingerprint(first)
    assert fingerprint(second) == original
    write(first / "valid.en", "other\nother\n")
    write(first / "test.en", "other\n")
    assert fingerprint(first) == original
    changed = {original, fingerprint(first, limit=2)}
    write(first / "train.fr", "un\ndeux deux\nTROIS\n")
    changed.add(fingerprint(first))
    write(first / "train.fr", "un deux\ndeux\ntrois\n")  # the same words
    changed.add(fingerprint(first))
    assert len(changed) == 4


def test_blank_training_pairs_are_left_out_with_a_warning(tmp_path: Path) -> None:
    folder = write_sides(tmp_path)
    write(folder / "train.en", " one\t\n\nthree\nfour  \n")
    write(folder / "train.fr", "un\ndeux\n  \t\nquatre\n")
    write(folder / "valid.en", "four\nfour\nété\n")
    write(folder / "valid.fr", "quatre\n quatre \nsummer\n")
    corpus = read_corpus(words(path=str(folder)))
    assert corpus.train == Split(["one", "four"], ["un", "quatre"])
    (blank, leak) = corpus.warnings
    assert "2 training pairs with a blank side are left out, the first at line 2" in blank
    assert "four" in corpus.train.source and leak.startswith("2 of 3 source sentences of valid also stand in train")
    assert corpus.valid == Split(["four", "four", "été"], ["quatre", "quatre", "summer"]), "without space at the ends"
    first = read_corpus(words(path=str(folder), limit=3))
    assert first.train == Split(["one"], ["un"]) and "2 training pairs" in first.warnings[0], (
        "three lines are looked at"
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("train.tsv", "id\ten\tfr\n\tone\tun\n\n2\ttwo\t\n\tfour\tquatre\n"),
        (
            "train.jsonl",
            '{"en": "one", "fr": "un"}\n{"en": "", "fr": "x"}\n{"en": "", "fr": ""}\n{"en": "four\\n", "fr": "quatre"}',
        ),
    ],
)
def test_an_empty_cell_of_a_table_is_a_blank_side(file: str, text: str, tmp_path: Path) -> None:
    folder = write_sides(tmp_path)
    (folder / "train.en").unlink()
    write(folder / file, text)
    corpus = read_corpus(words(path=str(folder)))
    assert corpus.train == Split(["one", "four"], ["un", "quatre"])
    assert "2 training pairs with a blank side are left out, the first at line 2" in corpus.warnings[0]


@pytest.mark.parametrize(
    "pattern", ["a/{split}.{lang}", "a/{split}.{}", "a/{split}.{language", "a/{split}}", "{language}"]
)
def test_a_pattern_with_other_braces_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"pattern '.*' (needs|may have) {split}"):
        words(path=pattern)


def test_a_clean_corpus_gives_no_warning(tmp_path: Path) -> None:
    assert read_corpus(words(path=str(write_digits(tmp_path)))).warnings == []


# What is wrong: the files that are other than they should be, and what the message says.
MISTAKES: dict[str, tuple[dict[str, str | bytes | None], list[str]]] = {
    "unequal": (
        {"train.fr": "un\ndeux\n"},
        ["train.fr: its number of lines is 2", "train.en is 3", "line i must translate line i"],
    ),
    "far from equal": ({"train.fr": "un\n"}, ["train.fr: its number of lines is 1", "train.en is 3"]),
    "unequal valid": ({"valid.en": "a\n"}, ["valid.fr: its number of lines is 2", "valid.en is 1"]),
    "blank valid": ({"valid.fr": "quatre\n\n"}, ["valid", "blank line", "at line 2 (1 in all)", "remove these pairs"]),
    "all blank": ({"train.fr": "\n\n\n"}, ["every pair of train has a blank side"]),
    "not UTF-8": ({"train.fr": b"un\nd\xe9\n3\n"}, ["train.fr: line 2", "not UTF-8", "byte 2", "convert"]),
    "empty": ({"train.en": "", "train.fr": ""}, ["train.en is empty", "one sentence a line"]),
    "one side": ({"train.fr": None}, ["train.fr is missing beside train.en"]),
    "other side": ({"valid.en": None}, ["valid.en is missing beside valid.fr"]),
    "no training": ({"train.en": None, "train.fr": None}, ["no train.en with train.fr", "holds test.en", "data.train"]),
    "no test": ({"test.en": None, "test.fr": None}, ["no test.en with test.fr", "holds train.en", "data.test"]),
    "no gzip": (
        {"train.en": None, "train.fr": None, "train.en.gz": "a\n", "train.fr.gz": "b\n"},
        ["train.en.gz: can't"],
    ),
    "broken gzip": ({"train.en": None, "train.en.gz": gzip.compress(b"a\n")[:10] + b"no"}, ["train.en.gz: can't"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_files_is_told_with_its_place_and_remedy(mistake: str, tmp_path: Path) -> None:
    folder = write_sides(tmp_path)
    changes, expected = MISTAKES[mistake]
    for name, text in changes.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as told:
        read_corpus(words(path=str(folder)))
    assert str(folder) in str(told.value)
    for part in expected:
        assert part in str(told.value)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("train.tsv", "one\tun\ntwo deux\n", "train.tsv: line 2 has no tab; a line is source, tab, target"),
        ("train.tsv", "fr\ten\nun\tone\ndeux two\n", "train.tsv: line 3 has no tab"),
        ("train.jsonl", '{"en": "one", "fr": "un"}\n{"en": "two"}\n', 'train.jsonl: line 2 must be {"en": "…", "fr":'),
        ("train.jsonl", '{"en": "one", "fr": "un"}\n\n{"en": "two", "fr": "deux"}\n', "train.jsonl: line 2 must be"),
        ("train.jsonl", "[1]\n", "train.jsonl: line 1 must be"),
        ("train.jsonl", '{"en": "one", "fr": null}\n', "train.jsonl: line 1 must be"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_line(file: str, text: str, expected: str, tmp_path: Path) -> None:
    folder = write_sides(tmp_path)
    (folder / "train.en").unlink()
    write(folder / file, text)
    with pytest.raises(UserError) as told:
        read_corpus(words(path=str(folder)))
    assert f"{folder}/{expected}" in str(told.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"path": "/nowhere"}, "data.path: /nowhere does not exist; give a folder"),
        ({"path": __file__}, "test_corpus.py is a file, not a folder; give a folder"),
        ({"path": "/nowhere/{split}.{language}"}, "/nowhere/test.en: no such file; data.path is the pattern /nowhere/"),
        ({"target": "de"}, "the phrasebook holds en and fr, not en and de; set data.path"),
    ],
)
def test_a_mistaken_setting_is_told(settings: dict[str, str], expected: str) -> None:
    with pytest.raises(UserError) as told:
        read_corpus(DataConfig.model_validate(settings))
    assert expected in str(told.value)


@pytest.mark.parametrize("path", ["corpus", "corpus/{split}.{language}", "x" * 300])
def test_a_path_that_can_not_be_looked_at_is_told(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    if path.startswith("corpus"):  # root may enter every folder
        monkeypatch.setattr(Path, "is_dir", locked)
        monkeypatch.setattr(Path, "is_file", locked)
    with pytest.raises(UserError, match=r"data.path: .*(Permission denied|name too long); name a path that this user"):
        read_corpus(words(path=str(tmp_path / path)))


def test_the_test_split_stays_closed_until_the_finalists_are_frozen(tmp_path: Path) -> None:
    config, finalists = words(path=str(write_sides(tmp_path / "corpus"))), tmp_path / "finalists.json"
    test_file = tmp_path / "corpus" / "test.fr"
    test_file.write_bytes(b"not one line\n\xff\xfe\n\n")
    assert read_corpus(config).warnings == []
    with pytest.raises(RuntimeError, match="closed until"):
        read_test(config, tmp_path, "a test")
    finalists.write_text(json.dumps({"finalists": []}))
    with pytest.raises(UserError, match=r"test\.fr: line 2 is not UTF-8"):
        read_test(config, tmp_path, "a test")
    test_file.write_text("\n")
    with pytest.raises(UserError, match=r"test has a blank line .* at line 1"):
        read_test(config, tmp_path, "a test")


def test_each_opening_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "finalists.json").write_text(json.dumps({"frozen_at": "then"}))
    for why in ("scoring", "ranking"):
        read_test(DataConfig(), tmp_path, why)
    lines = [json.loads(line) for line in (tmp_path / "test_opened.jsonl").read_text().splitlines()]
    assert [(line["why"], line["frozen_at"], line["pid"]) for line in lines] == [
        ("scoring", "then", os.getpid()),
        ("ranking", "then", os.getpid()),
    ]
    assert all(set(line) == {"opened_at", "why", "frozen_at", "host", "pid", "seal"} for line in lines)


def test_processes_append_whole_lines_to_one_file(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from trainables.base.files import append_line\n"
        "for i in range(100): append_line(Path(sys.argv[1]), {'who': sys.argv[2], 'i': i, 'text': 'é' * 3000})\n"
    )
    file = tmp_path / "lines.jsonl"
    writing = [subprocess.Popen([sys.executable, "-c", script, str(file), str(n)]) for n in range(3)]
    assert [process.wait(timeout=60) for process in writing] == [0, 0, 0]
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted((line["who"], line["i"]) for line in lines) == [(str(n), i) for n in range(3) for i in range(100)]


def test_no_other_module_looks_for_the_test_split() -> None:
    """`read_test` is the one that opens it: who wanted to do so elsewhere would have to name `test` or `tests`."""
    files = [file for package in ("model", "trainables", "search") for file in (ROOT / package).rglob("*.py")]
    named: dict[str, set[str]] = {"test": set(), "tests": set()}
    for file in files:
        nodes = list(ast.walk(ast.parse(file.read_text())))
        called = [node.func for node in nodes if isinstance(node, ast.Call)]  # finals have a method of that name
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr in named and node not in called:
                named[node.attr].add(str(file.relative_to(ROOT)))
    # A plan has the seconds that testing takes.
    plans = {"search/planning/simulation.py", "search/planning/estimate.py"}
    assert named["test"] - plans == {"trainables/base/data_config.py"}
    by_read_test = {"trainables/data/corpora/corpus.py", "trainables/single_run.py"}
    by_read_test |= {"search/translation/finals.py", "search/command/finals.py"}
    digests = {"trainables/__main__.py", "search/planning/planned.py", "search/translation/text.py"}
    digests |= {"search/translation/preparation.py", "search/command/preparation.py"}
    numbers = {"trainables/data/checks/facts.py", "trainables/data/reading/importing.py"}  # or plain files
    scores = {"search/translation/final_metrics.py", "search/translation/later_tests.py", "search/command/scoring.py"}
    assert named["tests"] - {"trainables/base/data_config.py"} == by_read_test | digests | numbers | scores


def test_the_phrasebook_test_split_stays_closed_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="closed until"):
        read_test(DataConfig(), tmp_path, "a test")

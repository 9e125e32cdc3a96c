"""`babeltune import`: the same training text as plain files, byte for byte, and what of it could not stay."""

from pathlib import Path

import pytest
from test_layouts import (
    ALL,
    SPLITS,
    TAKEN,
    WITH_SPLITS,
    WITHOUT_SPLITS,
    configured,
    jsonl,
    lines,
    pairs,
    sides,
    write,
)

from search.run import main
from trainables.base.errors import UserError
from trainables.data.reading.importing import import_corpus
from trainables.data.reading.pairs import read_pairs


@pytest.mark.parametrize("layout", WITH_SPLITS)
def test_a_layout_is_written_as_plain_files_byte_for_byte(layout: str, tmp_path: Path) -> None:
    config = configured(tmp_path / "given", *WITH_SPLITS[layout])
    written = import_corpus(config, tmp_path / "plain")
    assert [(each.name, each.pairs) for each in written] == [(split, len(pairs(split))) for split in SPLITS]
    assert {file.name: file.read_bytes() for file in (tmp_path / "plain").iterdir()} == sides("{split}.{language}")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["given", "plain"], "no draft stays"


@pytest.mark.parametrize("layout", WITHOUT_SPLITS)
def test_a_corpus_without_splits_is_written_as_it_is_split(layout: str, tmp_path: Path) -> None:
    files, path = WITHOUT_SPLITS[layout]
    alone = configured(tmp_path / "given", files, {"path": path}) if "{" not in path else None
    if alone:
        assert [each.name for each in import_corpus(alone, tmp_path / "alone")] == ["train"]
        assert (tmp_path / "alone" / "train.fr").read_bytes() == lines([fr for _, fr in ALL])
    config = configured(tmp_path / "given", files, {"path": path, "split": TAKEN})
    import_corpus(config, tmp_path / "plain")
    for split in SPLITS:
        for side, language in enumerate(("en", "fr")):
            expected = lines([pair[side] for pair in read_pairs(config, split)])
            assert (tmp_path / "plain" / f"{split}.{language}").read_bytes() == expected


def test_what_lines_can_not_have_is_left_out_or_changed_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [("cut \ud83d", "coupé"), ("two\r\nlines", "deux\n  lignes"), ("nothing", "\u200b "), ("", "rien")]
    write(tmp_path, {"pairs.jsonl": jsonl([*ALL, *odd])})
    source, folder = str(tmp_path / "pairs.jsonl"), tmp_path / "plain"
    assert main(["import", source, str(folder), "--data.split.valid", "6"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "train: 35 pairs" and told[-3:] == [
        "valid: 6 pairs",
        "There is no test split; --data.split.test 1000 takes pairs out of train.",
        str(folder),
    ]
    assert sorted(told[1:-3]) == [
        "  1 left out, as half a character is in it; the first: line 41 of pairs.jsonl",
        "  1 with a line break in a sentence, which is a space now; the first: line 42 of pairs.jsonl",
        "  2 left out, as a side is blank; the first: line 43 of pairs.jsonl",
    ]
    assert b"deux lignes\n" in (folder / "train.fr").read_bytes()


def test_nothing_is_overwritten_and_nothing_is_left_half_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path / "given", sides("{split}.{language}") | {"test.fr": b"one line\n"}, {})
    with pytest.raises(UserError, match="its number of lines is 1"):
        import_corpus(config, tmp_path / "plain")
    assert [file.name for file in tmp_path.iterdir()] == ["given"]
    with pytest.raises(UserError, match="given is there already, and is not empty; name a folder"):
        import_corpus(config, tmp_path / "given")
    (tmp_path / "plain").mkdir()
    write(tmp_path / "given", {"test.fr": lines([fr for _, fr in pairs("test")])})
    assert len(import_corpus(config, tmp_path / "plain")) == 3, "an empty folder may be there"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "import: name a corpus and a folder, as in"),
        (["a"], "import: name a corpus and a folder, as in"),
        (["/nowhere", "b"], "data.path: /nowhere does not exist"),
        (["phrasebook", "b"], "import: phrasebook is embedded"),
        (["a", "b", "--data.path", "c"], "--data.path: the corpus is the first argument"),
    ],
)
def test_a_mistaken_call_is_told(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", *arguments]) == 2
    assert message in capsys.readouterr().err

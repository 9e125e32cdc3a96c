"""`python search/run.py translate`: as many lines out as in, and a message for what can't be translated."""

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import text_of, write_digits
from rich.console import Console
from safetensors.torch import load_file, save_file

from model.special_tokens import BOS, EOS, PAD
from search.commands.translate import Translating, main, translate_lines
from search.translation.attention_figures import attend
from search.translation.attention_page import write_attention_page
from search.translation.best import BestModel, read_best, write_best
from search.translation.finals_config import Decoding
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig
from trainables.data.reading.pairs import read_pairs
from trainables.training.evaluation import translate
from trainables.training.loop import train
from trainables.training.trained import load_model

COMMAND = [sys.executable, str(Path(__file__).parents[1] / "search" / "run.py"), "translate"]
SENTENCES = ["two one", "nine eight seven", "three three four five six", "one"]


def make_run(folder: Path, epochs: int, **model: Any) -> Path:
    """The directory of a run that has nothing but its best model."""
    run_dir = folder / "run"
    run_dir.mkdir()
    config = TranslationConfig.model_validate(
        {
            "data": {"path": str(write_digits(folder / "corpus", valid=2, test=2)), "max_tokens": 30},
            "tokenizer": {"vocab_size": 60},
            "model": {"encoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64, "max_length": 30, **model},
            "training": {"epochs": epochs, "batch_tokens": 128, "learning_rate": 0.005, "warmup_steps": 10},
        }
    )
    for _ in train(config, text_of(config, folder / "cache"), folder / "checkpoints"):
        pass
    trained, tokenizer = load_model(config, folder / "cache", folder / "checkpoints")
    write_best(run_dir, BestModel(config, trained, tokenizer, Decoding(5, 1.0)), ["un"])
    return run_dir


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("translating"), epochs=4)


@pytest.fixture(scope="module")
def best(run_dir: Path) -> BestModel:
    return read_best(run_dir)


def lines_of(best: BestModel, text: str | bytes, **options: Any) -> list[str]:
    out = io.BytesIO()
    source = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    translate_lines(best, source, out, Translating.model_validate({"run": "run", **options}))
    assert not out.getvalue() or out.getvalue().endswith(b"\n")
    return out.getvalue().decode().split("\n")[:-1]


def test_the_stored_model_is_the_trained_one(run_dir: Path, best: BestModel) -> None:
    ((_, trained),) = train(best.config, text_of(best.config, run_dir.parent / "cache"), run_dir.parent / "checkpoints")
    expected = translate(trained, best.tokenizer, SENTENCES, 3)
    assert lines_of(best, "\n".join(SENTENCES), beam_size=3) == expected
    assert len(set(expected)) == len(SENTENCES)


@pytest.mark.parametrize(
    "text", ["one\n\n two \n\t\r\nthree", "\ufeffone\r\n\r\ntwo\r\n \r\nthree\r\n", "one\n\u200b\ntwo\n\nthree\n"]
)
def test_a_line_for_a_line_and_blank_ones_stay_blank(text: str, best: BestModel) -> None:
    one, two, three = translate(best.model, best.tokenizer, ["one", "two", "three"], 5)
    assert lines_of(best, text) == [one, "", two, "", three]


def test_nothing_in_nothing_out(best: BestModel) -> None:
    assert lines_of(best, "") == [] and lines_of(best, "\n\n") == ["", ""]


def test_translations_do_not_depend_on_the_lines_read_at_a_time(
    best: BestModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join([*SENTENCES, "", *SENTENCES, "eleven " * 200])
    whole = lines_of(best, text, nbest=2)
    monkeypatch.setattr("search.commands.translate.AT_A_TIME", 3)
    assert lines_of(best, text, nbest=2) == whole


def test_n_best_lists_are_numbered_ranked_and_start_with_the_best(best: BestModel) -> None:
    lines = [line.split(" ||| ") for line in lines_of(best, "two one\n\nnine\n", nbest=3, beam_size=4)]
    assert [line[0] for line in lines] == ["0", "0", "0", "1", "1", "1", "2", "2", "2"]
    assert [line[1] for line in lines[::3]] == lines_of(best, "two one\n\nnine\n", beam_size=4)
    for ranked in (lines[:3], lines[6:]):
        scores = [float(line[2]) for line in ranked]
        assert scores == sorted(scores, reverse=True) and scores[0] < 0
    assert [line[1:] for line in lines[3:6]] == [["", "0.0000"]] * 3


def test_it_decodes_as_in_the_finals_unless_told_otherwise(best: BestModel) -> None:
    text = "\n".join(SENTENCES)
    assert best.decoding == Decoding(5, 1.0)
    greedy = replace(best, decoding=Decoding(1, 1.0))
    assert lines_of(greedy, text) == translate(best.model, best.tokenizer, SENTENCES, 1)
    assert lines_of(greedy, text, beam_size=5) == lines_of(best, text)
    assert lines_of(greedy, text, nbest=3) == lines_of(best, text, nbest=3, beam_size=3)
    short = replace(best, decoding=Decoding(5, 0.0))
    assert lines_of(short, text, nbest=5) == lines_of(best, text, nbest=5, length_penalty=0)
    assert lines_of(short, text, nbest=5) != lines_of(best, text, nbest=5)


def test_the_best_model_of_an_earlier_version_is_decoded_as_it_was(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir / "best", tmp_path / "best")
    (tmp_path / "best" / "digests.json").unlink()
    (tmp_path / "best" / "decoding.yaml").write_text("beam_size: 2\nlength_penalty: 0.6\n")
    assert read_best(tmp_path).decoding == Decoding(2, 0.6)
    for broken in ("beam: 3\n", "beam_size: five\nlength_penalty: 1\n"):
        (tmp_path / "best" / "decoding.yaml").write_text(broken)
        with pytest.raises(UserError, match=r"decoding\.yaml: must hold beam_size and length_penalty"):
            read_best(tmp_path)
    (tmp_path / "best" / "decoding.yaml").unlink()
    assert read_best(tmp_path).decoding == Decoding(5, 1.0)


def test_nothing_is_unpickled(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle may run any code")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", refuse)
    monkeypatch.setattr("torch.load", refuse)
    assert lines_of(read_best(run_dir), "two one")


def test_scores_are_log_probabilities_a_token(best: BestModel) -> None:
    options = Translating.model_validate({"run": "run", "nbest": 1, "attention": "x.html"})
    out = io.BytesIO()
    ((_, found),) = translate_lines(best, io.BytesIO(b"two one"), out, options)
    source = torch.tensor([best.tokenizer.encode_source(["two one"])[0].tolist()])
    ids = torch.tensor([[BOS, *found.ids, EOS]])
    with torch.no_grad():
        logits = best.model.output(best.model(source, ids[:, :-1]))
    logits[:, :, [PAD, BOS]] = float("-inf")  # never chosen, so that the others share all of the probability
    expected = logits.log_softmax(dim=-1)[0].gather(1, ids[0, 1:, None]).mean().item()
    assert float(out.getvalue().decode().split(" ||| ")[2]) == pytest.approx(expected, abs=1e-4)


def test_what_is_not_utf_8_is_named_by_its_line(best: BestModel) -> None:
    with pytest.raises(UserError, match=r"standard input: line 3 is not UTF-8 \(byte 2\); convert the text"):
        lines_of(best, b"one\ntwo\nx\xff\n")


def test_learned_positions_say_where_they_end(tmp_path: Path) -> None:
    best = read_best(make_run(tmp_path, epochs=1, positions="learned"))
    fits, long = "one " * 14, "one " * 15  # two tokens each, and EOS
    assert len(lines_of(best, fits)) == 1
    with pytest.raises(
        UserError, match=r"line 2 has 31 tokens, .*learned positions .* end at 30 \(model\.max_length\)"
    ):
        lines_of(best, f"{fits}\n{long}\n")


def test_the_attention_is_of_the_translation_found(run_dir: Path, best: BestModel, tmp_path: Path) -> None:
    options = Translating.model_validate({"run": "run", "attention": "x.html"})
    drawn = translate_lines(best, io.BytesIO(b"two one\n\nnine <b>\n"), io.BytesIO(), options)
    assert [source for source, _ in drawn] == ["two one", "nine <b>"]
    sentence = attend(best, *drawn[0])
    assert sentence.translation == lines_of(best, "two one")[0]
    written = best.tokenizer.target_pieces([*drawn[0][1].ids, EOS])
    assert sentence.cross.rows == sentence.decoder.rows == written
    assert sentence.decoder.columns == ["<s>", *written[:-1]]
    for kind in sentence.kinds:
        assert kind.percent.shape[1:] == (2, len(kind.rows), len(kind.columns))
        assert abs(kind.percent.sum(axis=3, dtype=int) - 100).max() <= len(kind.columns) / 2, "but for rounding"
    page = tmp_path / "attention.html"
    write_attention_page(page, best, drawn)
    html = page.read_text(encoding="utf-8")
    assert "nine &lt;b&gt;" in html and "nine <b>" not in html
    assert html.count('role="img"') == 6 and html.count("<select>") == 12
    assert "Cross-attention, layer 2, head 2; each token" in html.replace("\\u002f", "/")


TEXT = ["two one", "", "eleven " * 40, "nine eight seven", "one", "three"]


def to_corpus(run: Path, folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch, *more: str) -> str:
    text = "".join(f"{line}\n" for line in lines).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    console = Console(file=io.StringIO(), width=200)
    assert main([str(run), "--to_corpus", str(folder), "--beam_size", "2", *more], console) == 0
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def files_of(folder: Path) -> dict[str, str]:
    return {language: (folder / f"train.{language}").read_text(encoding="utf-8") for language in ("en", "fr")}


def test_a_corpus_is_made_of_text_and_its_translations(
    run_dir: Path, best: BestModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = to_corpus(run_dir, tmp_path / "made", TEXT, monkeypatch)
    made = files_of(tmp_path / "made")
    assert made["en"].split("\n")[:-1] == [line.strip() for line in TEXT]
    expected = lines_of(best, "\n".join([line if len(line) < 100 else "" for line in TEXT]), beam_size=2)
    assert made["fr"].split("\n")[:-1] == expected
    assert "6 lines in " in said and "2 are blank, or above data.max_tokens 30" in said
    corpus = read_pairs(DataConfig(path=str(tmp_path / "made"), source="fr", target="en"), "train")
    assert list(corpus) == [(text, line.strip()) for text, line in zip(expected, TEXT, strict=True)]


def test_a_tag_stands_before_each_translation(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to_corpus(run_dir, tmp_path / "plain", TEXT, monkeypatch)
    to_corpus(run_dir, tmp_path / "tagged", TEXT, monkeypatch, "--tag", "<BT>")
    plain, tagged = files_of(tmp_path / "plain"), files_of(tmp_path / "tagged")
    assert tagged["fr"] == "".join(f"<BT> {line}\n" if line else "\n" for line in plain["fr"].split("\n")[:-1])
    assert tagged["en"] == plain["en"]
    for tag, message in (("<BT>", "by another model, decoding or tag"), ("a b", "--tag: ")):
        with pytest.raises(UserError, match=message):
            to_corpus(run_dir, tmp_path / "plain", TEXT, monkeypatch, "--tag", tag)
    with pytest.raises(UserError, match=r"--tag: is for translations that become a corpus"):
        main([str(run_dir), "--tag", "<BT>"], Console())


@pytest.mark.parametrize("torn", ["", "two one\n", "two one\n\nele"])
def test_a_corpus_that_was_ended_anywhere_goes_on(
    torn: str, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.commands.translate.AT_A_TIME", 2)
    to_corpus(run_dir, tmp_path / "whole", TEXT, monkeypatch)
    whole = files_of(tmp_path / "whole")
    for place in range(0, len(whole["fr"]), 5):
        shutil.copytree(tmp_path / "whole", tmp_path / "ended", dirs_exist_ok=True)
        (tmp_path / "ended" / "train.fr").write_text(whole["fr"][:place], encoding="utf-8")
        if torn:
            (tmp_path / "ended" / "train.en").write_text(torn, encoding="utf-8")
        to_corpus(run_dir, tmp_path / "ended", TEXT, monkeypatch)
        assert files_of(tmp_path / "ended") == whole
    to_corpus(run_dir, tmp_path / "ended", [*TEXT, "two two"], monkeypatch)
    longer = files_of(tmp_path / "ended")
    assert longer["en"] == whole["en"] + "two two\n" and longer["fr"].startswith(whole["fr"])


def test_a_corpus_of_other_text_or_another_model_is_kept(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.commands.translate.AT_A_TIME", 2)
    folder = tmp_path / "made"
    to_corpus(run_dir, folder, TEXT, monkeypatch)
    before = files_of(folder)
    with pytest.raises(UserError, match=r"train\.en is of another text than standard input, .* lines 1 to 2; name"):
        to_corpus(run_dir, folder, ["one", *TEXT[1:]], monkeypatch)
    with pytest.raises(UserError, match=r"has more lines than standard input, 2; give all"):
        to_corpus(run_dir, folder, TEXT[:2], monkeypatch)
    assert files_of(folder) == before
    with pytest.raises(UserError, match="was made by another model, decoding or tag"):
        main([str(run_dir), "--to_corpus", str(folder), "--beam_size", "3"], Console(file=io.StringIO()))
    (folder / "made.json").unlink()
    with pytest.raises(UserError, match=r"has a train\.en that is not from here; name another folder"):
        to_corpus(run_dir, folder, TEXT, monkeypatch)


def test_a_corpus_is_made_alone(run_dir: Path) -> None:
    with pytest.raises(UserError, match=r"--to_corpus: a corpus is made without output; leave one of them out"):
        main([str(run_dir), "--to_corpus", "x", "--output", "y"], Console())


def test_as_it_is_typed(run_dir: Path, best: BestModel, tmp_path: Path) -> None:
    arguments = [str(run_dir), "--attention", "a.html", "--output", "out.txt"]
    done = subprocess.run(
        [*COMMAND, *arguments], input=b"two one\n\nnine", capture_output=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert (tmp_path / "out.txt").read_text().split("\n")[:-1] == lines_of(best, "two one\n\nnine")
    assert (tmp_path / "a.html").stat().st_size > 1_000_000, "plotly is inside"

    missing = subprocess.run([*COMMAND, str(tmp_path)], input=b"", capture_output=True, text=False, timeout=120)
    assert missing.returncode == 2
    assert missing.stderr.decode().startswith(f"{tmp_path}: holds no best/")


def test_a_reader_that_leaves_early_is_no_mistake(run_dir: Path) -> None:
    reader = subprocess.Popen(
        [*COMMAND, str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reader.stdin and reader.stdout and reader.stderr
    reader.stdout.close()
    reader.stdin.write(b"one\n" * 9)
    reader.stdin.close()
    assert reader.wait(timeout=120) == 0
    assert reader.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "translate: name the run, as in `babeltune translate runs/NAME`"),
        (["RUN", "--nbest", "9", "--beam_size", "5"], "--nbest: 9 of a beam of 5; raise beam_size to 9"),
        (["RUN", "--beam", "2"], "--beam: unknown option; did you mean --beam_size?"),
        (
            ["RUN", "--output", "no/where"],
            "--output: no/where can't be written: name a file in a folder with write access",
        ),
        (["RUN", "--attention", "/"], "--attention: / can't be written: name a file in a folder with write access"),
    ],
)
def test_a_mistake_is_said_before_a_line_is_read(
    arguments: list[str], message: str, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there are no runs to name
    with pytest.raises(UserError) as raised:
        main([str(run_dir) if argument == "RUN" else argument for argument in arguments], Console())
    assert str(raised.value) == message


@pytest.mark.parametrize("file", ["config.yaml", "model.safetensors", "tokenizer.model"])
@pytest.mark.parametrize("damage", ["gone", "torn", "other"])
def test_a_broken_best_is_named(file: str, damage: str, tmp_path: Path, run_dir: Path) -> None:
    folder = tmp_path / "best"
    folder.mkdir()
    for whole in (run_dir / "best").iterdir():
        (folder / whole.name).write_bytes(whole.read_bytes())
    broken = folder / file
    if damage == "gone":
        broken.unlink()
    elif damage == "torn":
        broken.write_bytes(broken.read_bytes()[:40])
    elif file == "model.safetensors":
        weights = load_file(broken)
        save_file({name: weights[name] for name in list(weights)[1:]}, broken)
    elif file == "config.yaml":
        broken.write_text(broken.read_text().replace("d_model: 32", "d_model: 16"))
    else:
        broken.write_text("words\n")
    with pytest.raises(UserError) as raised:
        read_best(tmp_path)
    assert str(folder) in str(raised.value) and "\n" not in str(raised.value)

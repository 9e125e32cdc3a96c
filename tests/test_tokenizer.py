"""sentencepiece models: what they do to text, and that each is trained once."""

import multiprocessing
import struct
import time
import unicodedata
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from corpora import write_digits

import trainables.data.encoding.tokenizer
from model.special_tokens import BOS, EOS, PAD, UNK
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.translation_config import TokenizerConfig
from trainables.data.corpora.corpus import Corpus, read_corpus
from trainables.data.encoding.tokenizer import (
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
    tokenizer_folder,
    train_tokenizer,
)
from trainables.data.reading.text import Split, Text

KINDS = [
    TokenizerConfig(kind="bpe", vocab_size=60),
    TokenizerConfig(kind="unigram", vocab_size=60),
    TokenizerConfig(kind="bpe", vocab_size=40, shared=False),
    TokenizerConfig(kind="unigram", vocab_size=40, shared=False),
]


def name(config: TokenizerConfig) -> str:
    return f"{config.kind}-{'shared' if config.shared else 'a side'}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return read_corpus(DataConfig(path=str(write_digits(tmp_path_factory.mktemp("digits")))))


def same(first: Tokenizer, second: Tokenizer, text: Split) -> bool:
    sides = (
        (first.encode_source(text.source), second.encode_source(text.source)),
        (first.encode_target(text.target), second.encode_target(text.target)),
    )
    return all(np.array_equal(a, b) for one, other in sides for a, b in zip(one, other, strict=True))


def models(cache: Path) -> dict[str, int]:
    """Each trained model under the cache, and when it was written."""
    return {str(path.relative_to(cache)): path.stat().st_mtime_ns for path in cache.rglob("*.model")}


@pytest.mark.parametrize("config", KINDS, ids=name)
def test_text_to_ids_and_back(config: TokenizerConfig, corpus: Corpus, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(config, corpus, tmp_path)
    assert tokenizer.source_vocab == tokenizer.target_vocab == config.vocab_size
    assert (tokenizer.source is tokenizer.target) == config.shared
    for side in (tokenizer.source, tokenizer.target):
        assert (side.pad_id(), side.unk_id(), side.bos_id(), side.eos_id()) == (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
        rank = float(side.get_score(30))  # bpe numbers its pieces, unigram gives them probabilities
        assert rank.is_integer() == (config.kind == "bpe")
    for ids in tokenizer.encode_source(corpus.valid.source):
        assert ids[-1] == EOS and ids[:-1].min() > EOS
    targets = tokenizer.encode_target(corpus.valid.target)
    for ids in targets:
        assert ids[0] == BOS and ids[-1] == EOS and ids[1:-1].min() > EOS and ids.dtype == np.int32
    assert tokenizer.decode_target([ids[1:-1].tolist() for ids in targets]) == corpus.valid.target
    assert tokenizer.decode_target([]) == [] and tokenizer.decode_target([[]]) == [""]


@pytest.mark.parametrize("config", KINDS, ids=name)
def test_it_is_trained_on_the_training_text_alone(config: TokenizerConfig, corpus: Corpus, tmp_path: Path) -> None:
    valid = Split(["ŷ"] * 99, ["ŵ"] * 99)
    tokenizer = train_tokenizer(config, Corpus(corpus.train, valid, []), tmp_path)
    assert UNK in tokenizer.encode_source(["ŷ"])[0] and UNK in tokenizer.encode_target(["ŵ"])[0]
    assert UNK not in tokenizer.encode_target(["é"])[0]
    assert (UNK in tokenizer.encode_source(["é"])[0]) != config.shared  # no é in English
    before = models(tmp_path)
    train_tokenizer(config, corpus, tmp_path)
    assert models(tmp_path) == before


def test_the_same_settings_and_text_are_trained_once_others_apart(corpus: Corpus, tmp_path: Path) -> None:
    config = TokenizerConfig(vocab_size=40)
    first = train_tokenizer(config, corpus, tmp_path)
    before = models(tmp_path)
    assert same(train_tokenizer(config, corpus, tmp_path), first, corpus.valid)
    assert models(tmp_path) == before
    for other in ({"vocab_size": 41}, {"kind": "unigram"}, {"shared": False}):
        train_tokenizer(TokenizerConfig.model_validate({"vocab_size": 40} | other), corpus, tmp_path)
    train = Text(corpus.train.source[1:], corpus.train.target[1:])
    train_tokenizer(config, Corpus(train, corpus.valid, []), tmp_path)
    trained = models(tmp_path)
    assert before.items() <= trained.items()
    assert len({Path(path).parent for path in trained}) == 5 and len(trained) == 6


def test_the_cache_tells_apart_all_that_decides_a_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, list[Any]] = {
        "kind": ["unigram"],
        "vocab_size": [41],
        "shared": [False],
        "normalization": ["nfc", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"],
        "character_coverage": [0.99],
        "sample_lines": [3],
        "byte_fallback": [True],
        "taken_from": ["best"],
    }
    assert settings.keys() == TokenizerConfig.model_fields.keys(), "a new setting: say which values to compare"
    text = Split(["a b", "c"], ["d", "e f"])
    config, corpus = TokenizerConfig(vocab_size=40), Corpus(text, text, [])
    configs = [config.model_copy(update={key: value}) for key, values in settings.items() for value in values]
    texts = [
        Split(["a b", "c"], ["d", "e g"]),
        Split(["a x", "c"], ["d", "e f"]),
        Split(text.target, text.source),
        Split(["c", "a b"], ["e f", "d"]),
        Split(["a b"], ["c", "d", "e f"]),
        Split(["a", "b", "c"], ["d", "e f"]),
    ]
    folder = tokenizer_folder(config, corpus, tmp_path)
    assert folder == tokenizer_folder(TokenizerConfig(vocab_size=40), Corpus(text, texts[0], ["a warning"]), tmp_path)
    folders = [folder, tokenizer_folder(config, corpus, tmp_path / "other")]
    folders += [tokenizer_folder(other, corpus, tmp_path) for other in configs]
    folders += [tokenizer_folder(config, Corpus(other, text, []), tmp_path) for other in texts]
    monkeypatch.setattr("sentencepiece.__version__", "0.0.1")  # whose pieces may be others
    folders.append(tokenizer_folder(config, corpus, tmp_path))
    assert len(set(folders)) == len(folders) == 2 + 12 + 6 + 1


def test_the_digest_tells_apart_pieces_and_scores_of_either_side(corpus: Corpus, tmp_path: Path) -> None:
    first, second = (train_tokenizer(TokenizerConfig(vocab_size=size), corpus, tmp_path).source for size in (40, 41))
    model = first.serialized_model_proto()
    place = model.index(struct.pack("<f", first.get_score(30)))
    rescored = sentencepiece.SentencePieceProcessor(
        model_proto=model[:place] + struct.pack("<f", -99.0) + model[place + 4 :]
    )
    assert [rescored.id_to_piece(i) for i in range(40)] == [first.id_to_piece(i) for i in range(40)]
    sides = [(first, first), (second, first), (first, second), (rescored, first), (first, rescored)]
    assert len({Tokenizer(*pair).digest() for pair in sides}) == len(sides)
    again = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert Tokenizer(again, again).digest() == Tokenizer(first, first).digest()


def train_at_the_same_time(barrier: Barrier, log: Path, corpus: Corpus, cache: Path) -> None:
    train = trainables.data.encoding.tokenizer._train

    def slow_train(config: TokenizerConfig, sentences: list[str]) -> bytes:
        with log.open("a") as file:
            file.write("trained\n")
        time.sleep(0.5)  # the others arrive meanwhile
        return train(config, sentences)

    trainables.data.encoding.tokenizer._train = slow_train
    barrier.wait()
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=40), corpus, cache)
    with log.open("a") as file:
        file.write(f"{tokenizer.encode_source(list(corpus.train.source[:3]))}\n")


def test_processes_that_ask_at_the_same_time_train_once(corpus: Corpus, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, log = context.Barrier(2), tmp_path / "log"
    arguments = (barrier, log, corpus, tmp_path / "cache")
    processes = [context.Process(target=train_at_the_same_time, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    text = log.read_text()
    assert text.count("trained") == 1
    first, second = text.removeprefix("trained\n").split("]\n", 1)
    assert f"{first}]\n" == second
    assert len(models(tmp_path)) == 1


@pytest.mark.parametrize("config", KINDS, ids=name)
def test_a_saved_tokenizer_is_loaded_equal(config: TokenizerConfig, corpus: Corpus, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(config, corpus, tmp_path)
    saved = tmp_path / "saved"
    saved.mkdir()
    save_tokenizer(tokenizer, saved)
    names = {"tokenizer.model"} if config.shared else {"source.model", "target.model"}
    assert {path.name for path in saved.iterdir()} == names
    loaded = load_tokenizer(saved)
    assert same(loaded, tokenizer, corpus.valid)
    assert (loaded.source is loaded.target) == config.shared


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize(("size", "reason"), [(5000, "Please set it to a value <= "), (8, "8 vs ")])
def test_an_impossible_vocabulary_is_told_and_leaves_no_model(
    kind: str, size: int, reason: str, corpus: Corpus, tmp_path: Path
) -> None:
    config = TokenizerConfig.model_validate({"kind": kind, "vocab_size": size})
    with pytest.raises(UserError) as told:
        train_tokenizer(config, corpus, tmp_path)
    assert str(told.value).startswith(f"tokenizer.vocab_size: {size} does not fit the training text of 600 sentences")
    assert reason in str(told.value)
    assert not models(tmp_path)


ODD = [
    "e\u0301té ½ ﬁn",
    "Tie\u0302\u0301ng Vi\u1ec7t, Vie\u0323\u0302t, Vi\u00ea\u0323t",
    "\ud55c\uad6d \u1112\u1161\u11ab",
]


@pytest.mark.parametrize("kind", ["identity", "nfc", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"])
def test_text_is_normalised_as_it_says(kind: str, tmp_path: Path) -> None:
    config = TokenizerConfig.model_validate({"vocab_size": 48, "normalization": kind})
    text = Split(ODD * 3, ODD * 3)
    tokenizer = train_tokenizer(config, Corpus(text, text, []), tmp_path)
    odd = ODD if kind in ("identity", "nfc") else ODD[:1]  # sentencepiece's own know no dot below before a circumflex
    wanted = odd
    if kind != "identity":
        wanted = [unicodedata.normalize("NFKC" if "nfkc" in kind else "NFC", sentence) for sentence in odd]
    wanted = [sentence.casefold() if kind.endswith("_cf") else sentence for sentence in wanted]
    assert tokenizer.decode_target([ids[1:-1].tolist() for ids in tokenizer.encode_target(odd)]) == wanted
    changed = [pair for pair in zip(odd, wanted, strict=True) if pair[0] != pair[1]]
    assert tokenizer.unwritable(odd) == changed


def test_characters_without_a_piece_are_told_and_can_be_bytes(tmp_path: Path) -> None:
    text = Split(["aaab bbba abab"] * 50 + ["a\u4e00b"], ["aaab bbba abab"] * 50 + ["b\u4e00a"])
    corpus = Corpus(text, text, [])
    some = TokenizerConfig(vocab_size=8, character_coverage=0.99)
    assert train_tokenizer(some, corpus, tmp_path).unwritable(["ab  abab ", "a\u4e00"]) == [("a\u4e00", "a \u2047 ")]
    fallback = TokenizerConfig(vocab_size=265, character_coverage=0.99, byte_fallback=True)
    assert train_tokenizer(fallback, corpus, tmp_path).unwritable(["ab", "a\u4e00", "\U0001f600"]) == []
    with pytest.raises(UserError, match=r"tokenizer\.character_coverage, perhaps with tokenizer\.byte_fallback"):
        train_tokenizer(TokenizerConfig(vocab_size=8), Corpus(Split(ODD, ODD), text, []), tmp_path)

"""Losses and scores against plain computations."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch
from corpora import write_digits

from model.decoding import beam_search, greedy_search
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.scoring import Scoring
from trainables.data.encoding.preparing import Prepared, prepare
from trainables.training.evaluation import corpus_bleu, reference_loss, score, translate
from trainables.training.learner import build_model

HYPOTHESES = ["Ein Mann geht.", "the cat sat on the mat , alone", "", "completely other words", "Ja.", "Oh."]
REFERENCES = ["Ein Mann geht.", "the cat sat on a mat, alone", "not empty", "nothing in common", "Ja.", "Oh."]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transformer, Prepared]:
    folder = tmp_path_factory.mktemp("digits")
    config = TranslationConfig.model_validate(
        {
            "data": {"path": str(write_digits(folder, train=200, valid=150))},
            "tokenizer": {"vocab_size": 40},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "num_heads": 2, "ffn_dim": 16},
        }
    )
    prepared = prepare(config.data, config.tokenizer, folder)
    return build_model(config, prepared, torch.device("cpu")).eval(), prepared


@torch.no_grad()
def test_the_loss_is_the_likelihood_of_each_reference(trial: tuple[Transformer, Prepared]) -> None:
    model, prepared = trial
    tokenizer, text = prepared.tokenizer, prepared.valid_text
    expected, tokens = 0.0, 0
    for source, target in zip(tokenizer.encode_source(text.source), tokenizer.encode_target(text.target), strict=True):
        ids = torch.from_numpy(target).long()
        hidden = model(torch.from_numpy(source).long()[None], ids[None, :-1])[0]
        log_p = model.output(hidden).double().log_softmax(dim=-1)
        for log_likelihood, token in zip(log_p, ids[1:].tolist(), strict=True):
            expected -= float(log_likelihood[token])
            tokens += 1
    assert reference_loss(model, prepared.valid) == pytest.approx(expected, rel=1e-5)
    assert prepared.valid.target_tokens == tokens


def test_the_loss_of_who_knows_the_frequencies_of_pieces_alone(trial: tuple[Transformer, Prepared]) -> None:
    _, prepared = trial
    text, seen = prepared.valid_text, Counter[int]()
    train = prepared.train.part(0).target
    for ids in train.padded(np.arange(len(train))):
        seen.update(ids[(ids != BOS) & (ids != PAD)].tolist())  # BOS is not predicted
    total = seen.total() + prepared.tokenizer.target_vocab  # each piece seen once more: none has probability zero
    asked = [piece for ids in prepared.tokenizer.encode_target(text.target) for piece in ids[1:].tolist()]
    expected = -sum(math.log((seen[piece] + 1) / total) for piece in asked) / len("".join(text.target))
    assert prepared.untrained_nll_per_char == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("beam_size", "penalty"), [(1, 1.0), (6, 0.0), (6, 2.0)])
def test_translations_come_in_the_order_of_the_sentences(
    beam_size: int, penalty: float, trial: tuple[Transformer, Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prepared = trial
    sentences = prepared.valid_text.source[:20]
    monkeypatch.setattr("trainables.training.evaluation.EVALUATION_TOKENS", 60)  # several batches
    expected = []
    for ids in prepared.tokenizer.encode_source(sentences):
        source = torch.from_numpy(ids).long()[None]
        found = greedy_search(model, source) if beam_size == 1 else beam_search(model, source, beam_size, penalty)
        assert EOS not in found[0]
        expected += prepared.tokenizer.decode_target(found)

    def search(model: Transformer, batch: torch.Tensor, *beam: Any) -> list[list[int]]:
        assert len(batch) == 1 or batch.numel() * beam_size <= 60, "a beam counts as so many rows"
        batches.append(batch)
        return beam_search(model, batch, *beam) if beam else greedy_search(model, batch)

    batches: list[torch.Tensor] = []
    for name in ("greedy_search", "beam_search"):
        monkeypatch.setattr(f"trainables.training.evaluation.{name}", search)
    assert translate(model, prepared.tokenizer, sentences, beam_size, penalty) == expected
    assert len(set(expected)) > 1 and len(batches) > 1
    assert translate(model, prepared.tokenizer, [], beam_size) == []


def test_where_memory_is_short_it_decodes_in_smaller_batches(
    trial: tuple[Transformer, Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prepared = trial
    sentences, tried = prepared.valid_text.source[:20], list[int]()

    def search(model: Transformer, batch: torch.Tensor) -> list[list[int]]:
        tried.append(batch.numel())
        if batch.numel() > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return greedy_search(model, batch)

    expected = translate(model, prepared.tokenizer, sentences)
    monkeypatch.setattr("trainables.training.evaluation.greedy_search", search)
    monkeypatch.setattr("trainables.training.evaluation.SMALLEST_BATCH", 30)
    room = 60
    assert translate(model, prepared.tokenizer, sentences) == expected
    assert max(tried) > room
    room = 0
    with pytest.raises(torch.OutOfMemoryError):
        translate(model, prepared.tokenizer, sentences)


def test_scores_are_those_of_sacrebleu() -> None:
    scores = score(HYPOTHESES, REFERENCES, Scoring("13a"))
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert 0 < expected < 100
    assert scores.bleu == corpus_bleu(HYPOTHESES, REFERENCES, Scoring("13a")) == pytest.approx(expected, abs=1e-9)
    chrf = sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=2)
    assert scores.chrf == pytest.approx(chrf.score, abs=1e-9)
    assert scores.ter == pytest.approx(sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score, abs=1e-9)
    each = [sacrebleu.sentence_bleu(h, [r]).score for h, r in zip(HYPOTHESES, REFERENCES, strict=True)]
    assert scores.sentence_bleu == pytest.approx(sum(each) / len(each), abs=1e-9)
    assert abs(scores.sentence_bleu - scores.bleu) > 1


def test_signatures_say_what_was_computed() -> None:
    signatures = Scoring("13a").signatures()
    assert signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:")
    assert signatures["ter"].startswith("nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:")

"""Greedy and beam search against their rules, written plainly and without caches."""

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.testing import assert_close

from model import packing
from model.config import ModelConfig
from model.decoding import beam_hypotheses, beam_search, greedy_search, top_candidates
from model.packing import AVAILABLE, packed
from model.special_tokens import BOS, EOS, PAD, UNK
from model.transformer import Transformer

VOCAB = 14
POSITIONS = get_args(ModelConfig.model_fields["positions"].annotation)
SOURCES = [
    [EOS],  # an empty sentence
    [9, EOS],
    [5, 12, EOS],
    [7, 7, 4, EOS],
    [13, 6, 10, 8, EOS],
    [5, 12, EOS],  # as before
    [4, 11, 9, 13, 5, 6, 12, EOS],
    [10, 8, 8, 13, 7, 4, 11, 5, 9, 6, EOS],
]
SEARCHES: dict[str, Callable[[Transformer, Tensor], list[list[int]]]] = {
    "greedy": greedy_search,
    "beam": lambda model, source: beam_search(model, source, beam_size=4),
}


def babbler(
    seed: int = 0, norm: str = "pre", positions: str = "sinusoidal", max_length: int = 512, **logits: float
) -> Transformer:
    """A random model of strong opinions, in doubles so that no near tie can fall either way."""
    torch.manual_seed(seed)
    shape = {"d_model": 16, "num_heads": 4, "ffn_dim": 32, "norm": norm, "tied_embeddings": "none"}
    shape |= {"positions": positions, "max_distance": 3, "max_length": max_length}
    model = Transformer(ModelConfig.model_validate(shape), VOCAB, VOCAB)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5 if parameter is model.output.weight else 0.25)
    bias = torch.zeros(VOCAB)
    for token, logit in logits.items():
        bias[{"pad": PAD, "bos": BOS, "eos": EOS}[token]] = logit
    model.output.bias = nn.Parameter(bias)
    return model.double().eval()


def padded(rows: list[list[int]]) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)


def plain_beam_search(
    model: Transformer, source: list[int], width: int, penalty: float
) -> list[tuple[float, list[int]]]:
    """What it finds, the best first: one sentence, lists of (log p, ids), the whole model at every step."""
    limit = 2 * len(source) + 10
    live: list[tuple[float, list[int]]] = [(0.0, [BOS])]
    ended: list[tuple[float, list[int]]] = []
    for n in range(1, limit + 1):
        candidates: list[tuple[float, list[int]]] = []
        with torch.no_grad():
            hidden = model(torch.tensor([source] * len(live)), torch.tensor([ids for _, ids in live]))
            logits = model.output(hidden)[:, -1]
        logits[:, [PAD, BOS]] = float("-inf")
        for (score, ids), log_p in zip(live, logits.log_softmax(dim=-1).tolist(), strict=True):
            if n == limit:  # it must end, at no cost
                candidates.append((score, [*ids, EOS]))
            else:
                candidates += [(score + log_p[t], [*ids, t]) for t in range(VOCAB) if t not in (PAD, BOS)]
        candidates.sort(key=lambda candidate: -candidate[0])
        ended += [(score / n**penalty, ids) for score, ids in candidates[:width] if ids[-1] == EOS]
        live = [(score, ids) for score, ids in candidates[: 2 * width] if ids[-1] != EOS][:width]
        if len(ended) >= width or not live:
            break
    return [(score, ids[1:-1]) for score, ids in sorted(ended, reverse=True)[:width]]


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_cached_steps_give_the_logits_of_the_whole_prefix(norm: str, positions: str) -> None:
    model, source, width = babbler(norm=norm, positions=positions), padded(SOURCES), 3
    state = model.start_decoding(source)
    target = torch.full((len(source) * width, 1), BOS)
    for step in range(8):
        logits = model.decode_step(target[:, -1], state)
        hidden = model(source.repeat_interleave(width, dim=0), target)
        assert_close(logits, model.output(hidden[:, -1]))
        if step == 4:  # some sources leave, the hypotheses of the others change places
            sources = torch.tensor([4, 1, 7])
            rows = (sources.unsqueeze(1) * width + torch.tensor([2, 0, 0])).flatten()
            source, target = source[sources], target[rows]
            state.select_sources(sources)
            state.select_rows(rows)
        target = torch.cat((target, torch.randint(4, VOCAB, (len(target), 1))), dim=1)


@pytest.mark.parametrize(
    ("width", "penalty", "positions"),
    [
        *((width, penalty, "sinusoidal") for width, penalty in ((1, 1.0), (2, 1.0), (4, 0.0), (5, 0.6), (VOCAB, 1.0))),
        *((4, 1.0, positions) for positions in ("sinusoidal", "rotary", "relative")),
    ],
    ids=str,
)
def test_beam_search_is_its_plain_self(width: int, penalty: float, positions: str) -> None:
    lengths: set[int] = set()
    for seed, norm, eos in ((0, "pre", 2.0), (2, "pre", 1.0), (3, "pre", 0.0), (2, "post", 1.0), (4, "post", 3.0)):
        model = babbler(seed, norm, positions, eos=eos)
        expected = [plain_beam_search(model, source, width, penalty) for source in SOURCES]
        assert beam_search(model, padded(SOURCES), width, penalty) == [found[0][1] for found in expected]
        for ours, plain in zip(beam_hypotheses(model, padded(SOURCES), width, penalty), expected, strict=True):
            assert [ids for ids, _ in ours] == [ids for _, ids in plain]
            assert [score for _, score in ours] == pytest.approx([score for score, _ in plain], abs=1e-4)
        lengths.update(len(found[0][1]) for found in expected)
    assert len(lengths) > 5, "these models say too little to tell the searches apart"


@pytest.mark.parametrize("vocab", [9, 511, 512, 513, 700, 8000])
def test_the_candidates_of_a_beam_are_the_best_of_all(vocab: int) -> None:
    torch.manual_seed(vocab)
    scores, log_p = torch.randn(3, 4), torch.randn(3, 4, vocab) * 3
    scores[1, 2], log_p[0, 1], log_p[2, :, 5:] = -math.inf, -math.inf, -math.inf
    sums = (scores.unsqueeze(2) + log_p).flatten(1)
    candidates, places = top_candidates(scores, log_p, 8)
    torch.testing.assert_close(candidates, sums.topk(8).values, rtol=0, atol=0)
    torch.testing.assert_close(sums.gather(1, places), candidates, rtol=0, atol=0)


@torch.no_grad()
def test_a_vocabulary_that_is_too_small_gives_fewer_hypotheses_than_the_beam_is_wide() -> None:
    """All that a model of one word can say within the limit of 12 tokens: the word 0 to 11 times."""
    torch.manual_seed(0)
    model = Transformer(ModelConfig(d_model=16, num_heads=4, ffn_dim=32), 4, 4).double().eval()
    words = torch.tensor([[BOS] + [UNK] * 11])
    log_p = model.output(model(torch.tensor([[EOS]]), words))[0, :, [UNK, EOS]].log_softmax(dim=-1)
    scores = [float(log_p[:n, 0].sum() + (log_p[n, 1] if n < 11 else 0)) / (n + 1) for n in range(12)]  # ends at 12
    (found,) = beam_hypotheses(model, torch.tensor([[EOS]]), 20)
    assert [score for _, score in found] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
    assert sorted(len(ids) for ids, _ in found) == list(range(12)) and {i for ids, _ in found for i in ids} == {UNK}


@torch.inference_mode()
def test_packed_products_are_those_of_the_layers_which_stay_as_they_were() -> None:
    model, ids = babbler(0).float(), padded(SOURCES)
    forward = model.output.forward
    hidden = model(ids, ids)
    expected = model.output(hidden)
    with packed(model):
        assert AVAILABLE and model.output.forward != forward
        for rows in (len(hidden), 1, 0):
            assert_close(model.output(model(ids, ids)[:rows]), expected[:rows], rtol=1e-4, atol=1e-4)
    assert model.output.forward == forward and torch.equal(model.output(model(ids, ids)), expected)


@pytest.mark.parametrize("place", [{"dtype": torch.float64}, {"device": "meta"}, {"absent": True}])
def test_what_cannot_be_packed_stays_as_it_is(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if place.pop("absent", False):
        monkeypatch.setattr(packing, "AVAILABLE", False)
    model = babbler(0).float().to(**place)
    forward = model.output.forward
    with packed(model):
        assert model.output.forward == forward


def test_a_beam_of_one_is_greedy_search() -> None:
    for seed in range(10):
        model = babbler(seed)
        assert beam_search(model, padded(SOURCES), 1) == greedy_search(model, padded(SOURCES))


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_translation_does_not_depend_on_its_batch(search: Callable[[Transformer, Tensor], list[list[int]]]) -> None:
    for seed in range(4):
        model = babbler(seed, eos=0.5)
        alone = [search(model, torch.tensor([source]))[0] for source in SOURCES]
        assert search(model, padded(SOURCES)) == alone
        assert search(model, padded(SOURCES[::-1])) == alone[::-1]


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_model_that_never_ends_is_ended_at_each_sources_own_limit(
    search: Callable[[Transformer, Tensor], list[list[int]]], positions: str
) -> None:
    model = babbler(positions=positions, max_length=15, eos=-1e3, pad=1e3, bos=1e3)
    limits = [2 * len(source) + 10 for source in SOURCES]  # with EOS
    assert min(limits) < 15 < max(limits)
    if positions == "learned":
        limits = [min(limit, 15) for limit in limits]
    translations = search(model, padded(SOURCES))
    assert [len(ids) + 1 for ids in translations] == limits
    assert not {PAD, BOS, EOS} & {token for ids in translations for token in ids}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_model_that_only_ends_says_nothing(search: Callable[[Transformer, Tensor], list[list[int]]]) -> None:
    assert search(babbler(eos=1e3), padded(SOURCES)) == [[] for _ in SOURCES]

"""Greedy and beam search over a batch of sources, with cached keys and values."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer

GROUP = 64  # tokens whose highest score is looked at first


class Hypothesis(NamedTuple):
    """A finished translation of beam search."""

    ids: list[int]  # without BOS and EOS
    score: float  # log p / tokens^length_penalty, EOS counted; p among tokens that may be chosen


def length_limits(model: Transformer, source: Tensor) -> Tensor:
    """The most tokens a translation may have, EOS included: (B,), from each source's own length.

    Twice the source plus ten: more than translations need, so that only a model that never stops reaches it. It does
    not depend on the rest of the batch. Learned positions may have a lower limit.
    """
    limits = 2 * (source != PAD).sum(dim=1) + 10
    return limits if model.config.longest is None else limits.clamp(max=model.config.longest)


def _allow(logits: Tensor, must_end: Tensor, only_then: bool) -> Tensor:
    """Logits in which PAD and BOS can't be chosen, and only EOS in the rows that must end.

    only_then: whether EOS can't be chosen in the others.
    """
    logits[:, [PAD, BOS, EOS] if only_then else [PAD, BOS]] = float("-inf")
    if must_end.any():
        ending = torch.full_like(logits[0], float("-inf"))
        ending[EOS] = 0.0
        logits[must_end] = ending
    return logits


@torch.inference_mode()
def greedy_search(model: Transformer, source: Tensor, lengths: Tensor | None = None) -> list[list[int]]:
    """The likeliest token at each step. source: (B, S) ids -> B lists of ids without BOS and EOS.

    lengths: (B,) the number of tokens that each translation must have, EOS included, for measurements of speed. Rows
    that have ended are removed from the batch.
    """
    limits = length_limits(model, source) if lengths is None else lengths
    state = model.start_decoding(source)
    active = torch.arange(len(source), device=source.device)  # which source each row translates
    tokens = torch.full_like(active, BOS)
    chosen: list[tuple[Tensor, Tensor]] = []  # per step: sources, their tokens
    while len(active):
        logits = model.decode_step(tokens, state)
        allowed = _allow(logits, limits[active] <= state.length, lengths is not None)
        tokens = best_tokens(allowed)
        going = (tokens != EOS).nonzero().squeeze(1)
        if len(going) < len(tokens):
            active, tokens = active[going], tokens[going]
            state.select_sources(going)
            state.select_rows(going)
        chosen.append((active, tokens))
    translations: list[list[int]] = [[] for _ in range(len(source))]
    for sources, step_tokens in chosen:
        for index, token in zip(sources.tolist(), step_tokens.tolist(), strict=True):
            translations[index].append(token)
    return translations


def best_tokens(logits: Tensor) -> Tensor:
    """The token with the highest of its logits (B, V): (B,). The same as `argmax`, which is slow on a CPU."""
    if logits.device.type != "cpu":
        return logits.argmax(dim=-1)
    return top_candidates(logits.new_zeros(len(logits), 1), logits.unsqueeze(1), 1)[1].squeeze(1)


def beam_search(model: Transformer, source: Tensor, beam_size: int, length_penalty: float = 1.0) -> list[list[int]]:
    """The best finished hypothesis of each source. source: (B, S) ids -> B lists of ids without BOS and EOS."""
    return [found[0].ids for found in beam_hypotheses(model, source, beam_size, length_penalty)]


def top_candidates(scores: Tensor, log_p: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best ways to continue the hypotheses of each source, the best first.

    scores: (B, K) of the hypotheses; log_p: (B, K, V) of their next tokens -> the sums of both and their places in
    K·V, (B, count) each. The same as `topk` of all sums, which takes four times as long on a CPU: the best lie in the
    `count` groups of tokens with the highest maxima.
    """
    vocab = log_p.shape[2]
    if vocab < GROUP * count:
        candidates, places = (scores.unsqueeze(2) + log_p).flatten(1).topk(count)
        return candidates, places
    whole = vocab // GROUP * GROUP
    highest = log_p[..., :whole].view(*log_p.shape[:2], -1, GROUP).amax(dim=3)
    if whole < vocab:
        highest = torch.cat((highest, log_p[..., whole:].amax(dim=2, keepdim=True)), dim=2)
    groups = (scores.unsqueeze(2) + highest).flatten(1).topk(count).indices
    origin, first = groups // highest.shape[2], groups % highest.shape[2] * GROUP
    tokens = first.unsqueeze(2) + torch.arange(GROUP, device=log_p.device)  # (B, count, GROUP)
    places = (origin.unsqueeze(2) * vocab + tokens.clamp(max=vocab - 1)).flatten(1)
    sums = scores.gather(1, origin).unsqueeze(2) + log_p.flatten(1).gather(1, places).view_as(tokens)
    candidates, chosen = sums.masked_fill(tokens >= vocab, float("-inf")).flatten(1).topk(count)
    return candidates, places.gather(1, chosen)


@torch.inference_mode()
def beam_hypotheses(
    model: Transformer,
    source: Tensor,
    beam_size: int,
    length_penalty: float = 1.0,
    lengths: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The finished hypotheses of each source, the best first. source: (B, S) ids -> B lists of at most beam_size.

    A hypothesis of n tokens (EOS included) scores log p / n^length_penalty (Wu et al. 2016 discuss the
    choice). A source is done when beam_size hypotheses have ended; with beam_size 1 that is greedy search.
    A hypothesis at its length limit ends there, at no cost. Only tiny vocabularies give fewer than beam_size.
    lengths: as in `greedy_search`.
    """
    device, width = source.device, beam_size
    limits = length_limits(model, source) if lengths is None else lengths
    steps = int(limits.max())
    found: list[list[Hypothesis]] = [[] for _ in range(len(source))]
    active = torch.arange(len(source), device=device)  # (B,) sources not yet done
    state = model.start_decoding(source)
    # Before the first token there is one hypothesis, unless it can't become `width` as the vocabulary is too small.
    live = 1 if model.output.out_features >= 2 * width else width
    tokens = torch.full((len(source) * live,), BOS, device=device)
    history = torch.full((len(source), live, steps), PAD, device=device)  # live hypotheses
    scores = torch.full((len(source), live), float("-inf"), device=device)
    scores[:, 0] = 0.0
    ended = torch.full((len(source), width, steps), PAD, device=device)
    ended_scores = torch.full((len(source), width), float("-inf"), device=device)

    while len(active):
        logits = model.decode_step(tokens, state)
        live = scores.shape[1]
        must_end = (limits[active] <= state.length).repeat_interleave(live)
        logits = _allow(logits, must_end, lengths is not None)
        log_p = torch.log_softmax(logits.float(), dim=-1).view(len(active), live, -1)
        vocab = log_p.shape[-1]
        # Each hypothesis ends in at most one way, so 2·width candidates always contain width that continue.
        candidate, index = top_candidates(scores, log_p, 2 * width)
        origin, token = index // vocab, index % vocab  # (B, 2·width)
        grown = history.gather(1, origin.unsqueeze(-1).expand(-1, -1, steps))
        grown[:, :, state.length - 1] = token

        # An EOS counts as an end only where it ranks among the first `width` candidates.
        ends = (token == EOS) & (torch.arange(2 * width, device=device) < width)
        normalised = (candidate / state.length**length_penalty).masked_fill(~ends, float("-inf"))
        ended_scores, keep = torch.cat((ended_scores, normalised), dim=1).topk(width, dim=-1)
        ended = torch.cat((ended, grown), dim=1).gather(1, keep.unsqueeze(-1).expand(-1, -1, steps))

        scores, keep = candidate.masked_fill(token == EOS, float("-inf")).topk(width, dim=-1)
        history = grown.gather(1, keep.unsqueeze(-1).expand(-1, -1, steps))
        tokens = token.gather(1, keep)  # (B, width)
        first_row = torch.arange(len(active), device=device).unsqueeze(1) * live
        rows = first_row + origin.gather(1, keep)  # (B, width) rows of the caches

        done = ended_scores.isfinite().all(dim=1) | ~scores.isfinite().any(dim=1)
        if done.any():
            for index, rows_ids, rows_scores in zip(
                active[done].tolist(), ended[done].tolist(), ended_scores[done].tolist(), strict=True
            ):
                pairs = zip(rows_ids, rows_scores, strict=True)
                found[index] = [Hypothesis(ids[: ids.index(EOS)], score) for ids, score in pairs if score > -math.inf]
            going = (~done).nonzero().squeeze(1)
            active, tokens, rows = active[going], tokens[going], rows[going]
            history, scores = history[going], scores[going]
            ended, ended_scores = ended[going], ended_scores[going]
            state.select_sources(going)
        tokens = tokens.flatten()
        state.select_rows(rows.flatten())
    return found

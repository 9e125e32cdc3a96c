"""Translations and losses of a pretrained network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.special_tokens import PAD
from trainables.data.encoding.batching import evaluation_batches, group_by_length
from trainables.data.encoding.sequences import EncodedSplit, Sequences
from trainables.pretrained.codec import Codec, to_model
from trainables.pretrained.quiet import quiet

TOKENS, GPU_TOKENS = 4096, 32_768  # of the sources of a batch times hypotheses


def padding_of(network: Any) -> int:
    """The model's id of padding; any id where it has none, as padding is never attended to or predicted."""
    found = network.config.pad_token_id
    return 0 if found is None else int(found)


def logits_of(network: Any, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of all tokens that are predicted, (N, V) in single precision, and these tokens, (N,), the model's ids.

    source: (B, S), target: (B, T) with its start, stored ids on the network's device.
    """
    padding = padding_of(network)
    predicted = target[:, 1:] != PAD
    found = network(
        input_ids=to_model(source, padding),
        attention_mask=(source != PAD).long(),
        decoder_input_ids=to_model(target[:, :-1], padding),
        use_cache=False,
    )
    return found.logits[predicted].float(), to_model(target[:, 1:], padding)[predicted]


@torch.inference_mode()
def reference_loss(network: Any, split: EncodedSplit, tokens: int) -> float:
    """Negative log-likelihood of the references, in nats, summed over all their tokens, without label smoothing.

    tokens: most of a batch, padding included.
    """
    total = 0.0
    for source, target in evaluation_batches(split, tokens):
        logits, gold = logits_of(network, source.to(network.device), target.to(network.device))
        total += float(torch.nn.functional.cross_entropy(logits, gold, reduction="sum"))
    return total


@torch.inference_mode()
def translate(
    network: Any, codec: Codec, sentences: Sequence[str], beam_size: int = 1, length_penalty: float = 1.0
) -> list[str]:
    """Translations in the order of the sentences, by `generate`: log p / tokens^length_penalty.

    A sentence with more tokens than the model takes is cut, so nothing is translated of its end.
    """
    sequences = Sequences.pack([_fitting(ids, codec.longest) for ids in codec.encode_source(sentences)])
    most = TOKENS if network.device.type == "cpu" else GPU_TOKENS
    found: dict[int, list[int]] = {}
    for rows in group_by_length(sequences.lengths, max(1, most // beam_size), None):
        source = torch.from_numpy(sequences.padded(rows)).to(network.device)
        limit = 2 * source.shape[1] + 10  # as for our own models
        with quiet():
            ended = network.generate(
                input_ids=to_model(source, padding_of(network)),
                attention_mask=(source != PAD).long(),
                num_beams=beam_size,
                length_penalty=length_penalty,
                early_stopping=beam_size > 1,
                do_sample=False,
                max_length=limit if codec.longest is None else min(limit, codec.longest),
                max_new_tokens=None,
                forced_bos_token_id=codec.forced,
            )
        found.update(zip(rows.tolist(), ended.tolist(), strict=True))
    return codec.decode([found[row] for row in range(len(sentences))])


def _fitting(ids: np.ndarray, longest: int | None) -> np.ndarray:
    """The ids, cut before the last one if they are too many."""
    return ids if longest is None or len(ids) <= longest else np.concatenate([ids[: longest - 1], ids[-1:]])

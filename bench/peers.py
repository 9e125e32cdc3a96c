"""Other people's transformers, with the weights of one of ours: the same function, so that only the speed differs.

All are post-norm with one tied embedding, sinusoidal positions, and dropout on embeddings and sublayers. Their packages
(bench/requirements.txt) live in an environment of their own, which `make bench` makes.
"""

from types import SimpleNamespace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from joeynmt.batch import Batch
from joeynmt.model import build_model
from joeynmt.vocabulary import Vocabulary
from peer_weights import copy_layers, copy_of
from torch import Tensor, nn
from transformers import MarianConfig, MarianMTModel

from model.positions.absolute import sinusoids
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer
from trainables.training.freed_memory import keep_freed_memory
from trainables.training.loss import linear_cross_entropy
from trainables.training.precision import autocast

LONGEST = 512  # positions in the peers' tables


class System(Protocol):
    """A model that can be trained."""

    name: str

    @property
    def module(self) -> nn.Module:
        """The module with all its parameters."""

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        """source: (B, S) ids, target: (B, T) from BOS to EOS -> the objective, mean over the target's tokens."""


class Ours:
    name = "babeltune"

    def __init__(self, model: Transformer):
        keep_freed_memory()  # as `train` does; the others' processes are unchanged
        self.module = model

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        hidden, weight = self.module(source, target[:, :-1]), self.module.output.weight
        return linear_cross_entropy(hidden, weight, target[:, 1:], smoothing, 1 / tokens(target))[0]


class OursInBfloat16(Ours):
    """As with `training.precision: bf16`."""

    name = "babeltune, bf16"

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        with autocast(torch.device("cpu"), "bf16"):
            return super().loss(source, target, smoothing)


class JoeyNMT:
    """The steps of its TrainManager on a batch. Its smoothing spreads over all pieces except PAD and the right one."""

    name = "JoeyNMT"
    ENCODER = (
        "src_src_att.q_layer src_src_att.k_layer src_src_att.v_layer src_src_att.output_layer layer_norm "
        "feed_forward.pwff_layer.0 feed_forward.pwff_layer.3 feed_forward.layer_norm"
    )
    DECODER = (
        "trg_trg_att.q_layer trg_trg_att.k_layer trg_trg_att.v_layer trg_trg_att.output_layer x_layer_norm "
        "src_trg_att.q_layer src_trg_att.k_layer src_trg_att.v_layer src_trg_att.output_layer dec_layer_norm "
        "feed_forward.pwff_layer.0 feed_forward.pwff_layer.3 feed_forward.layer_norm"
    )

    def __init__(self, model: Transformer):
        config = model.config
        special = {"unk": 0, "pad": 1, "bos": 2, "eos": 3}  # its vocabularies can't number PAD 0; its models can
        numbers = {f"{name}_id": number for name, number in special.items()}
        names: dict[str, Any] = {f"{name}_token": name for name in special}
        names |= {"sep_id": None, "sep_token": None, "lang_tags": []}
        pieces = Vocabulary([str(i) for i in range(len(model.output.weight) - 4)], SimpleNamespace(**numbers, **names))
        stack = {
            "type": "transformer",
            "layer_norm": "post",
            "hidden_size": config.d_model,
            "ff_size": config.ffn_dim,
            "num_heads": config.num_heads,
            "dropout": config.dropout,
            "embeddings": {"embedding_dim": config.d_model, "scale": True},
        }
        shape = {
            "encoder": {**stack, "num_layers": config.encoder_layers},
            "decoder": {**stack, "num_layers": config.decoder_layers},
            "tied_embeddings": True,
            "tied_softmax": True,
        }
        self.module = build_model(shape, pieces, pieces)
        self.module.pad_index = self.module.src_embed.lut.padding_idx = PAD
        for name, module in self.module.named_modules():
            if name.endswith(("att.dropout", "pwff_layer.2")):  # of attention weights, and inside feed-forward
                module.p = 0.0
            elif isinstance(module, nn.LayerNorm):
                module.eps = 1e-5
        copy_layers(model, self.module.encoder.layers, self.ENCODER, self.module.decoder.layers, self.DECODER)
        self.module.src_embed.lut.weight = self.module.decoder.output_layer.weight = copy_of(model.output.weight)

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        self.module.loss_function = ("crossentropy", smoothing)
        lengths, rows = (source != PAD).sum(dim=1), torch.arange(len(source))
        batch = Batch(source, lengths, None, target, None, rows, source.device, PAD, EOS)
        batch.sort_by_src_length()
        loss, _, _, correct = self.module(return_type="loss", **vars(batch))
        correct.item()
        return loss / tokens(target)


class TorchTransformer:
    """torch.nn.Transformer between embeddings and output, with masks as in its documentation."""

    name = "nn.Transformer"
    ENCODER = "self_attn norm1 linear1 linear2 norm2"
    DECODER = "self_attn norm1 multihead_attn norm2 linear1 linear2 norm3"

    def __init__(self, model: Transformer):
        config = model.config
        self.scale = config.d_model**0.5
        self.transformer = nn.Transformer(
            config.d_model,
            config.num_heads,
            config.encoder_layers,
            config.decoder_layers,
            config.ffn_dim,
            config.dropout,
            batch_first=True,
        )
        # Post-norm in the papers has no norm after the last layer, and no attention dropout.
        self.transformer.encoder.norm = self.transformer.decoder.norm = None
        for module in self.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
            elif isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                module.dropout.p = 0.0  # inside feed-forward
        encoder, decoder = self.transformer.encoder.layers, self.transformer.decoder.layers
        copy_layers(model, encoder, self.ENCODER, decoder, self.DECODER)
        self.embedding = nn.Embedding(len(model.output.weight), config.d_model, padding_idx=PAD)
        self.embedding.weight = copy_of(model.output.weight)
        self.positions = sinusoids(torch.arange(LONGEST), config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.module = nn.ModuleList((self.transformer, self.embedding, self.dropout))

    def embed(self, ids: Tensor) -> Tensor:
        return self.dropout(self.embedding(ids) * self.scale + self.positions[: ids.shape[1]])

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        given, gold = target[:, :-1], target[:, 1:]
        later = self.transformer.generate_square_subsequent_mask(given.shape[1], dtype=torch.bool)
        hidden = self.transformer(
            self.embed(source),
            self.embed(given),
            tgt_mask=later,
            src_key_padding_mask=source == PAD,
            tgt_key_padding_mask=given == PAD,
            memory_key_padding_mask=source == PAD,
            tgt_is_causal=True,
        )
        return cross_entropy(F.linear(hidden, self.embedding.weight), gold, smoothing)


class Marian:
    """Hugging Face's, with PyTorch's fused attention."""

    name = "Marian (Hugging Face)"
    ENCODER = (
        "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.out_proj self_attn_layer_norm "
        "fc1 fc2 final_layer_norm"
    )
    DECODER = (
        "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.out_proj self_attn_layer_norm "
        "encoder_attn.q_proj encoder_attn.k_proj encoder_attn.v_proj encoder_attn.out_proj encoder_attn_layer_norm "
        "fc1 fc2 final_layer_norm"
    )

    def __init__(self, model: Transformer):
        config = model.config
        self.module = MarianMTModel(
            MarianConfig(
                vocab_size=len(model.output.weight),
                max_position_embeddings=LONGEST,
                d_model=config.d_model,
                encoder_layers=config.encoder_layers,
                decoder_layers=config.decoder_layers,
                encoder_attention_heads=config.num_heads,
                decoder_attention_heads=config.num_heads,
                encoder_ffn_dim=config.ffn_dim,
                decoder_ffn_dim=config.ffn_dim,
                activation_function=config.activation,
                dropout=config.dropout,
                scale_embedding=True,
                pad_token_id=PAD,
                bos_token_id=BOS,
                eos_token_id=EOS,
                decoder_start_token_id=BOS,
                forced_eos_token_id=None,
                attn_implementation="sdpa",
            )
        )
        encoder, decoder = self.module.model.encoder, self.module.model.decoder
        copy_layers(model, encoder.layers, self.ENCODER, decoder.layers, self.DECODER)
        with torch.no_grad():
            self.module.model.shared.weight.copy_(model.output.weight)
            for stack in (encoder, decoder):
                stack.embed_positions.weight.copy_(sinusoids(torch.arange(LONGEST), config.d_model))

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        mask, given = source != PAD, target[:, :-1]
        logits = self.module(source, mask, decoder_input_ids=given, use_cache=False).logits
        return cross_entropy(logits, target[:, 1:], smoothing)


def cross_entropy(logits: Tensor, gold: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), gold.flatten(), ignore_index=PAD, label_smoothing=smoothing)


def tokens(target: Tensor) -> int:
    return int((target[:, 1:] != PAD).sum())

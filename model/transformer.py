"""The encoder-decoder transformer (Vaswani et al. 2017)."""

import copy
import math
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from model.attention import CrossAttention, KeyValueCache, SelfAttention
from model.config import ModelConfig
from model.dropout import Dropout
from model.layers import DecoderLayer, Embedding, EncoderLayer, FeedForward, make_norm
from model.special_tokens import PAD

Layer = TypeVar("Layer", EncoderLayer, DecoderLayer)


@dataclass
class DecoderState:
    """The state of decoding between two steps, for B sources with K hypotheses each."""

    memory: list[tuple[Tensor, Tensor]]  # per layer: keys and values of the source, (B, kv_heads, S, head_size)
    memory_mask: Tensor | None  # (B, 1, 1, S)
    caches: list[KeyValueCache]  # per layer, B·K rows
    length: int = 0  # target positions decoded so far

    def select_sources(self, sources: Tensor) -> None:
        """Keep these sources, in that order; their hypotheses are kept by `select_rows`."""
        self.memory = [(keys.index_select(0, sources), values.index_select(0, sources)) for keys, values in self.memory]
        if self.memory_mask is not None:
            self.memory_mask = self.memory_mask.index_select(0, sources)

    def select_rows(self, rows: Tensor) -> None:
        """Keep these hypotheses (rows of the caches), in that order."""
        for cache in self.caches:
            cache.select(rows)


class Transformer(nn.Module):
    """Token ids in, logits over the target vocabulary out.

    Sequences are padded with PAD on the right. A target starts with BOS and ends with EOS.
    """

    def __init__(self, config: ModelConfig, source_vocab: int, target_vocab: int):
        super().__init__()
        if config.tied_embeddings == "all" and source_vocab != target_vocab:
            raise ValueError(
                f"tied_embeddings: 'all' needs one vocabulary, but there are {source_vocab} source and "
                f"{target_vocab} target pieces; share the tokenizer or use 'decoder'"
            )
        self.config = config
        self.scale = math.sqrt(config.d_model)  # of embeddings (Vaswani et al. 2017, section 3.4)
        self.output_scale = config.output_scale
        self.target_embedding = Embedding(target_vocab, config.d_model, config.tied_embeddings != "none")
        self.source_embedding = (
            self.target_embedding if config.tied_embeddings == "all" else Embedding(source_vocab, config.d_model)
        )
        kind = config.position_kind
        self.source_positions, self.target_positions = kind.added(config), kind.added(config)
        self.encoder = nn.ModuleList(
            EncoderLayer(config, positions) for positions in kind.attending(config, config.encoder_layers, causal=False)
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(config, positions) for positions in kind.attending(config, config.decoder_layers, causal=True)
        )
        # Post-norm layers end with a norm.
        self.encoder_norm, self.decoder_norm = (
            make_norm(config) if config.norm == "pre" else nn.Identity() for _ in range(2)
        )
        self.output = nn.Linear(config.d_model, target_vocab, bias=False)
        if config.tied_embeddings != "none":
            self.output.weight = self.target_embedding.weight
        self.dropout = Dropout(config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        """Xavier for matrices, N(0, 1/d_model) for embeddings: scaled by sqrt(d_model), they have variance 1."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.d_model**-0.5)
        if self.config.norm == "deep":
            self._scale_for_depth()

    @torch.no_grad()
    def _scale_for_depth(self) -> None:
        """DeepNorm's initialisation: values, outputs and feed-forward blocks shrink with depth."""
        scales = self.config.deepnorm
        for layers, beta in ((self.encoder, scales.encoder_beta), (self.decoder, scales.decoder_beta)):
            for module in layers.modules():
                if isinstance(module, SelfAttention):
                    module.query_key_value.weight[-module.widths[-1] :] *= beta
                    module.output.weight *= beta
                elif isinstance(module, CrossAttention):
                    module.key_value.weight[module.key_value.out_features // 2 :] *= beta
                    module.output.weight *= beta
                elif isinstance(module, FeedForward):
                    module.expand.weight *= beta
                    module.contract.weight *= beta

    @property
    def encoder_layers(self) -> list[EncoderLayer]:
        """The layers of the encoder, the first at the source."""
        return cast(list[EncoderLayer], list(self.encoder))

    @property
    def decoder_layers(self) -> list[DecoderLayer]:
        """The layers of the decoder, the first at the target."""
        return cast(list[DecoderLayer], list(self.decoder))

    def num_parameters(self) -> int:
        """The number of parameters; a tied matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _embed_source(self, ids: Tensor) -> Tensor:
        return self.dropout(self.source_positions(self.source_embedding(ids) * self.scale))

    def _embed_target(self, ids: Tensor, start: int = 0) -> Tensor:
        return self.dropout(self.target_positions(self.target_embedding(ids) * self.scale, start))

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """source: (B, S) ids -> memory (B, S, d_model) and its mask (B, 1, 1, S), None on a CPU without padding."""
        padding = source == PAD
        # Reading this from a GPU would wait for it.
        mask = ~padding[:, None, None, :] if padding.device.type != "cpu" or padding.any() else None
        x = self._embed_source(source)
        for layer in self._trained(self.encoder_layers):
            x = layer(x, mask)
        return self.encoder_norm(x), mask

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Teacher forcing. source: (B, S), target: (B, T), both ids. -> hidden states (B, T, d_model).

        `output` turns the hidden states of the positions of interest into logits.
        """
        memory, mask = self.encode(source)
        x = self._embed_target(target)
        for layer in self._trained(self.decoder_layers):
            x = layer(x, layer.cross_attention.project_memory(memory), mask)
        return self._scaled(self.decoder_norm(x))

    def _trained(self, layers: list[Layer]) -> list[Layer]:
        """The layers of this step: all, or while training those that `layer_drop` leaves (Fan et al. 2020)."""
        probability = self.config.layer_drop if self.training else 0.0
        if not probability:
            return layers
        drawn = torch.rand(len(layers)).tolist()
        return [layer for layer, number in zip(layers, drawn, strict=True) if number >= probability]

    def _scaled(self, hidden: Tensor) -> Tensor:
        return hidden if self.output_scale == 1 else hidden * self.output_scale

    def with_folded_scale(self) -> "Transformer":
        """The same function without `output_scale`, which the last norm then has; a copy if there is one."""
        if self.output_scale == 1:
            return self
        folded = copy.deepcopy(self)
        after = self.config.norm != "pre"
        last = folded.decoder_layers[-1].feed_forward_residual.norm if after else folded.decoder_norm
        for parameter in last.parameters():
            parameter.data *= self.output_scale
        folded.output_scale = 1.0
        return folded

    def start_decoding(self, source: Tensor) -> DecoderState:
        """source: (B, S) ids -> the state before the first target token."""
        memory, mask = self.encode(source)
        projected = [layer.cross_attention.project_memory(memory) for layer in self.decoder_layers]
        projected = [(keys.contiguous(), values.contiguous()) for keys, values in projected]  # sooner read at each step
        return DecoderState(projected, mask, [KeyValueCache() for _ in self.decoder])

    def decode_step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """tokens: (B·K,) ids, the newest of each hypothesis -> logits (B·K, target vocabulary). Advances the state."""
        x = self._embed_target(tokens.unsqueeze(1), state.length)
        for layer, memory, cache in zip(self.decoder, state.memory, state.caches, strict=True):
            x = layer(x, memory, state.memory_mask, cache)
        state.length += 1
        return self.output(self._scaled(self.decoder_norm(x))).squeeze(1)

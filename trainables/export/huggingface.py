"""A model as one of transformers' own architectures: the same function, with the names of its weights.

Three of them differ from our model only in names, and in the order of a sinusoid's dimensions: sines come first there.
As nothing else depends on the order of the hidden dimensions, all weights are permuted alike.
"""

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.decoding import length_limits
from model.layers import DecoderLayer
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.export.ctranslate2_spec import LONGEST, NEVER
from trainables.export.trained import TrainedModel, Translation

BATCH = 32  # sentences
# Their classes, by norm and positions.
ARCHITECTURES = {
    ("post", "sinusoidal"): ("MarianConfig", "MarianMTModel"),
    ("pre", "sinusoidal"): ("PegasusConfig", "PegasusForConditionalGeneration"),
    ("pre", "learned"): ("BlenderbotConfig", "BlenderbotForConditionalGeneration"),
}
USAGE = """```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForSeq2SeqLM.from_pretrained(".")


def translate(lines):
    found = model.generate(**tokenizer(lines, return_tensors="pt", padding=True))
    return tokenizer.batch_decode(found, skip_special_tokens=True)


print(translate(["…"]))
```

`generation_config.json` has the decoding of the search: beam, length penalty, and `early_stopping`. As there, a
translation is scored by its log probability, divided by its number of tokens (with the end) to the power of
`length_penalty`. A sequence has at most {longest:,} tokens.
"""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, and without the advice to install sacremoses, which is not used."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


@_quiet()
def write(trained: TrainedModel, folder: Path) -> None:
    """Write a model and its tokenizer into a folder, for `from_pretrained`."""
    import transformers

    network, config = trained.network.with_folded_scale(), trained.network.config
    config_class, model_class = (getattr(transformers, name) for name in ARCHITECTURES[config.norm, config.positions])
    settings = config_class(**_settings(config, trained.tokenizer))
    with torch.random.fork_rng():
        model = model_class(settings)
    missing, unexpected = model.load_state_dict(_weights(network), strict=False)
    left_out = {name for name in missing if "embed_positions" not in name and "embed_tokens" not in name}
    if unexpected or left_out - {"lm_head.weight", "model.shared.weight"}:
        raise AssertionError(f"weights without a place: {unexpected}, places without weights: {left_out}")
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(
        num_beams=trained.beam_size,
        length_penalty=trained.length_penalty,
        early_stopping=trained.beam_size > 1,
        max_length=min(512, config.longest or LONGEST),
        decoder_start_token_id=BOS,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    model.save_pretrained(folder)
    _save_tokenizer(trained.tokenizer, folder)


def _settings(config: ModelConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The keys of the architecture's configuration."""
    shared = config.tied_embeddings == "all"
    both = {
        "layers": (config.encoder_layers, config.decoder_layers),
        "attention_heads": (config.num_heads, config.num_heads),
        "ffn_dim": (config.ffn_dim, config.ffn_dim),
    }
    sides = {
        f"{side}_{name}": values[place]
        for name, values in both.items()
        for place, side in enumerate(("encoder", "decoder"))
    }
    only_marian = {
        "decoder_vocab_size": tokenizer.target_vocab,
        "share_encoder_decoder_embeddings": shared,
        "tie_word_embeddings": config.tied_embeddings != "none",
    }
    return {
        **sides,
        **(only_marian if config.norm == "post" else {}),
        "vocab_size": tokenizer.source_vocab,
        "d_model": config.d_model,
        "activation_function": config.activation,
        "max_position_embeddings": config.longest or LONGEST,
        "scale_embedding": True,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
    }


def _weights(network: Transformer) -> dict[str, Tensor]:
    """Our weights under their names in transformers."""
    config = network.config
    width = torch.arange(config.d_model)
    order = torch.cat((width[0::2], width[1::2])) if config.positions == "sinusoidal" else width
    state = {name: tensor.detach().to("cpu", torch.float32, copy=True) for name, tensor in network.state_dict().items()}
    found: dict[str, Tensor] = {}

    def put(name: str, weight: Tensor, bias: Tensor | None, reads: bool, writes: bool) -> None:
        """A matrix that reads hidden states, or writes them."""
        weight = weight[:, order] if reads else weight
        found[f"model.{name}.weight"] = weight[order] if writes else weight
        if bias is not None:
            found[f"model.{name}.bias"] = bias[order] if writes else bias

    def put_norm(name: str, ours: str) -> None:
        for part in ("weight", "bias"):
            found[f"model.{name}.{part}"] = state[f"{ours}.{part}"][order]

    def put_attention(name: str, ours: str, parts: dict[str, tuple[str, ...]]) -> None:
        for source, targets in parts.items():
            pairs = (state[f"{ours}.{source}.{part}"].chunk(len(targets)) for part in ("weight", "bias"))
            for target, weight, bias in zip(targets, *pairs, strict=True):
                put(f"{name}.{target}_proj", weight, bias, reads=True, writes=False)
        put(f"{name}.out_proj", state[f"{ours}.output.weight"], state[f"{ours}.output.bias"], reads=False, writes=True)

    for side, layers in (("encoder", network.encoder_layers), ("decoder", network.decoder_layers)):
        for number, layer in enumerate(layers):
            place, ours = f"{side}.layers.{number}", f"{side}.{number}"
            put_attention(f"{place}.self_attn", f"{ours}.self_attention", {"query_key_value": ("q", "k", "v")})
            put_norm(f"{place}.self_attn_layer_norm", f"{ours}.self_attention_residual.norm")
            if isinstance(layer, DecoderLayer):
                parts = {"query": ("q",), "key_value": ("k", "v")}
                put_attention(f"{place}.encoder_attn", f"{ours}.cross_attention", parts)
                put_norm(f"{place}.encoder_attn_layer_norm", f"{ours}.cross_attention_residual.norm")
            for target, source, reads in (("fc1", "expand", True), ("fc2", "contract", False)):
                weight, bias = (state[f"{ours}.feed_forward.{source}.{part}"] for part in ("weight", "bias"))
                put(f"{place}.{target}", weight, bias, reads=reads, writes=not reads)
            put_norm(f"{place}.final_layer_norm", f"{ours}.feed_forward_residual.norm")
        if config.norm == "pre":
            put_norm(f"{side}.layer_norm", f"{side}_norm")
    for side, ours in (("encoder", "source"), ("decoder", "target")):
        put(f"{side}.embed_tokens", state[f"{ours}_embedding.weight"], None, reads=True, writes=False)
        if config.positions == "learned":
            found[f"model.{side}.embed_positions.weight"] = state[f"{ours}_positions.table.weight"]
    if config.tied_embeddings == "all":
        found["model.shared.weight"] = found["model.encoder.embed_tokens.weight"]
    found["lm_head.weight"] = state["output.weight"][:, order]
    bias = torch.zeros(1, len(found["lm_head.weight"]))
    bias[:, [PAD, BOS]] = NEVER
    return found | {"final_logits_bias": bias}


def _save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """As a MarianTokenizer, which runs sentencepiece itself, so that it gives the same ids."""
    from transformers import MarianTokenizer

    shared = tokenizer.source is tokenizer.target
    names = {"source": "vocab.json", "target": "vocab.json" if shared else "target_vocab.json"}
    for side, processor in (("source", tokenizer.source), ("target", tokenizer.target)):
        (folder / f"{side}.spm").write_bytes(processor.serialized_model_proto())
        pieces = {processor.id_to_piece(piece): piece for piece in range(processor.get_piece_size())}
        (folder / names[side]).write_text(json.dumps(pieces, ensure_ascii=False), encoding="utf-8")
    MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
        target_vocab_file=None if shared else str(folder / "target_vocab.json"),
        separate_vocabs=not shared,
        model_max_length=LONGEST,
        split_special_tokens=True,  # "</s>" in a text is text
    ).save_pretrained(folder)


class HuggingFaceTranslator:
    """A folder that was written for transformers."""

    @_quiet()
    def __init__(self, folder: Path, trained: TrainedModel):
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self._model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        self._tokenizer, self._network = AutoTokenizer.from_pretrained(folder), trained.network

    @_quiet()
    @torch.inference_mode()
    def translate(self, sentences: list[str]) -> list[Translation]:
        """See `Translator`."""
        alike: dict[int, list[int]] = defaultdict(list)  # the rows whose translations have the same length limit
        for row, ids in enumerate(self._tokenizer(sentences)["input_ids"]):
            alike[int(length_limits(self._network, torch.tensor([ids]))[0])].append(row)
        found: dict[int, Translation] = {}
        for limit, rows in alike.items():
            for start in range(0, len(rows), BATCH):
                chosen = rows[start : start + BATCH]
                texts = self._tokenizer([sentences[row] for row in chosen], return_tensors="pt", padding=True)
                ended = self._model.generate(**texts, max_length=limit)  # the start counts
                for row, ids in zip(chosen, ended.tolist(), strict=True):
                    kept = [piece for piece in ids[1:] if piece not in (PAD, EOS)]
                    found[row] = Translation(kept, self._tokenizer.decode(kept, skip_special_tokens=True))
        return [found[row] for row in range(len(sentences))]


def usage(trained: TrainedModel) -> str:
    """How to use the folder; Markdown."""
    return USAGE.format(longest=trained.config.model.longest or LONGEST)

"""Tiny pretrained models, made here and trained for a moment, of the families of Marian and of NLLB."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch

PIECES = 200
SIZES: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "scale_embedding": True,
    "init_std": 0.08,  # so that so small a model learns soon
}
CODES = ["eng_Latn", "fra_Latn", "deu_Latn"]
Pairs = list[tuple[str, str]]


def make_marian(folder: Path, pairs: Pairs, steps: int = 120) -> Path:
    """A MarianMTModel with its tokenizer, trained on the pairs."""
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    written = io.BytesIO()
    lines = iter([text for pair in pairs for text in pair])
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=written, vocab_size=PIECES, hard_vocab_limit=False, minloglevel=2
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    pieces = ["</s>", "<unk>", *(processor.id_to_piece(n) for n in range(3, processor.get_piece_size())), "<pad>"]
    for side in ("source", "target"):
        (folder / f"{side}.spm").write_bytes(written.getvalue())
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    files = {"source_spm": "source.spm", "target_spm": "target.spm", "vocab": "vocab.json"}
    tokenizer = MarianTokenizer(**{key: str(folder / name) for key, name in files.items()})
    last = len(pieces) - 1
    special = {"pad_token_id": last, "eos_token_id": 0, "decoder_start_token_id": last, "forced_eos_token_id": 0}
    torch.manual_seed(1)
    network = MarianMTModel(MarianConfig(vocab_size=len(pieces), decoder_vocab_size=len(pieces), **special, **SIZES))
    return _trained(folder, network, tokenizer, pairs, steps)


def make_nllb(folder: Path, pairs: Pairs, steps: int = 120) -> Path:
    """An M2M100ForConditionalGeneration with the tokenizer of NLLB, trained on the pairs."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    learned = Tokenizer(models.BPE(unk_token="<unk>"))
    learned.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=PIECES, special_tokens=special, show_progress=False)
    learned.train_from_iterator((text for pair in pairs for text in pair), trainer)
    bpe = json.loads(learned.to_str())["model"]
    tokenizer = NllbTokenizer(
        vocab=bpe["vocab"],
        merges=[tuple(merge) for merge in bpe["merges"]],
        src_lang=CODES[0],
        tgt_lang=CODES[1],
        extra_special_tokens=CODES,
    )
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    torch.manual_seed(1)
    network = M2M100ForConditionalGeneration(M2M100Config(vocab_size=len(tokenizer), **ids, **SIZES))
    return _trained(folder, network, tokenizer, pairs, steps)


def _trained(folder: Path, network: Any, tokenizer: Any, pairs: Pairs, steps: int) -> Path:
    """Train on random batches, and write the folder of `from_pretrained`."""
    optimizer, rng = torch.optim.AdamW(network.parameters(), lr=3e-3), np.random.default_rng(1)
    network.train()
    for module in network.modules():  # as in the models that people have
        if "Sinusoidal" in type(module).__name__:
            module.requires_grad_(False)
    padding = torch.tensor([tokenizer.pad_token_id])
    network.get_input_embeddings().weight.register_hook(lambda grad: grad.index_fill(0, padding, 0.0))
    for _ in range(steps):
        chosen = [pairs[row] for row in rng.integers(len(pairs), size=16)]
        sources, targets = ([pair[side] for pair in chosen] for side in (0, 1))
        batch = tokenizer(sources, text_target=targets, return_tensors="pt", padding=True)
        batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
        network(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

"""A small translation model, trained from scratch by Hugging Face's Seq2SeqTrainer, as docs/how-to/command.md uses it.

    python huggingface_translation.py CONFIG.json

CONFIG.json has the arguments of Seq2SeqTrainingArguments, and those of `Task`.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sacrebleu
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    DataCollatorForSeq2Seq,
    HfArgumentParser,
    PreTrainedTokenizerFast,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    set_seed,
)

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


@dataclass
class Task:
    """The text and the model."""

    data: str  # a folder with train and valid, in both languages
    source: str = "en"
    target: str = "fr"
    d_model: int = 64
    layers: int = 1
    dropout: float = 0.1
    valid_pairs: int = 100


def read(task: Task, split: str) -> list[tuple[str, str]]:
    sides = [
        Path(task.data, f"{split}.{language}").read_text(encoding="utf-8") for language in (task.source, task.target)
    ]
    return list(zip(*[side.splitlines() for side in sides], strict=True))


def make_tokenizer(pairs: list[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """One vocabulary of words and punctuation for both languages."""
    splitter = pre_tokenizers.Whitespace()
    counts = Counter(word for pair in pairs for side in pair for word, _ in splitter.pre_tokenize_str(side))
    words = {word: number for number, word in enumerate([*SPECIAL, *sorted(counts)])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = splitter
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def encode(tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]) -> list[dict[str, list[int]]]:
    sides = [tokenizer(list(side))["input_ids"] for side in zip(*pairs, strict=True)]
    return [
        {"input_ids": [*source, tokenizer.eos_token_id], "labels": [*target, tokenizer.eos_token_id]}
        for source, target in zip(*sides, strict=True)
    ]


def main() -> None:
    task, arguments = HfArgumentParser((Task, Seq2SeqTrainingArguments)).parse_json_file(sys.argv[1])
    set_seed(arguments.seed)
    torch.set_num_threads(1)
    train, valid = read(task, "train"), read(task, "valid")[: task.valid_pairs]
    tokenizer = make_tokenizer(train)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=task.d_model,
        encoder_layers=task.layers,
        decoder_layers=task.layers,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=4 * task.d_model,
        decoder_ffn_dim=4 * task.d_model,
        dropout=task.dropout,
        max_position_embeddings=128,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    model = BartForConditionalGeneration(config)
    model.generation_config.max_new_tokens = 40

    def score(predicted: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
        ids, labels = (np.where(each < 0, tokenizer.pad_token_id, each) for each in predicted)
        texts, references = (tokenizer.batch_decode(each, skip_special_tokens=True) for each in (ids, labels))
        return {"bleu": sacrebleu.corpus_bleu(texts, [references]).score}

    trainer = Seq2SeqTrainer(
        model,
        arguments,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model),
        train_dataset=encode(tokenizer, train),
        eval_dataset=encode(tokenizer, valid),
        processing_class=tokenizer,
        compute_metrics=score,
    )
    trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)


if __name__ == "__main__":
    main()

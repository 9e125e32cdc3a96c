"""Decoding on a CPU thread against CTranslate2, Hugging Face's Marian and a decoder without caches: `make bench`.

All have the weights of the model that trial.py trained, and translate the same 500 sentences. "Naive" computes the
whole target again for each token, 32 sentences in file order, until the last of them ends; as it is slow, it gets every
fourth sentence. Marian's `generate` gets 32 sentences in file order, and again our batches, sorted by length.
CTranslate2 sorts them itself, into batches of as many tokens as ours.
--data DIR as for trial.py.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from ctranslate2 import Translator
from peers import Marian
from timing import Task, one_thread, per_cpu_second, print_ratios
from torch import Tensor
from transformers import logging
from trial import NAME, bench_trial

from model.decoding import length_limits
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer
from trainables.data.encoding.batching import group_by_length
from trainables.data.encoding.preparing import prepare
from trainables.data.encoding.sequences import Sequences
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.export.ctranslate2_spec import write
from trainables.training.evaluation import EVALUATION_TOKENS, translate
from trainables.training.trained import load_model

SENTENCES, BATCH = 500, 32
NAIVE_PART = 4  # it translates each fourth sentence
OURS, NAIVE = "babeltune", f"naive, by {BATCH}"
MARIAN, MARIAN_SORTED = f"Marian (Hugging Face), by {BATCH}", "Marian (Hugging Face), on our batches"
QUANTIZATIONS = {"CTranslate2, float32": "float32", "CTranslate2, int8": "int8"}
SYSTEMS = (OURS, *QUANTIZATIONS, MARIAN_SORTED, MARIAN, NAIVE)
Search = Callable[[Tensor, int], Tensor]  # (B, S) ids, beam -> (B or B·beam, T) ids from BOS, the best of a beam first


@torch.inference_mode()
def naive_greedy(model: Transformer, source: Tensor) -> Tensor:
    """(B, S) -> (B, T): runs the decoder over the whole target for each new token."""
    limits = length_limits(model, source)
    target = torch.full((len(source), 1), BOS)
    while not ((target == EOS).any(dim=1) | (limits < target.shape[1])).all():
        logits = model.output(model(source, target)[:, -1])
        logits[:, [PAD, BOS]] = float("-inf")
        target = torch.cat((target, logits.argmax(dim=-1, keepdim=True)), dim=1)
    return target


@torch.inference_mode()
def naive_beam(model: Transformer, source: Tensor, beam: int) -> Tensor:
    """(B, S) -> (B·beam, T): beam search without a cache, until all hypotheses have ended."""
    rows, limit = len(source) * beam, int(length_limits(model, source).max())
    source = source.repeat_interleave(beam, dim=0)
    target, scores = torch.full((rows, 1), BOS), torch.zeros(rows // beam, beam)
    scores[:, 1:] = float("-inf")
    first = torch.arange(0, rows, beam).unsqueeze(1)
    while target.shape[1] <= limit and not (ended := (target == EOS).any(dim=1)).all():
        log_p = model.output(model(source, target)[:, -1]).log_softmax(dim=-1)
        log_p[:, [PAD, BOS]] = float("-inf")
        log_p[ended] = float("-inf")
        log_p[ended, EOS] = 0.0  # an ended hypothesis is not changed
        vocab = log_p.shape[1]
        scores, index = (scores.view(-1, 1) + log_p).view(-1, beam * vocab).topk(beam, dim=-1)
        target = torch.cat((target[(first + index // vocab).flatten()], (index % vocab).view(-1, 1)), dim=1)
    return target


def naive_search(model: Transformer) -> Search:
    return lambda source, beam: naive_greedy(model, source) if beam == 1 else naive_beam(model, source, beam)


def marian_search(model: Transformer) -> Search:
    marian = Marian(model).module.eval()

    def generate(source: Tensor, beam: int) -> Tensor:
        return marian.generate(
            source,
            attention_mask=source != PAD,
            num_beams=beam,
            do_sample=False,
            max_new_tokens=int(length_limits(model, source).max()),
            bad_words_ids=[[PAD], [BOS]],
            early_stopping=beam > 1,
        )

    return generate


def ctranslate2_translator(
    model: Transformer, tokenizer: Tokenizer, sentences: list[str], beam: int, quantization: str
) -> Callable[[], list[str]]:
    """A task that translates the sentences with CTranslate2, on one thread."""
    with TemporaryDirectory() as folder:
        write(model, tokenizer, Path(folder), quantization)
        search = Translator(folder, inter_threads=1, intra_threads=1, compute_type=quantization)

    def run() -> list[str]:
        results = search.translate_batch(
            [tokenizer.source_pieces(ids[:-1].tolist()) for ids in tokenizer.encode_source(sentences)],
            beam_size=beam,
            return_end_token=True,
            min_decoding_length=0,
            max_batch_size=EVALUATION_TOKENS // beam,
            batch_type="tokens",
        )
        pieces = [[piece for piece in result.hypotheses[0] if piece != "</s>"] for result in results]
        return tokenizer.decode_target([tokenizer.target.piece_to_id(each) for each in pieces])

    return run


def translator(name: str, beam: int, data: Path | None, output_dir: Path) -> Callable[[], list[str]]:
    """A task that translates its sentences at each call."""
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    config, cache = bench_trial(data), output_dir.absolute() / ".cache"
    model, tokenizer = load_model(config, cache, output_dir / NAME)
    sentences = prepare(config.data, config.tokenizer, cache).valid_text.source[:SENTENCES]
    if name == OURS:
        return lambda: translate(model, tokenizer, sentences, beam)
    if name in QUANTIZATIONS:
        return ctranslate2_translator(model, tokenizer, sentences, beam, QUANTIZATIONS[name])
    if name == NAIVE:
        sentences = sentences[::NAIVE_PART]
    packed = Sequences.pack(tokenizer.encode_source(sentences))
    tokens, rows = (EVALUATION_TOKENS // beam, None) if name == MARIAN_SORTED else (None, BATCH)
    lengths = packed.lengths if name == MARIAN_SORTED else packed.lengths * 0  # 0: in file order
    batches = group_by_length(lengths, tokens, rows)
    search = naive_search(model) if name == NAIVE else marian_search(model)

    def run() -> list[str]:
        found: dict[int, str] = {}
        for batch in batches:
            ids = search(torch.from_numpy(packed.padded(batch)), beam)
            best = ids[:: len(ids) // len(batch)]
            found.update(zip(batch.tolist(), text_of(tokenizer, best), strict=True))
        return [found[row] for row in range(len(packed))]

    return run


def text_of(tokenizer: Tokenizer, ids: Tensor) -> list[str]:
    """(B, T) rows from BOS, perhaps with EOS -> their text."""
    rows = [row[1:] for row in ids.tolist()]
    return tokenizer.decode_target([row[: row.index(EOS)] if EOS in row else row for row in rows])


def counted(name: str, beam: int, data: Path | None, output_dir: Path) -> Task:
    run = translator(name, beam, data, output_dir)
    return lambda: len(run())


def main(data: Path | None, output_dir: Path, rounds: int) -> None:
    one_thread()
    for beam, title in ((1, "greedy"), (5, "beam 5")):
        ours, *others = (translator(name, beam, data, output_dir)() for name in SYSTEMS)
        for name, theirs in zip(SYSTEMS[1:], others, strict=True):
            same = sum(a == b for a, b in zip(ours[:: len(ours) // len(theirs)], theirs, strict=True))
            print(f"{title}: {same} of {len(theirs)} translations by {name} are equal to ours", flush=True)
        makers = {name: partial(counted, name, beam, data, output_dir) for name in SYSTEMS}
        print_ratios(f"Decoding, {title}", per_cpu_second(makers, rounds), "sentences")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of a corpus")
    parser.add_argument("--output_dir", type=Path, default=Path("runs"), help="where trial.py left the model")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each, whose median counts")
    main(**vars(parser.parse_args()))

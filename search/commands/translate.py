"""`babeltune translate RUN`: translates lines with the best model of a run."""

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands.lines import output_file, say
from search.run_directory.finding import EXPERIMENT, find_run, places_of
from search.run_directory.trust import check_trust
from search.settings.problem import COMMAND, TRANSLATION
from search.settings.stored import problem_of_run, stored_experiment
from search.translation.finals_config import Decoding
from trainables.base.checkpoint_files import STATE, checkpoints_of
from trainables.base.claiming import CONFIG
from trainables.base.command_line import parse_config
from trainables.base.errors import UserError
from trainables.base.files import digest_of, named_path
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.base.translator_config import TranslatorConfig
from trainables.base.wording import count
from trainables.data.reading.formats.lines import is_blank

if TYPE_CHECKING:  # torch is imported late
    from model.decoding import Hypothesis
    from search.translation.best import BestModel

AT_A_TIME = 1000  # lines that are read before their translations are written
OF_OUR_MODELS = ("beam_size", "length_penalty", "nbest", "to_corpus", "attention")  # options
DRAWN = 20  # sentences on an attention page


class Translating(Config):
    """The model, its decoding, and the output."""

    run: CliPositionalArg[str] = Field(
        "", description="directory of a search that has ended, or of one training; or its name in output_dir"
    )
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")
    beam_size: int | None = Field(None, ge=1, description="hypotheses of beam search; 1 is greedy; as in the finals")
    length_penalty: float | None = Field(
        None, ge=0, description="exponent of the length by which a hypothesis' score is divided; as in the finals"
    )
    nbest: int | None = Field(
        None, ge=1, description="so many translations of each line, as 'line ||| translation ||| score', from line 0"
    )
    output: str | None = Field(None, min_length=1, description="file for the translations, instead of standard output")
    to_corpus: str | None = Field(
        None,
        min_length=1,
        description="folder for a corpus of the text and its translations, instead; the same command goes on with it",
    )
    tag: str | None = Field(
        None,
        pattern=r"^\S+$",
        description="with to_corpus: a word before each translation, such as <BT>, by which a model that is trained on "
        "them as sources tells them from text that people wrote",
    )
    attention: str | None = Field(
        None, min_length=1, description=f"HTML file that shows the attention in the first {DRAWN} sentences"
    )
    trust: bool = Field(False, description="start the command that somebody else's run names; check it first")

    @model_validator(mode="after")
    def _one_result(self) -> Self:
        others = [name for name in ("nbest", "output", "attention") if getattr(self, name)]
        if self.to_corpus and others:
            raise ValueError(f"to_corpus: a corpus is made without {others[0]}; leave one of them out")
        if self.tag and not self.to_corpus:
            raise ValueError("tag: is for translations that become a corpus; name its folder by to_corpus")
        return self

    @model_validator(mode="after")
    def _enough_hypotheses(self) -> Self:
        if self.nbest and self.beam_size and self.nbest > self.beam_size:
            raise ValueError(f"nbest: {self.nbest} of a beam of {self.beam_size}; raise beam_size to {self.nbest}")
        return self

    def decoding(self, best: "BestModel") -> Decoding:
        """The decoding as in the options, otherwise as in the finals, with a beam of at least `nbest`."""
        beam_size = self.beam_size or max(best.decoding.beam_size, self.nbest or 1)
        return Decoding(beam_size, best.decoding.length_penalty if self.length_penalty is None else self.length_penalty)


def main(arguments: list[str], console: Console) -> int:
    """Translate standard input. Raises UserError."""
    about = "Translate standard input, line by line, with the best model of a run."
    options, _ = parse_config(Translating, arguments, Program(program("translate"), about))
    single = _single_training(options)
    run_dir = single or find_run("translate", options.run, "best", options.output_dir)
    problem = problem_of_run(run_dir)
    if problem == COMMAND:
        return _translate_by_command(run_dir, options)
    if problem != TRANSLATION:
        return _translate_plainly(run_dir, problem, options)
    from search.translation.best import read_best, read_trained

    best = read_trained(run_dir) if single else read_best(run_dir)
    if options.to_corpus:
        model = digest_of(checkpoints_of(run_dir)[0] / STATE if single else run_dir / "best" / "model.safetensors")
        _make_corpus(named_path("--to_corpus", options.to_corpus), best, model, options, console)
        return 0
    output, attention = (output_file(f"--{name}", getattr(options, name)) for name in ("output", "attention"))
    try:
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as out:
            sentences = translate_lines(best, sys.stdin.buffer, out, options)
    except BrokenPipeError:  # such as by `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if attention:
        from search.translation.attention_page import write_attention_page  # plotly is slow to import

        write_attention_page(attention, best, sentences[:DRAWN])
        if len(sentences) > DRAWN:
            print(f"{options.attention}: the first {DRAWN} of {len(sentences)} sentences", file=sys.stderr)
    return 0


def _single_training(options: Translating) -> Path | None:
    """The folder that is named, if it is one training without a search: of `python -m trainables`, or of `train`."""
    for folder in places_of(options.run, options.output_dir) if options.run and "\0" not in options.run else ():
        if (folder / CONFIG).is_file() and not (folder / EXPERIMENT).exists() and checkpoints_of(folder):
            return folder.absolute()
    return None


def _translate_by_command(run_dir: Path, options: Translating) -> int:
    """Translate standard input by the command that trained the best model. Raises UserError."""
    if wrong := [name for name in OF_OUR_MODELS if getattr(options, name) is not None]:
        raise UserError(f"--{wrong[0]}: a command translates as its own configuration says; leave it out")
    stored = stored_experiment(run_dir)
    if not options.trust:
        check_trust(stored, (), ("command",))
    best, output = stored.definition.part("finals").read_best(stored), output_file("--output", options.output)
    lines = [line for _, chunk in _chunks(sys.stdin.buffer, AT_A_TIME) for line in chunk]
    text = "".join(f"{line}\n" for line in best.translate(lines)).encode()
    with output.open("wb") if output else nullcontext(sys.stdout.buffer) as out:
        out.write(text)
    return 0


def _translate_plainly(run_dir: Path, problem: str, options: Translating) -> int:
    """Translate with the model of another problem. Raises UserError."""
    experiment = stored_experiment(run_dir)
    if not issubclass(experiment.definition.config, TranslatorConfig):
        raise UserError(f"{run_dir}: is a search for {experiment.definition.title}, which does not translate")
    for name in ("nbest", "attention", "to_corpus"):
        if getattr(options, name):
            raise UserError(f"--{name}: is not there for models of the problem {problem}; leave it out")
    best = experiment.definition.part("finals").read_best(experiment)
    decoding = Decoding(
        options.beam_size or best.decoding.beam_size,
        best.decoding.length_penalty if options.length_penalty is None else options.length_penalty,
    )
    output = output_file("--output", options.output)
    with output.open("wb") if output else nullcontext(sys.stdout.buffer) as out:
        for first, lines in _chunks(sys.stdin.buffer, 1 if sys.stdin.isatty() else AT_A_TIME):
            texts = best.translate(lines, decoding, "standard input: line {}", first + 1)
            out.write("".join(f"{text}\n" for text in texts).encode())
            out.flush()
    return 0


def _make_corpus(folder: Path, best: "BestModel", model: str, options: Translating, console: Console) -> None:
    """Translate standard input into a corpus. model: the digest of its weights. Raises UserError."""
    from search.translation.made_corpus import make_corpus

    data, decoding, tag = best.config.data, options.decoding(best), [options.tag] if options.tag else []

    def translate(first: int, lines: list[str]) -> list[str]:
        """The translations; a line that is longer than the model has seen gets none."""
        lengths = map(len, best.tokenizer.encode_source(lines))
        fitting = [line if length <= data.max_tokens else "" for line, length in zip(lines, lengths, strict=True)]
        found = _translate(best, fitting, first, options)
        texts = best.tokenizer.decode_target([each[0].ids for each in found])
        return [" ".join([*tag, *text.split()]) if text.strip() else "" for text in texts]

    with console.status(f"translating into {folder}"):
        by = {"model": model, **asdict(decoding), "tag": options.tag}
        stretches = _chunks(sys.stdin.buffer, AT_A_TIME)
        made = make_corpus(folder, (data.source, data.target), by, stretches, AT_A_TIME, translate)
    blank = f"; {made.blank:,} are blank, or above data.max_tokens {data.max_tokens}" if made.blank else ""
    say(console, f"{made.lines:,} lines in {made.files[0]} and {made.files[1].name}{blank}")


def translate_lines(
    best: "BestModel", source: BinaryIO, out: BinaryIO, options: Translating
) -> "list[tuple[str, Hypothesis]]":
    """Write the translation of each line, or `nbest` of them; a blank line stays blank.

    Returns the sentences for the attention page, with their best hypotheses. Raises UserError, with the line's number.
    """
    sentences: list[tuple[str, Hypothesis]] = []
    wanted = options.nbest or 1
    for first, lines in _chunks(
        source, 1 if source.isatty() else AT_A_TIME
    ):  # people want to see what became of a line
        found = [hypotheses[:wanted] for hypotheses in _translate(best, lines, first, options)]
        texts = iter(best.tokenizer.decode_target([h.ids for hypotheses in found for h in hypotheses]))
        for number, hypotheses in enumerate(found, first):
            for hypothesis in hypotheses:
                text = next(texts)
                scored = f"{number} ||| {text} ||| {hypothesis.score:.4f}"
                out.write(f"{text if options.nbest is None else scored}\n".encode())
        out.flush()
        if options.attention:
            sentences += [
                (line, hypotheses[0]) for line, hypotheses in zip(lines, found, strict=True) if hypotheses[0].ids
            ]
    return sentences


def _chunks(source: BinaryIO, at_a_time: int) -> Iterator[tuple[int, list[str]]]:
    """Stripped lines in chunks, with the number of each chunk's first line, from 0. Raises UserError for bad UTF-8."""
    first = 0
    while chunk := list(islice(source, at_a_time)):
        lines = []
        for number, line in enumerate(chunk, first):
            try:
                text = line.decode("utf-8-sig" if number == 0 else "utf-8").strip()
                lines.append("" if is_blank(text) else text)
            except UnicodeDecodeError as error:
                place = f"line {number + 1} is not UTF-8 (byte {error.start + 1})"
                raise UserError(f"standard input: {place}; convert the text") from None
        yield first, lines
        first += len(lines)


def _translate(best: "BestModel", lines: list[str], first: int, options: Translating) -> "list[list[Hypothesis]]":
    """The hypotheses for each line, the best first; a line without tokens has empty ones."""
    from model.decoding import Hypothesis
    from trainables.training.evaluation import find_hypotheses

    decoding = options.decoding(best)
    ids = best.tokenizer.encode_source(lines)
    longest = max(range(len(ids)), key=lambda row: len(ids[row]))
    place = f"standard input: line {first + longest + 1} has {count(len(ids[longest]), 'token', 'tokens')}"
    settings = best.config.model
    if settings.longest is not None and len(ids[longest]) > settings.longest:
        raise UserError(
            f"{place}, but the {settings.positions} positions of this model end at {settings.longest} "
            f"(model.{settings.position_kind.limit}); split the line"
        )
    spoken = [row for row in range(len(ids)) if len(ids[row]) > 1]  # more than EOS
    try:
        decoded = find_hypotheses(best.model, [ids[row] for row in spoken], decoding.beam_size, decoding.length_penalty)
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise UserError(f"{place}, too many for this memory; split the line, or lower --beam_size") from None
    found = [[Hypothesis([], 0.0)] * decoding.beam_size for _ in ids]
    for row, hypotheses in zip(spoken, decoded, strict=True):
        found[row] = hypotheses
    return found

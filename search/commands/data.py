"""`babeltune data PATH`: what is in a corpus, and what to do about it, before anything is trained."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands.lines import output_file, say
from search.commands.search import with_keys
from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.arguments import peek
from trainables.base.command_line import parse_options, read_config, take
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import config_folder, program
from trainables.base.mistakes import blame
from trainables.base.translation_config import as_translation

ABOUT = (
    "Say what is in a corpus, without starting a search: size, lengths, repetitions and overlaps, scripts and "
    "languages, and suspicious pairs, each with the filter that leaves it out. Takes the options of the search."
)


class OfCorpus(Config):
    """Which corpus, and where to."""

    corpus: CliPositionalArg[str] = Field("", description="folder or pattern of its files, instead of data.path")
    html: str | None = Field(None, min_length=1, description="HTML file for the same facts")


Looking = with_keys(OfCorpus, TRANSLATION)


def main(arguments: list[str], console: Console) -> int:
    """Count and print. Raises UserError for what the user can fix."""
    problem = peek(arguments, "problem") or TRANSLATION
    if problem != TRANSLATION:
        raise UserError(f"problem: data shows parallel text, which {problem} does not have; leave the problem out")
    own, options = take(OfCorpus, parse_options(Looking, arguments, Program(program("data"), ABOUT)))
    if own.corpus:
        if "path" in options.get("data", {}):
            raise UserError(f"--data.path: {own.corpus} is named already; name the corpus once")
        options.setdefault("data", {})["path"] = own.corpus
    experiment, _, places = read_config(experiment_class(problem), options, config_folder() / "quickstart.yaml")
    config = as_translation(experiment.trial)
    file = output_file("--html", own.html)
    from search.translation.facts_page import show_facts, write_facts
    from trainables.data.checks.facts import measure_corpus

    with blame(places), console.status("reading the corpus") as status:

        def watch(split: str, pairs: int) -> None:
            status.update(f"reading {split}: {pairs:,} pairs")

        facts = measure_corpus(config.data, config.tokenizer.shared, watch)
    show_facts(facts, config.data, console)
    if file:
        write_facts(file, facts, config.data)
        say(console, f"\nwritten to {file}")
    return 0

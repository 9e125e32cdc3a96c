"""`babeltune import SOURCE DIR`: a corpus in whatever form as plain files."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.settings.wording import count
from trainables.base.command_line import Helping, parse_options, take
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.files import named_path
from trainables.base.help_pages import Program
from trainables.base.installed import program


class Importing(Config):
    """Which corpus, and where to."""

    source: CliPositionalArg[str] = Field(
        "", description="what data.path takes: a folder, an archive, a file, a pattern"
    )
    folder: CliPositionalArg[str] = Field("", description="folder for the plain files; it must not be there yet")
    data: DataConfig = DataConfig()


def main(arguments: list[str], console: Console) -> int:
    """Write the corpus, and say what of it was left out or changed. Raises UserError."""
    given = parse_options(Importing, arguments, Program(program("import"), COMMANDS["import"].about), Helping)
    if not given.get("folder"):
        raise UserError(f"import: name a corpus and a folder, as in `{program('import')} en-fr.txt.zip corpus`")
    data = given.setdefault("data", {})
    if "path" in data:
        raise UserError("--data.path: the corpus is the first argument of import; leave this out")
    data["path"] = given["source"]
    importing, _ = take(Importing, given)
    from trainables.data.reading.importing import NAMES, import_corpus

    folder = named_path("import", importing.folder)
    written = {imported.name: imported for imported in import_corpus(importing.data, folder)}
    for imported in written.values():
        say(console, f"{imported.name}: {count(imported.pairs, 'pair', 'pairs')}")
        for what, (number, place) in imported.noted.items():
            say(console, f"  {number:,} {what}; the first: {place}")
    if lacking := [name for name in NAMES if name not in written]:
        options = " ".join(f"--data.split.{name} 1000" for name in lacking)
        say(console, f"There is no {' and no '.join(lacking)} split; {options} takes pairs out of train.")
    say(console, str(folder))
    return 0

"""Generates the reference of keys and commands while the site is built (`make docs`).

mkdocs.yml names this file as a hook. A line `<!-- made: keys -->` of a page is replaced by the text of `MADE` under
that word, so the page is never out of date. CHANGELOG.md, CONTRIBUTING.md and the notebook also become pages of the
site.
"""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import notebooks
from pydantic import BaseModel, RootModel
from pydantic_settings import CliPositionalArg

from search.commands import COMMANDS, load
from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.kinds import Kinds, is_config, kinds_of

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # files that are pages of the site, with their names there
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "examples/quickstart.ipynb": "example.md",
}
MARKER = re.compile(r"^<!-- made: (\w+) -->$", re.MULTILINE)
EXPERIMENT = experiment_class(TRANSLATION)
POSITIONAL = get_args(CliPositionalArg[str])[1]
LIMITS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "string": "text",
    "null": "`null`",
}


@dataclass(frozen=True)
class Key:
    """A key of a configuration: its class, and its name there.

    kinds: the table of kinds if it names one of them.
    """

    owner: type[BaseModel]
    name: str
    kinds: Kinds[Any] | None = None

    @property
    def description(self) -> str:
        """A sentence; empty if the field has none."""
        text = (self.owner.model_fields[self.name].description or "").replace("<", "&lt;").replace("|", "\\|")
        first = re.match(r"[a-z]+(?= )", text)
        is_word = first and first[0] not in self._schema.get("enum", ())
        return (text[0].upper() + text[1:] if is_word else text) + "." * bool(text)

    @property
    def values(self) -> str:
        """The values of the key, in words."""
        return "the name of a kind, or a mapping with `kind` and its settings" if self.kinds else _words(self._schema)

    @property
    def default(self) -> str:
        """The default in YAML; empty for a required key."""
        field = self.owner.model_fields[self.name]
        return "" if field.is_required() else f"`{json.dumps(self._schema.get('default', {}), ensure_ascii=False)}`"

    @property
    def _schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self.owner.model_json_schema(by_alias=False)["properties"][self.name]
        return schema


def find_keys(config_class: type[BaseModel], prefix: str = "") -> dict[str, Key]:
    """Each key by its dotted path. A field for one of many kinds is a key, and so is each setting of any kind."""
    found: dict[str, Key] = {}
    for name, field in config_class.model_fields.items():
        if kinds := kinds_of(field):
            found[f"{prefix}{name}"] = Key(config_class, name, kinds)
            settings = kinds.all_settings()
            found |= {f"{prefix}{name}.{key}": Key(settings, key) for key in settings.model_fields if key != "kind"}
        elif is_config(field.annotation) and not issubclass(field.annotation, RootModel):
            found |= find_keys(field.annotation, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = Key(config_class, name)
    return found


@cache
def keys() -> str:
    """A section for each part of a configuration, with a heading for each key."""
    found = find_keys(EXPERIMENT)
    sections: dict[str, list[str]] = {"The run": []}
    for path, key in found.items():
        kind = f"**Value:** {key.values}  \n**Default:** {key.default}"
        text = f"### {path}\n\n{_linked(key.description, found.keys() - {path})}\n\n{kind}"
        if key.kinds:
            kinds = [f"- `{name}`: {_summary(key.kinds[name])}" for name in key.kinds]
            text += "\n\n" + "\n".join([*kinds, "- `module:Name`: a class of your own."])
        sections.setdefault(path.partition(".")[0] if "." in path else "The run", []).append(text)
    return "\n\n".join("\n\n".join([f"## {title}", *entries]) for title, entries in sections.items())


def own_options(command: str) -> dict[str, Key]:
    """The options of a command that are not keys of a configuration."""
    taken = find_keys(load(COMMANDS[command].options))
    return {path: key for path, key in taken.items() if path not in find_keys(EXPERIMENT)}


@cache
def commands() -> str:
    """The commands, with their own options."""
    usages = {name: f"`babeltune {name}`" for name in COMMANDS}
    parts = [_table(["command", "what it does"], [[usages[name], each.about] for name, each in COMMANDS.items()])]
    for command in COMMANDS:
        options = own_options(command)
        cells = [[f"`{_option(path, key)}`", key.values, key.default, key.description] for path, key in options.items()]
        if cells:
            parts.append(f"## {command}\n\n" + _table(["option", "value", "default", "meaning"], cells))
    return "\n\n".join(parts)


MADE: dict[str, Callable[[], str]] = {"keys": keys, "commands": commands}


def expand(markdown: str) -> str:
    """A page with its markers replaced."""
    return MARKER.sub(lambda marker: MADE[marker[1]](), markdown)


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Called by mkdocs when it has found the pages."""
    from mkdocs.structure.files import File

    text, pictures = notebooks.page(notebooks.FILE)
    contents: dict[str, str | bytes] = {OUTSIDE["examples/quickstart.ipynb"]: text, **pictures}
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        contents[name] = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for name, content in contents.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for each page."""
    for file, name in OUTSIDE.items():
        markdown = re.sub(rf"\]\(((?:\.\./)*)\.\./{file}", rf"](\1{name}", markdown)
    not_pages = r"\[([^\]]+)\]\((?:\.\./)+examples/\w+\.(?:py|yaml)\)"
    markdown = re.sub(not_pages, r"`\1`", markdown)
    return expand(markdown)


def _words(schema: dict[str, Any]) -> str:
    """A JSON schema of a plain value in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_words(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "prefixItems" in schema:
        return f"a list of two, each {_words(schema['prefixItems'][0])}"
    if schema.get("type") == "array":
        return f"a list, each {_words(schema['items'])}"
    if "$ref" in schema or schema.get("type") == "object":
        return "a mapping"
    limits = [text.format(f"{schema[limit]:,}") for limit, text in LIMITS.items() if limit in schema]
    return " ".join([TYPES[schema["type"]], *limits])


def _linked(text: str, paths: Collection[str]) -> str:
    """The text with a link at each dotted path."""
    dotted = sorted((path for path in paths if "." in path), key=len, reverse=True)
    pattern = rf"(?<![\w.])({'|'.join(map(re.escape, dotted))})(?![\w])"
    return re.sub(pattern, lambda path: f"[{path[1]}](#{path[1].replace('.', '')})", text)


def _summary(kind: type[BaseModel]) -> str:
    return " ".join((getdoc(kind) or "").partition("\n\n")[0].split())


def _option(path: str, key: Key) -> str:
    return path.upper() if POSITIONAL in key.owner.model_fields[key.name].metadata else f"--{path}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])

"""Facts on a corpus as people read them: in the terminal, and as one HTML file in the look of the report."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.settings.wording import count
from search.translation.shown_pairs import visible
from trainables.base.data_config import DataConfig
from trainables.base.files import write_atomically
from trainables.data.checks.facts import CorpusFacts, SideFacts, SplitFacts, Suspects
from trainables.data.checks.filters import FILTERS
from trainables.data.checks.language_guess import (
    LEAST_SURE,
    can_guess,
    claimed_languages,
    known_languages,
    lacking,
)
from trainables.data.checks.text_counts import QUANTILES

SHARES = ["longest" if share == 1 else f"{share:.0%}" for share in QUANTILES]
LISTED = 4  # scripts and languages of a side
NOTEWORTHY = 0.02  # of the lines of a side, in other languages
MOSTLY = 0.5
LONGEST = 160  # characters of a line that is shown
TEST = "Only numbers of the test split are shown: its text stays closed until the finalists are fixed."


@dataclass(frozen=True)
class Section:
    """A table: its head, and rows that begin with what they are about."""

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""

    def has_text(self, column: int) -> bool:
        """Whether a column holds words rather than numbers."""
        return column == 0 or any(character.isalpha() for row in self.rows for character in row[column])


@dataclass(frozen=True)
class Example:
    """A suspicious pair: why, its number in the split, and its sides, cut where they are long."""

    why: str
    number: int
    source: str
    target: str


def show_facts(facts: CorpusFacts, data: DataConfig, console: Console) -> None:
    """Print them."""
    for section in sections(facts, data):
        table = Table(box=SIMPLE_HEAD, title=section.title, title_justify="left", title_style="bold", pad_edge=False)
        for place, name in enumerate(section.head):
            table.add_column(name, justify="left" if section.has_text(place) else "right", overflow="fold")
        for row in section.rows:
            table.add_row(*row)
        console.print(table, highlight=False, markup=False)
    if shown := list(examples(facts)):
        console.print("Suspicious pairs, the first of each kind", style="bold")
        for each in shown:
            _say(console, f"{each.why}, pair {each.number:,}: {each.source} | {each.target}")
        console.print()
    console.print("What to do", style="bold")
    for finding in findings(facts, data):
        _say(console, f"- {finding}")


def write_facts(file: Path, facts: CorpusFacts, data: DataConfig) -> None:
    """Write the page as one file."""
    from search.translation.templates import OWN  # plotly takes its time to import

    page = OWN.get_template("facts.html.jinja").render(
        title=f"{data.path}: {data.source} to {data.target}",
        pairs=facts.splits[0].pairs,
        findings=list(findings(facts, data)),
        sections=sections(facts, data),
        examples=list(examples(facts)),
    )
    write_atomically(file, page)


def findings(facts: CorpusFacts, data: DataConfig) -> Iterator[str]:
    """What is noteworthy, each with what to do."""
    found = list(_findings(facts, data))
    yield from found or ["nothing: no doubtful pairs were found"]
    if not can_guess():
        yield lacking()
    yield TEST


def _findings(facts: CorpusFacts, data: DataConfig) -> Iterator[str]:
    yield from facts.problems
    train, *others = facts.splits
    for split in facts.splits:
        yield from split.doubts
    for each in train.suspects:
        if each.pairs:
            yield _advice(each, train)
    if "language" not in data.filters.chosen:
        yield from _other_languages(train, data)
    if train.left_out:
        kept = train.pairs - train.left_out
        yield f"data.filters leaves out {train.left_out:,} training pairs, so {kept:,} stay"
    if train.blank:
        yield f"{count(train.blank, 'training pair has', 'training pairs have')} a blank side; a search leaves them out"
    for split in others:
        if split.blank:
            yield f"{split.blank:,} pairs of {split.name} have a blank side, which a search refuses: remove them"
        for other, overlap in split.overlaps.items():
            if overlap.sources:
                yield (
                    f"{overlap.sources:,} of {split.pairs:,} source lines of {split.name} are also in {other}, "
                    f"{overlap.pairs:,} with the same target: scores will look better than they are; remove these "
                    f"lines from {other}"
                )
        if split.new_characters[0]:
            shown = f": {visible(split.shown_characters)}" if split.shown_characters else ""
            yield (
                f"the source side of {split.name} has "
                f"{count(split.new_characters[0], 'character', 'characters')} that the training text lacks{shown}; a "
                "model can't tell them apart, unless tokenizer.byte_fallback writes them as bytes"
            )


def _advice(each: Suspects, train: SplitFacts) -> str:
    what = FILTERS[each.filter].what.format(value=each.value)
    told = (
        f"{count(each.pairs, 'training pair has', 'training pairs have')} {what} ({_percent(each.pairs / train.pairs)})"
    )
    key = f"data.filters.{each.filter}"
    if each.is_on:
        return f"{told}; {key} leaves {'it' if each.pairs == 1 else 'them'} out"
    return f"{told}; to leave {'it' if each.pairs == 1 else 'them'} out: --{key} {str(each.value).lower()}"


def _other_languages(train: SplitFacts, data: DataConfig) -> Iterator[str]:
    for side, claimed in zip(train.sides, claimed_languages(data), strict=True):
        if side.guessed and side.guessed.sure >= LEAST_SURE and claimed in known_languages():
            others = 1 - side.guessed.share_of(claimed)
            if NOTEWORTHY <= others < MOSTLY:  # more is a doubt about the corpus, not about lines
                yield (
                    f"about {others:.0%} of the {side.language} lines of {train.name} read as another language; to "
                    "leave them out: --data.filters.language true"
                )


def sections(facts: CorpusFacts, data: DataConfig) -> list[Section]:
    """The tables of the page."""
    splits = facts.splits
    sides = [(split, side) for split in splits for side in split.sides]
    lengths = [
        *([f"{split.name} {side.language}, characters", *map(_whole, side.characters)] for split, side in sides),
        *([f"{split.name} {side.language}, words", *map(_whole, side.words)] for split, side in sides),
        *([f"{split.name}, ratio", *(f"{ratio:.2f}" for ratio in split.ratios)] for split in splits),
    ]
    return [
        Section("Size", ["", *(split.name for split in splits)], list(_sizes(splits)), _limited(data)),
        Section(
            "Lengths of lines",
            ["", *SHARES],
            lengths,
            "The percentage of lines that are at most this long. Words are separated by spaces. The ratio is that of "
            "the characters of target and source.",
        ),
        Section(
            "Scripts and languages",
            ["", "scripts of the letters", "languages of the lines"],
            [[f"{split.name} {side.language}", _scripts(side), _languages(side)] for split, side in sides],
            "Languages are guessed from some lines from all over the text, where the guess is sure; the first "
            "column has what the configuration claims.",
        ),
        Section(
            "Suspicious pairs",
            ["data.filters", "", *(split.name for split in splits)],
            [list(row) for row in _suspects(splits)],
            "Filters change the training text alone. A filter that is off is counted with a usual value; pairs may "
            "count in several rows.",
        ),
    ]


def _sizes(splits: list[SplitFacts]) -> Iterator[list[str]]:
    yield ["pairs", *(_whole(split.pairs) for split in splits)]
    yield ["with a blank side", *(_whole(split.blank) for split in splits)]
    for place, side in enumerate(splits[0].sides):
        each = [split.sides[place] for split in splits]
        yield [f"words, {side.language}", *(_whole(facts.total_words) for facts in each)]
        yield [f"characters, {side.language}", *(_whole(facts.total_characters) for facts in each)]
        yield [f"different characters, {side.language}", *(_whole(facts.distinct_characters) for facts in each)]
        yield [f"repeated lines, {side.language}", *(_whole(facts.repeated) for facts in each)]
    for earlier in splits[:-1]:
        overlaps = [split.overlaps.get(earlier.name) for split in splits]
        yield [
            f"source lines that are in {earlier.name}",
            *("" if o is None else _whole(o.sources) for o in overlaps),
        ]
        yield [f"pairs that are in {earlier.name}", *("" if o is None else _whole(o.pairs) for o in overlaps)]


def _suspects(splits: list[SplitFacts]) -> Iterator[list[str]]:
    for each in splits[0].suspects:
        counts = [{suspects.filter: suspects.pairs for suspects in split.suspects}.get(each.filter) for split in splits]
        value = "" if each.value is True else f" {each.value:g}"
        yield [
            f"{each.filter}{value} ({'on' if each.is_on else 'off'})",
            FILTERS[each.filter].what.format(value=each.value),
            *("–" if pairs is None else _whole(pairs) for pairs in counts),
        ]


def examples(facts: CorpusFacts) -> Iterator[Example]:
    """The suspicious pairs that may be shown."""
    for split in facts.splits:
        for each in split.suspects:
            for number, source, target in each.shown:
                yield Example(f"{split.name}, {each.filter}", number, _cut(source), _cut(target))


def _limited(data: DataConfig) -> str:
    return f"data.limit: the first {data.limit:,} training pairs are looked at." if data.limit else ""


def _scripts(side: SideFacts) -> str:
    return ", ".join(f"{script} {_percent(share)}" for script, share in list(side.scripts.items())[:LISTED]) or "none"


def _languages(side: SideFacts) -> str:
    if side.guessed is None:
        return "not guessed"
    if not side.guessed.sure:
        return "none for sure"
    shares = list(side.guessed.shares.items())[:LISTED]
    return f"{', '.join(f'{name} {_percent(share)}' for name, share in shares)} of {side.guessed.sure:,} lines"


def _percent(share: float) -> str:
    if share in (0, 1):
        return f"{share:.0%}"
    return "<0.01%" if share < 0.0001 else ">99.99%" if share > 0.9999 else f"{share:.2%}"


def _whole(number: int) -> str:
    return f"{number:,}"


def _cut(text: str) -> str:
    text = visible(text)
    return f"{text[:LONGEST]}…" if len(text) > LONGEST else text


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)

"""How commands print."""

from rich.console import Console


def say(console: Console, text: str) -> None:
    """A line as it is, never wrapped and never taken for markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)

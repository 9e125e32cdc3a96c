"""Pictures of a report, for the README and the documentation: python tools/pictures.py [RUN].

docs/report-desktop.png and docs/report-phone.png are the top of the run's report at the widths of a desktop and a
phone; docs/report-wide.png, report-dark.png and report-print.png are parts of it on a wide screen, in the dark and on
paper, by Chromium. Without a run, the quickstart runs first, and docs/terminal.svg is its output.
"""

import asyncio
import io
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from browser import CHROMIUM, Browser, browser
from rich.console import Console

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS = 100  # of the terminal
PAPER = (688, 1000)  # pixels between the margins of A4, 14 mm each


@dataclass(frozen=True)
class View:
    """A part of the page: the window, its look, and the element that it begins with."""

    width: int
    height: int
    dark: bool = False
    on_paper: bool = False
    begin: str = "body"


VIEWS = {
    "desktop": View(960, 1140),
    "phone": View(390, 1590),
    "wide": View(1440, 1200, begin="#about-parallel-coordinates"),
    "dark": View(960, 1140, dark=True, begin="#about-ranking-figure"),
    "print": View(*PAPER, on_paper=True, begin="#about-learning-curves"),
}


async def take(page: Path) -> None:
    """The pictures of a page. Raises TimeoutError."""
    async with browser() as tab:
        for name, view in VIEWS.items():
            (DOCS / f"report-{name}.png").write_bytes(await picture_of(tab, page, view))


async def picture_of(tab: Browser, page: Path, view: View) -> bytes:
    await tab.window(view.width, view.height, view.dark)
    await tab.open(page)
    if view.on_paper:
        await tab.evaluate('dispatchEvent(new Event("beforeprint"))')
        await tab.window(view.width, view.height, media="print")
    await tab.evaluate(f"document.querySelector('{view.begin}').scrollIntoView()")
    await asyncio.sleep(2)  # figures are drawn when they are seen
    return await tab.picture()


def search(folder: Path) -> Path:
    """Run the quickstart, draw its output into docs/terminal.svg, and return its run directory."""
    command = [sys.executable, "search/run.py", "--name", "quickstart", "--output_dir", str(folder)]
    shown = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    shown.print("$ python search/run.py")
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=DOCS.parent, env=environment) as running:
        assert running.stdout
        for line in running.stdout:
            print(line, end="", flush=True)
            shown.print(line.rstrip().replace(str(folder), "runs"), highlight=False, markup=False)
    if running.returncode:
        sys.exit(running.returncode)
    picture = shown.export_svg(title="babeltune", clear=False)
    # Without the fonts that Rich would fetch from the network.
    (DOCS / "terminal.svg").write_text(re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL))
    return folder / "quickstart"


def main() -> None:
    if CHROMIUM is None:
        sys.exit("needs Chromium")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else search(Path(folder))
        if not (run / "leaderboard.json").exists():
            sys.exit("name a run that has ended, as in python tools/pictures.py runs/NAME")
        asyncio.run(take(run / "report.html"))


if __name__ == "__main__":
    main()

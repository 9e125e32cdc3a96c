"""Pictures for the README: python tools/pictures.py [RUN].

docs/report-desktop.png and docs/report-phone.png are the top of the run's report at the widths of a desktop and a
phone, by Chromium. Without a run, the quickstart runs first, and docs/terminal.svg is its output.
"""

import asyncio
import base64
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

DOCS = Path(__file__).parents[1] / "docs"
SIZES = {"desktop": (960, 1140), "phone": (390, 1590)}  # width and height in pixels
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
SECONDS = 60.0
COLUMNS = 100  # of the terminal


async def take(chromium: str, page: Path) -> None:
    """The pictures of a page. Raises TimeoutError."""
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(SECONDS):
                place = Path(profile) / "DevToolsActivePort"
                while not place.exists() or len(place.read_text().splitlines()) < 2:
                    await asyncio.sleep(0.1)
                port = place.read_text().splitlines()[0]
                async with aiohttp.ClientSession() as session:
                    async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                        tabs = await answer.json()
                    tab = next(tab for tab in tabs if tab["type"] == "page")
                    async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                        for name, size in SIZES.items():
                            picture = await picture_of(socket, page, *size)
                            (DOCS / f"report-{name}.png").write_bytes(picture)
        finally:
            browser.terminate()
            browser.wait()


async def picture_of(socket: aiohttp.ClientWebSocketResponse, page: Path, width: int, height: int) -> bytes:
    numbers = itertools.count(1)

    async def call(method: str, **parameters: Any) -> dict[str, Any]:
        number = next(numbers)
        await socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await socket.receive_json()).get("id") != number:
            pass
        return message["result"]

    await call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
    )
    await call("Emulation.setScrollbarsHidden", hidden=True)
    await call("Page.enable")
    await call("Page.navigate", url=page.absolute().as_uri())
    while (await socket.receive_json()).get("method") != "Page.loadEventFired":
        pass
    await asyncio.sleep(2)  # figures are drawn after the page is loaded
    return base64.b64decode((await call("Page.captureScreenshot", format="png"))["data"])


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
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("needs Chromium")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else search(Path(folder))
        if not (page := run / "report.html").exists():
            sys.exit("name a run that has ended, as in python tools/pictures.py runs/NAME")
        asyncio.run(take(chromium, page))


if __name__ == "__main__":
    main()

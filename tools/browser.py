"""A page in headless Chromium, over its DevTools protocol: for pictures, measurements and tests."""

import asyncio
import base64
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")
SECONDS = 90.0
DRAWN = 0.7  # seconds from the load of a page until its figures are drawn


class Browser:
    """One tab. Messages are answered in their order; events are dropped."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket, self.numbers = socket, itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await self.socket.receive_json()).get("id") != number:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    async def window(self, width: int, height: int, dark: bool = False, media: str = "") -> None:
        """The size of the window, light or dark, for a screen or for print."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        await self.call("Emulation.setScrollbarsHidden", hidden=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    async def open(self, page: Path) -> None:
        """Load a page, and wait until it is drawn."""
        await self.call("Page.enable")
        await self.call("Page.navigate", url=page.absolute().as_uri())
        while (await self.socket.receive_json()).get("method") != "Page.loadEventFired":
            pass
        await asyncio.sleep(DRAWN)

    async def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    async def picture(self, whole: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    async def paper(self, width: float, height: float) -> bytes:
        """A PDF on paper of so many inches."""
        size = {"paperWidth": width, "paperHeight": height, "preferCSSPageSize": False}
        found = await self.call("Page.printToPDF", printBackground=True, **size)
        return base64.b64decode(found["data"])

    async def seconds(self) -> float:
        """CPU seconds that the page has taken."""
        metrics = (await self.call("Performance.getMetrics"))["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser with one tab. Raises TimeoutError."""
    assert CHROMIUM, "needs Chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *FLAGS, *QUIET, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
                        yield Browser(socket)
        finally:
            process.terminate()
            process.wait()

"""What Chromium shows of a report: at widths of a screen, and in the width that paper leaves."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser, browser

DESK, PHONE = 1280, 390
PAPER = {"A4": 688, "Letter": 710}  # pixels between the margins, 14 mm each
KEEP_ERRORS = """
const errors = [];
console.error = (...what) => errors.push(what.map(String).join(" "));
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
"""
DRAW = 'dispatchEvent(new Event("beforeprint")); new Promise((done) => setTimeout(done, 700))'
SHOWN = """({
  errors,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  pictures: [...document.querySelectorAll("[role=img]")].map((picture) => ({
    name: picture.querySelector(".plot").id,
    height: picture.getBoundingClientRect().height,
    alternative: picture.getAttribute("aria-label"),
    marks: picture.querySelectorAll(".point, .js-line, .hm image").length,
  })),
})"""
# The paper's width is given to the body, as a window of that width would let plotly.js draw again.
CUT = """(() => {
  document.body.style.maxWidth = "WIDTHpx";
  const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
    && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const box = (element) => element.getBoundingClientRect();
  return [...document.querySelectorAll(".plot")].flatMap((plot) => {
    const picture = box(plot.querySelector(".main-svg"));
    const parts = [...plot.querySelectorAll(".main-svg .point, .main-svg text")].map(box).filter((each) => each.width);
    const whole = within(picture, box(plot.closest("[role=img]"))) && within(picture, box(plot.closest("section")));
    return whole && picture.right <= box(document.body).right + 1 && parts.every((part) => within(part, picture))
      ? [] : [plot.id];
  });
})()"""


def needs_chromium() -> None:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: the report was not rendered")


def shown_at(page: Path, widths: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """The errors, the pixels that run over, and the figures of a page, by the width of the window."""

    async def look() -> dict[int, dict[str, Any]]:
        found = {}
        async with browser() as tab:
            await tab.call("Page.enable")
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_ERRORS)
            for width in widths:
                await tab.window(width, 900)
                await tab.open(page)
                await tab.evaluate(DRAW)
                found[width] = await tab.evaluate(SHOWN)
        return found

    return asyncio.run(look())


def cut_on_paper(page: Path, then: str) -> list[list[str]]:
    """The figures of which something lies outside their picture, or their picture outside its cell.

    On A4, on Letter, and again on Letter after a script.
    """

    async def look() -> list[list[str]]:
        async with browser() as tab:
            await tab.window(DESK, 900)
            await tab.open(page)
            await tab.evaluate(DRAW)
            await tab.window(DESK, 900, media="print")
            found = [await tab.evaluate(CUT.replace("WIDTH", str(width))) for width in PAPER.values()]
            await tab.evaluate(then)
            return [*found, await tab.evaluate(CUT.replace("WIDTH", str(PAPER["Letter"])))]

    return asyncio.run(look())


def value_of(page: Path, *steps: str | float) -> list[Any]:
    """The values of expressions in a page, one after another; for a number, so many seconds pass."""

    async def take(tab: Browser, step: str | float) -> Any:
        return await (tab.evaluate(step) if isinstance(step, str) else asyncio.sleep(step))

    async def look() -> list[Any]:
        async with browser() as tab:
            await tab.window(DESK, 900)
            await tab.open(page)
            return [await take(tab, step) for step in steps]

    return asyncio.run(look())

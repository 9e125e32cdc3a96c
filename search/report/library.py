"""plotly.js, which draws the figures of a page: of an installation, its part for axes, a third of the whole.

plotly's Python package has the whole alone. `make bundle` fetches the part, which no file of the project has: the build
of a release, and `make install` where npm is there.
"""

from pathlib import Path

BUNDLE = Path(__file__).parent / "plotly-cartesian.min.js"


def plotly_js() -> str:
    """The script. The whole library where the part was not fetched: the pages are the same, and 3 MB larger."""
    if BUNDLE.exists():
        return BUNDLE.read_text(encoding="utf-8")
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script

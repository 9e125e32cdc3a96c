"""The page of `translate --attention`: all layers and heads of the best model, for each sentence."""

from pathlib import Path

from model.decoding import Hypothesis
from search.report.figures.figure import DARK
from search.report.library import plotly_js
from search.translation.attention_figures import attend, attention_figure
from search.translation.best import BestModel
from search.translation.templates import OWN
from trainables.base.files import write_atomically


def write_attention_page(file: Path, best: BestModel, sentences: list[tuple[str, Hypothesis]]) -> None:
    """Write the page as one file that needs no network. sentences: sources, each with the translation found."""
    shown = []
    for number, (source, found) in enumerate(sentences, 1):
        attended = attend(best, source, found)
        figures = [attention_figure(kind, f"attention-{number}-{kind.key}", every_head=True) for kind in attended.kinds]
        shown.append((attended, figures))
    page = OWN.get_template("attention.html.jinja").render(
        shown=shown, data=best.config.data, plotly=plotly_js(), dark=DARK
    )
    write_atomically(file, page)

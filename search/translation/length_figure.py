"""A figure of the lengths of sentences in the corpus."""

from search.report.figures.figure import COLOURS, Figure, empty_plot
from search.settings.wording import plain
from search.translation.corpus_facts import CorpusFacts


def length_figure(facts: CorpusFacts) -> Figure:
    """The distribution of lengths in the training text, in tokens of the best model's tokenizer."""
    train = facts.splits[0]
    plot = empty_plot("tokens of a sentence", "training sentences", height=280, legend=True)
    for side, colour in ((train.source, COLOURS[0]), (train.target, COLOURS[1])):
        plot.add(
            x=list(range(len(side.histogram))),
            y=side.histogram,
            mode="lines",
            line={"color": colour, "shape": "hvh"},
            name=side.language,
            hovertemplate=f"%{{y:,}} of %{{x}} tokens<extra>{side.language}</extra>",
        )
    alternative = "; ".join(
        f"{side.language}: median {plain(side.median)} tokens, longest {side.longest}"
        for side in (train.source, train.target)
    )
    return Figure("length-figure", "How long the sentences are", alternative + ".", alternative, plot)

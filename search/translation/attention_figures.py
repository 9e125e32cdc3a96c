"""The attention of a model in one sentence, as heatmaps in whole percent."""

from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import torch

from model.attention_maps import attention_maps
from model.decoding import Hypothesis
from model.special_tokens import BOS, EOS
from search.report.figures.figure import FONT, INK, Figure, Plot
from search.translation.best import BestModel
from trainables.training.evaluation import find_hypotheses

SCALE = [[0, "#ffffff"], [0.5, "#4c9fd0"], [1, "#08306b"]]
CHOSEN = 3  # sentences in a report
CELL, LABELS = 17, 110  # pixels: the smallest side of a cell, and the space for tokens beside the cells


@dataclass(frozen=True)
class Attention:
    """One kind of attention in all layers: how much rows attend to columns, in percent."""

    key: Literal["cross", "encoder", "decoder"]
    rows: list[str]  # tokens
    columns: list[str]
    percent: np.ndarray  # (layers, heads, rows, columns) uint8; a row adds up to about 100

    @property
    def name(self) -> str:
        """Its name in a report."""
        return "Cross-attention" if self.key == "cross" else f"{self.key.capitalize()} self-attention"

    def view(self, layer: int, head: int | None) -> np.ndarray:
        """The weights of one head, or their mean over heads: (rows, columns) uint8."""
        heads = self.percent[layer]
        return heads[head] if head is not None else heads.mean(axis=0).round().astype(np.uint8)

    def title(self, layer: int, head: int | None) -> str:
        """The layer and head of a view."""
        number = len(self.percent[layer])
        return f"layer {layer + 1}, {f'mean of {number} heads' if head is None else f'head {head + 1}'}"

    def alternative(self, layer: int, head: int | None) -> str:
        """The text alternative: for each row, the column that it attends to most."""
        view = self.view(layer, head)
        most = zip(self.rows, view.argmax(axis=1), view.max(axis=1), strict=True)
        pairs = "; ".join(f"{row}: {self.columns[column]} {percent}%" for row, column, percent in most)
        return f"{self.name}, {self.title(layer, head)}; each token and the one it attends to most: {pairs}"


@dataclass(frozen=True)
class AttendedSentence:
    """A sentence and its translation, with the attention of all their tokens."""

    source: str
    translation: str
    cross: Attention
    encoder: Attention
    decoder: Attention

    @property
    def kinds(self) -> tuple[Attention, Attention, Attention]:
        """The three kinds of attention."""
        return self.cross, self.encoder, self.decoder


@dataclass(frozen=True)
class AttentionFigure(Figure):
    """A heatmap, or several for layers and heads, of which one is shown at a time."""

    attention: Attention

    @property
    def widths(self) -> tuple[int, int]:
        """The smallest and largest good width in pixels."""
        columns = len(self.attention.columns)
        return LABELS + CELL * columns, LABELS + max(3 * CELL * columns, 200)


def attend(best: BestModel, source: str, found: Hypothesis) -> AttendedSentence:
    """The attention of the model for a source and the translation that it found.

    A row of the decoder is the token that is predicted from the tokens before it, beginning with the start sign.
    """
    device = best.model.target_embedding.weight.device
    read = best.tokenizer.encode_source([source])[0].tolist()
    maps = attention_maps(
        best.model, torch.tensor([read], device=device), torch.tensor([[BOS, *found.ids]], device=device)
    )
    encoder, decoder, cross = (
        (torch.cat(layers) * 100).round().to(torch.uint8).cpu().numpy()
        for layers in (maps.encoder, maps.decoder, maps.cross)
    )
    pieces = best.tokenizer.source_pieces(read)
    written = best.tokenizer.target_pieces([*found.ids, EOS])
    before = best.tokenizer.target_pieces([BOS, *found.ids])
    return AttendedSentence(
        source,
        best.tokenizer.decode_target([found.ids])[0],
        Attention("cross", written, pieces, cross),
        Attention("encoder", pieces, pieces, encoder),
        Attention("decoder", written, before, decoder),
    )


def attend_to_some(
    best: BestModel, sentences: list[str], beam_size: int, length_penalty: float
) -> list[AttendedSentence]:
    """Translate a few of the sentences, of medium length, and compute the attention."""
    skipped = max(0, len(sentences) - CHOSEN) // 2
    chosen = sorted(sentences, key=len)[skipped : skipped + CHOSEN]
    found = find_hypotheses(best.model, best.tokenizer.encode_source(chosen), beam_size, length_penalty)
    return [attend(best, source, hypotheses[0]) for source, hypotheses in zip(chosen, found, strict=True)]


def attention_figure(attention: Attention, name: str, every_head: bool = False) -> AttentionFigure:
    """The mean over the heads of the last layer. With `every_head`, also all heads of all layers, hidden.

    The hidden ones are in the order of layers; for each layer, first the mean, then its heads.
    """
    layers, heads = attention.percent.shape[:2]
    last = (layers - 1, None)
    views = [(layer, head) for layer in range(layers) for head in (None, *range(heads))] if every_head else [last]
    plot = Plot(_layout(attention))
    for layer, head in views:
        plot.add(
            "heatmap",
            z=attention.view(layer, head),
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            visible=(layer, head) == last,
            meta=attention.alternative(layer, head),  # for a page that switches between them
            hovertemplate="%{y} attends %{z}% to %{x}<extra></extra>",
        )
    title, alternative = attention.title(*last), attention.alternative(*last)
    return AttentionFigure(name, attention.name, title, alternative, plot, attention, own_colours=True)


def _layout(attention: Attention) -> dict[str, Any]:
    # Places are numbers with tokens as labels, as a sentence may have a token twice.
    x, y = (
        {
            "tickvals": list(range(len(tokens))),
            "ticktext": [escape(token) for token in tokens],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
        }
        for tokens in (attention.columns, attention.rows)
    )
    return {
        "height": LABELS + CELL * len(attention.rows),
        "margin": {"l": 10, "r": 30, "t": 10, "b": 10},  # on the right, space for the last label, which is slanted
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#e6e8eb",
        "font": {"family": FONT, "size": 12, "color": INK},
        "coloraxis": {"colorscale": SCALE, "cmin": 0, "cmax": 100, "showscale": False},
        "xaxis": x | {"side": "top", "tickangle": -60},
        "yaxis": y | {"autorange": "reversed"},
    }

"""Whether line i translates line i, as far as lengths tell: translations of long sentences are long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.base.errors import Doubt
from trainables.data.reading.text import Text

# The lengths of translations go together. The correlation of their logarithms in a block is 0.85 and more in Multi30k,
# 0.92 in the phrasebook, 0.35 to 1 in programs' messages of 49 pairs of languages (0.35: English to Chinese, up to 12
# characters). With a target some lines off it is at most 0.45 (Multi30k), and never above that of line with line less
# 0.2; in shuffled text it is 0.2 at most (all measured).
BLOCK, BLOCKS = 200, 400  # pairs of a block; blocks looked at, evenly from all over the text
LEAST_SPREAD = 0.2  # of log lengths (standard deviation); those of text of even lengths say nothing
UNRELATED = 0.2  # a correlation below it is none: three standard errors of a block
FITTING, BETTER = 0.5, 0.3  # the correlation that shows a shift, and how far above that of line with line
FARTHEST = 10  # lines by which a shift is looked for
REFUSED = 0.1  # of the blocks shifted; fewer may be a document that was aligned badly
MOST = 0.5  # of the blocks unrelated
# The ratio of two lengths is implausible that differs from the median ratio by a factor of 4 and by 4 standard
# deviations. No pair of Multi30k's 29,000 has such a ratio, and 0 to 7 in 10,000 messages have.
FACTOR, DEVIATIONS = 4, 4
RATIOS = 1_000_000  # pairs whose ratios are looked at together, and by which a ratio is judged
SHORT = 40  # characters of the longer side; shorter pairs are exempt


@dataclass(frozen=True)
class _Pairs:
    """The pairs of a split; numbers has the place of each in its file."""

    name: str
    split: Text
    numbers: Sequence[int]

    def show(self, place: int) -> str:
        """A pair and its number in the file, shortened for a message."""
        source, target = (_shown(side[place]) for side in self.split.sides)
        return f"pair {self.numbers[place]:,}: {source} | {target}"


def check_lengths(name: str, split: Text, numbers: Sequence[int]) -> list[str]:
    """What is noteworthy about the lengths of the pairs, where numbers has the place of each in its file.

    Raises Doubt where lines do not translate each other.
    """
    pairs = _Pairs(name, split, numbers)
    source, target = (np.maximum(np.fromiter(map(len, side), np.int32, len(side)), 1) for side in split.sides)
    firsts = _blocks(source, target)
    warnings = _check_alignment(pairs, firsts, _fits(source, target, firsts)) if len(firsts) else []
    return [*warnings, *_odd_ratios(pairs, source, target)]


def _check_alignment(pairs: _Pairs, firsts: np.ndarray, fits: np.ndarray) -> list[str]:
    """Judge blocks that begin at `firsts`, by their correlations at each shift."""
    straight, best = fits[:, FARTHEST], fits.max(axis=1)
    shifted = (best >= FITTING) & (best - straight >= BETTER)
    unrelated = straight < UNRELATED
    if shifted.any():
        block = int(shifted.argmax())
        lines = int(fits[block].argmax()) - FARTHEST
        told = (
            f"about {_percent(shifted)} of the pairs of {pairs.name} are shifted, the first near pair "
            f"{pairs.numbers[firsts[block]]:,}: by their lengths, a source goes with the target {abs(lines)} "
            f"{'line' if abs(lines) == 1 else 'lines'} {'below' if lines > 0 else 'above'} it; "
            f"{pairs.show(firsts[block] + BLOCK // 2)}"
        )
        if shifted.mean() >= REFUSED:
            raise Doubt(f"data.path: {told}; look for a line missing or too many on one side, there or before it")
        return [told]
    if unrelated.mean() > MOST:
        raise Doubt(
            f"data.path: the lines of {pairs.name} do not translate each other: how long a source is says nothing of "
            f"its target (correlation {np.median(straight):.2f}, where translations have 0.5 to 1); "
            f"{pairs.show(firsts[int(unrelated.argmax())])}; was one side shuffled or sorted?"
        )
    if unrelated.mean() >= REFUSED:
        return [
            f"in about {_percent(unrelated)} of {pairs.name} how long a source is says nothing of its target; do these "
            f"lines translate each other? {pairs.show(firsts[int(unrelated.argmax())])}"
        ]
    return []


def _blocks(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where the blocks begin whose lengths vary enough to say something."""
    count = min(len(source) // BLOCK, BLOCKS)
    firsts = np.linspace(0, len(source) - BLOCK, count).astype(int) if count else np.array([], int)
    varied = [
        min(np.log(side[first : first + BLOCK]).std() for side in (source, target)) >= LEAST_SPREAD for first in firsts
    ]
    return firsts[np.array(varied, bool)]


def _fits(source: np.ndarray, target: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """A row for each block: the correlations of its sources with the targets 10 lines above to 10 lines below."""
    shifts = range(-FARTHEST, FARTHEST + 1)
    return np.array([[_correlation(source, target, first, shift) for shift in shifts] for first in firsts])


def _correlation(source: np.ndarray, target: np.ndarray, first: int, shift: int) -> float:
    start, end = max(first, -shift), min(first + BLOCK, len(target) - shift)
    one, other = np.log(source[start:end]), np.log(target[start + shift : end + shift])
    spread = one.std() * other.std()
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else 0.0


def _odd_ratios(pairs: _Pairs, source: np.ndarray, target: np.ndarray) -> list[str]:
    step = -(-len(source) // RATIOS)
    ratios = np.log(target[::step]) - np.log(source[::step])
    middle = float(np.median(ratios))
    deviation = 1.4826 * float(np.median(np.abs(ratios - middle)))  # 1.4826: of a normal distribution
    plausible, count, first = max(math.log(FACTOR), DEVIATIONS * deviation), 0, 0
    for start in range(0, len(source), RATIOS):
        logs = [np.log(side[start : start + RATIOS]) for side in (source, target)]
        long = np.maximum(logs[0] + middle, logs[1]) >= math.log(SHORT)
        odd = np.flatnonzero((np.abs(logs[1] - logs[0] - middle) > plausible) & long)
        if len(odd) and not count:
            first = start + int(odd[0])
        count += len(odd)
    if not count:
        return []
    return [
        f"{count:,} of {len(source):,} pairs of {pairs.name} have sides of implausible lengths, the first is "
        f"{pairs.show(first)}"
    ]


def _percent(holds: np.ndarray) -> str:
    return f"{max(holds.mean(), 0.01):.0%}"


def _shown(text: str) -> str:
    return f"{text[:40]}…" if len(text) > 41 else text

"""Figures of time: which trial each slot trained when, and how busy the GPUs were."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from search.finals.board import LeaderboardEntry
from search.record.journal import JournalLine
from search.report.figures.figure import COLOURS, GREY, Figure, colours_of, empty_plot
from search.settings.wording import count, duration

UNITS = ((120.0, 1.0, "seconds"), (7200.0, 60.0, "minutes"), (float("inf"), 3600.0, "hours"))  # up to, of, name
LANE = 15  # pixels for a slot
APART = 1.5  # seconds that the clock of the journal, which is in whole seconds, may be off


@dataclass(frozen=True)
class Stretch:
    """The time from one report of a trial to the next, in seconds; the driver's clock is in whole ones."""

    kind: str
    trial: int
    begin: float
    end: float
    busy: float | None  # percent, of its GPU


def timeline(reports: list[JournalLine], finals: list[JournalLine], ranking: list[LeaderboardEntry]) -> list[Figure]:
    """The slots over time, and the use of GPUs if it is known; none for reports without a time."""
    stretches = sorted((*_stretches("trial", reports), *_stretches("final", finals)), key=lambda each: each.begin)
    if not stretches:
        return []
    start, end = stretches[0].begin, max(each.end for each in stretches)
    scale, unit = next((size, name) for most, size, name in UNITS if end - start < most)
    slots = _in_slots(stretches)
    lanes = 1 + max(slots)
    finalist = {number: entry.trial for entry in ranking for number in entry.final_trials}
    colours = colours_of(ranking)
    drawn: dict[tuple[str, str], list[int]] = {}  # colour and name in the legend
    for place, each in enumerate(stretches):
        trial = finalist.get(each.trial, -1) if each.kind == "final" else each.trial
        name = f"trial {trial}" if trial in colours else "other trials"
        drawn.setdefault((colours.get(trial, GREY), name), []).append(place)
    plot = empty_plot(f"{unit} since the first trial began", "slot", height=110 + LANE * lanes, legend=True)
    gap = 0.002 * (end - start)  # between stretches, to see where one ends
    for (colour, name), places in sorted(drawn.items(), key=lambda each: each[0][1] != "other trials"):
        x, y, text = list[float | None](), list[int | None](), list[str | None]()
        for place in places:
            each = stretches[place]
            last = max(each.begin + gap / 4, each.end - gap)
            x += [(each.begin - start) / scale, (last - start) / scale, None]
            y += [slots[place] + 1, slots[place] + 1, None]
            text += [f"{each.kind} {each.trial}, {duration(each.end - each.begin)}"] * 2 + [None]
        line = {"color": colour, "width": 0.6 * LANE}
        plot.add(x=x, y=y, text=text, mode="lines", line=line, name=name, hovertemplate="%{text}<extra></extra>")
    plot.axis("y", range=[lanes + 0.6, 0.4], dtick=max(1, lanes // 8), showgrid=False)
    mean = sum(each.end - each.begin for each in stretches) / (end - start) if end > start else lanes
    told = f"Up to {count(lanes, 'trial', 'trials')} at a time, {min(mean, lanes):.1f} on average"
    caption = f"{told}. A bar is the training and validation for one report; finalists and their retrainings in colour."
    figure = Figure("timeline-figure", "What ran when", caption, told, plot)
    return [figure, *_gpu_use(stretches, start, scale, unit)]


def _stretches(kind: str, lines: Iterable[JournalLine]) -> Iterator[Stretch]:
    for line in lines:
        if line.time is not None:
            end, took = datetime.fromisoformat(line.time).timestamp(), line.report
            begin = end - took.train_seconds - took.eval_seconds
            yield Stretch(kind, line.trial, begin, end, took.gpu_utilization)


def _in_slots(stretches: list[Stretch]) -> list[int]:
    """A slot for each stretch, in their order: that of its trial if it is free, else the one that is free longest."""
    until, last, slots = list[float](), list[tuple[str, int]](), list[int]()
    for each in stretches:
        mine = (each.kind, each.trial)
        free = [slot for slot, end in enumerate(until) if end <= each.begin + APART]
        own = [slot for slot in free if last[slot] == mine]
        slot = min(own or free, key=until.__getitem__, default=len(until))
        if slot == len(until):
            until.append(0.0)
            last.append(mine)
        until[slot], last[slot] = each.end, mine
        slots.append(slot)
    return slots


def _gpu_use(stretches: list[Stretch], start: float, scale: float, unit: str) -> list[Figure]:
    """The utilisation of GPUs in percent, as a mean over the trials in training at a time."""
    known = [each for each in stretches if each.busy is not None]
    if not known:
        return []
    ends = [((each.begin, 1, each.busy or 0.0), (each.end, -1, each.busy or 0.0)) for each in known]
    changes = sorted(change for both in ends for change in both)
    x, y, total, trials = list[float](), list[float](), 0.0, 0
    for (moment, sign, busy), (following, *_) in pairwise(changes):
        total, trials = total + sign * busy, trials + sign
        if following > moment:
            x += [(moment - start) / scale]
            y += [total / trials if trials else 0.0]
    x.append((changes[-1][0] - start) / scale)
    y.append(y[-1] if y else 0.0)
    plot = empty_plot(f"{unit} since the first trial began", "GPU utilisation, %", height=240)
    line = {"color": COLOURS[0], "shape": "hv", "width": 1.5}
    plot.add(x=x, y=y, mode="lines", line=line, hovertemplate="%{y:.0f}%<extra></extra>")
    plot.axis("y", range=[0, 105])
    seconds = sum(each.end - each.begin for each in known)
    mean = sum((each.busy or 0.0) * (each.end - each.begin) for each in known) / (seconds or 1.0)
    told = f"On average {mean:.0f}% of the time in which trials trained"
    caption = f"{told}. Measured at the end of each training; the mean of the trials at the time."
    return [Figure("gpu-figure", "How busy the GPUs were", caption, told, plot)]

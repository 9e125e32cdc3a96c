"""What a report costs after 250, 500, 1,000 and 2,000 trials: CPU seconds, and the size of the page.

python bench/report.py [TRIALS ...] [--keep FILE] [--browser] [--profile]

A halved search on the space of configs/architecture.yaml with the scores of bench/landscape.py, eight epochs, rungs at
1, 2 and 4; three finalists. --keep writes the last page to FILE, --browser opens each in Chromium, and --profile prints
where the time goes.
"""

import argparse
import asyncio
import cProfile
import pstats
import sys
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from landscape import expected, make_experiment
from optuna.trial import TrialState

from search.finals.board import Cost, DataSize, Leaderboard, LeaderboardEntry, Significance
from search.finals.comparison import Comparison
from search.record.attributes import Attributes
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.page import Findings, write_report
from search.samplers.base import Task, distinct, uniform_draws
from search.settings.experiment import Experiment
from search.translation.finals import FINALS
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport
from trainables.base.translation_config import as_translation

EPOCHS, RUNGS, NOISE = 8, (1, 2, 4), 0.4
STARTED = 1_760_000_000  # seconds since 1970


def searched(trials: int) -> Findings:
    """What a halved search of so many trials has found."""
    tree = make_experiment("random", trials, 0).model_dump(mode="json")
    tree |= {"name": "large"}
    tree["training"] |= {"epochs": EPOCHS}
    tree["search"] |= {"scheduler": {"kind": "asha", "rungs": list(RUNGS)}}
    experiment = Experiment.model_validate(tree)
    task, rng = Task(experiment.space, experiment.accept, 0), np.random.default_rng(0)
    drawn = list(islice(distinct(task, uniform_draws(task, rng), rng), trials))
    worth = np.array([expected(as_translation(experiment.trial.with_values(params))) for params in drawn])
    curves = worth[:, None] * (1 - 0.7 ** np.arange(1, EPOCHS + 1)) + rng.normal(0, NOISE, (trials, EPOCHS))
    last = np.full(trials, EPOCHS)
    for rung in RUNGS:
        going = np.flatnonzero(last > rung)
        last[going[np.argsort(-curves[going, rung - 1])[len(going) // 3 :]]] = rung
    found, lines = [], []
    for number, (params, end) in enumerate(zip(drawn, last.tolist(), strict=True)):
        scores = {epoch: float(curves[number, epoch - 1]) for epoch in range(1, end + 1)}
        ended = Outcome.COMPLETED if end == EPOCHS else Outcome.STOPPED
        state = TrialState.COMPLETE if end == EPOCHS else TrialState.PRUNED
        found.append(StudyTrial(number, number, params, state, scores, Attributes(ended), scores.get(EPOCHS)))
        lines += [line_of(number, epoch, score) for epoch, score in scores.items()]
    best = sorted((t for t in found if t.value is not None), key=lambda t: -(t.value or 0))[:3]
    ranking = [ranked(place, trial) for place, trial in enumerate(best, 1)]
    finals = [line_of(n, epoch, 30.0 + epoch) for e in ranking for n in e.final_trials for epoch in range(1, 9)]
    return Findings(
        experiment=experiment,
        trials=found,
        reports=lines,
        finals=finals,
        leaderboard=board(ranking, trials, int(last.sum())),
        by=FINALS.metrics(experiment)[0],
        data="en to fr, made up",
        sections="",
        test_opened=["2026-01-02T03:04:05+0000"],
        spending=[],
        planned=[],
    )


def line_of(trial: int, epoch: int, score: float) -> JournalLine:
    figures = {"train_loss": 5 - epoch / 4, "valid_loss": 5 - epoch / 5, "valid_nll_per_char": 1.0, "tokens": 1e5}
    report = EpochReport(epoch, epoch, figures | {"valid_bleu": score}, train_seconds=60.0, eval_seconds=6.0)
    when = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(STARTED + 66 * (trial // 4 + epoch)))
    return JournalLine(trial, report, None, when)


def ranked(rank: int, trial: StudyTrial) -> LeaderboardEntry:
    return LeaderboardEntry(
        rank=rank,
        group=rank,
        trial=trial.number,
        config=trial.params,
        seeds=[2, 3, 4],
        final_trials=list(range(3 * rank - 3, 3 * rank)),
        score=40.0 - rank,
        score_std=0.3,
        score_ci=(38.5 - rank, 41.5 - rank),
        figures={"valid_bleu": 40.0 - rank, "valid_nll_per_char": 1.0},
        intervals={},
        groups={},
        num_parameters=1_000_000 * rank,
        train_seconds=500.0,
        pareto=rank == 1,
        untrained=False,
    )


def board(ranking: list[LeaderboardEntry], trials: int, epochs: int) -> Leaderboard:
    pairs = [(a.trial, b.trial) for place, a in enumerate(ranking) for b in ranking[place + 1 :]]
    return Leaderboard(
        experiment="large",
        metric="test_bleu",
        corpus=DataSize("corpus", "en", "fr", train_pairs=8000, valid_pairs=500, test_pairs=500),
        signatures={"bleu": "nrefs:1|version:2"},
        search=Cost(trials, epochs, EPOCHS * trials, 66.0 * epochs, 16.5 * epochs),
        decided_by="test_bleu",
        notes=[],
        ranking=ranking,
        comparisons=[Comparison(a, b, 1.0, (0.5, 1.5), 0.01, 0.02, 0.03, 0.04) for a, b in pairs],
        further={},
        chosen=ranking[0].trial,
        significance=Significance(0.95, 1000, 1000, 1, 0.3, len(ranking)),
    )


async def opening(file: Path) -> float:
    """CPU seconds of the page's process until the page is shown in a window of 1280 by 900 pixels."""
    from browser import browser

    async with browser() as tab:
        await tab.call("Performance.enable")
        await tab.window(1280, 900)
        before = await tab.seconds()
        await tab.open(file)
        await asyncio.sleep(2)
        return await tab.seconds() - before


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1] / "tools"))  # the browser
    parser = argparse.ArgumentParser()
    parser.add_argument("trials", nargs="*", type=int, default=[250, 500, 1000, 2000])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = options.keep or Path(folder) / "report.html"
        write_report(file, searched(30))  # what is imported at the first use is not counted
        for trials in options.trials:
            found, profile = searched(trials), cProfile.Profile()
            started = time.process_time()
            if options.profile:
                profile.enable()
            write_report(file, found)
            profile.disable()
            seconds, size = time.process_time() - started, file.stat().st_size
            opened = f", {asyncio.run(opening(file)):.2f} CPU s to open" if options.browser else ""
            print(f"{trials} trials: {seconds:.1f} CPU s, {size / 1e6:.2f} MB{opened}", flush=True)
            if options.profile:
                pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()

"""The last step of a search: from tested finalists to ranking, best model and report."""

from dataclasses import dataclass

from search.finals.board import Cost, Leaderboard
from search.finals.deciding import explain_ranking
from search.finals.leaderboard import Entry, Ranking, compare, compare_beside, rank, write_leaderboard
from search.finals.outlook import Settings, Trained, explain_open_pairs
from search.finals.protocol import Finals
from search.finals.rounds import Rounds
from search.finals.significance import Evidence
from search.finals.stages import Statistics, Systems, TestMetric
from search.record.budget import spent_on
from search.record.journal import JournalLine, Totals
from search.record.study import Study
from search.record.table import as_csv, trial_rows
from search.report.live import LOCK
from search.report.page import Findings, write_report
from search.report.rewriting import keep_findings
from search.run_directory.inputs import read_starts
from search.settings.experiment import Experiment
from trainables.base.files import write_atomically
from trainables.base.locks import locked
from trainables.base.sealing import read_sealed


@dataclass(frozen=True)
class Results:
    """The results of a search and its finals."""

    study: Study  # of the search
    trials: list[JournalLine]  # the lines of trials.jsonl
    finals: list[JournalLine]  # the lines of finals.jsonl
    entries: list[Entry]  # none if the ranking of earlier finals stands


@dataclass(frozen=True)
class Remarks:
    """Sentences for the report and the leaderboard; `opened_before` has times."""

    opened_before: list[str]  # when test data were opened for earlier rankings
    spending: list[str]  # about the budget
    planned: list[str]  # about the plan and how far off it was
    notes: list[str]  # about anything else


def conclude(experiment: Experiment, results: Results, remarks: Remarks) -> Leaderboard:
    """Rank the entries, and write the leaderboard, best/ and report.html."""
    run_dir = experiment.run_dir
    ways: Finals = experiment.definition.part("finals")
    test = ways.open(experiment, "ranking, and what the report shows of it")
    metric, *others = ways.metrics(experiment)
    entries = rank(results.entries, metric)

    def statistics(by: TestMetric) -> list[list[Statistics]]:
        return [ways.statistics(by, entry, test, experiment) for entry in entries]

    rounds = Rounds.read(run_dir)
    looks = rounds.looks(entries) if rounds else None
    measured = statistics(metric)
    evidence = compare(entries, measured, metric, looks)
    beside = {other.name: compare_beside(statistics(other), other, looks) for other in others}
    untrained = [entry.finalist.trial for entry in entries if ways.is_untrained(entry, experiment)]
    ranking = Ranking(
        experiment=str(experiment.name),
        metric=metric,
        entries=entries,
        evidence=evidence,
        figures=[ways.figures(entry, experiment) for entry in entries],
        signatures=ways.signatures(experiment),
        goals=experiment.search,
        untrained=untrained,
        beside={name: found for name, found in beside.items() if found},
        outlook=[*(rounds.explain() if rounds else []), *_outlook(experiment, entries, evidence, measured, metric)],
    )
    about = [
        *explain_ranking([entry.score for entry in entries], metric, experiment),
        *(f"trial {trial} is untrained: its validation loss is no lower than without learning" for trial in untrained),
    ]
    cost, data = search_cost(experiment, results), ways.data(experiment, test)
    board = write_leaderboard(run_dir, ranking, cost, data, [*remarks.notes, *about])
    ways.keep_best(next(entry for entry in entries if entry.finalist.trial == board.chosen), experiment)
    findings = Findings(
        experiment=experiment,
        trials=list(results.study.trials.values()),
        reports=results.trials,
        finals=results.finals,
        leaderboard=board,
        by=metric,
        data=ways.describe_data(board) or experiment.definition.title,
        sections=ways.sections(entries, test, board, experiment),
        test_opened=[*remarks.opened_before, read_sealed(run_dir / "finalists.json")["frozen_at"]],
        spending=remarks.spending,
        planned=remarks.planned,
        starts=read_starts(run_dir),
    )
    write_findings(findings, board.notes[len(remarks.notes) :])
    return board


def write_findings(found: Findings, about_ranking: list[str]) -> None:
    """Write trials.csv and report.html, and what it takes to write the report again.

    about_ranking: the notes of the leaderboard that are about the ranking.
    """
    run_dir, search = found.experiment.run_dir, found.experiment.search
    rows = trial_rows(found.trials, found.reports, search.metric, search.budget.price_per_gpu_hour)
    write_atomically(run_dir / "trials.csv", as_csv(rows))
    with locked(run_dir / LOCK):
        write_report(run_dir / "report.html", found)
    keep_findings(run_dir, found, about_ranking)


def _outlook(
    experiment: Experiment, entries: list[Entry], evidence: Evidence, measured: Systems, by: TestMetric
) -> list[str]:
    """Sentences on finalists that were not told apart; none if their scores can't be compared."""
    if not by.metric.tells_apart([entry.score for entry in entries]):
        return []
    finalists = [Trained(entry.finalist.trial, len(entry.models), entry.device_seconds) for entry in entries]
    settings = Settings(experiment.finals.margin, experiment.search.budget.price_per_gpu_hour)
    return explain_open_pairs(finalists, evidence, by, sum(map(len, measured[0][0])), settings)


def search_cost(experiment: Experiment, results: Results) -> Cost:
    """What the search has spent."""
    study, totals = results.study, Totals(results.trials)
    return Cost(
        trials=len(study.trials),
        epochs_trained=spent_on(study, totals).epochs,
        epochs_full=sum(experiment.training.epochs - trial.inherited for trial in study.trials.values()),
        gpu_seconds=totals.seconds,
        wall_seconds=study.wall_seconds,
        idle_seconds=study.idle_seconds,
    )

"""From finalists that are scored to what people read: the ranking, the best model, the report."""

from pathlib import Path

from search.finals.best import read_best, write_best
from search.finals.board import CorpusSize, Cost, Leaderboard
from search.finals.deciding import explain_ranking
from search.finals.leaderboard import Entry, rank, write_leaderboard
from search.record.journal import JournalLine
from search.record.study import Study
from search.report.attention_figures import attend_to_some
from search.report.corpus_facts import corpus_facts
from search.report.page import Findings, Sample, write_report
from search.settings.experiment import Experiment
from trainables.base.sealing import read_sealed
from trainables.data.corpus import Split, read_test
from trainables.data.corpus_cache import cached_corpus
from trainables.data.preparing import prepare

SAMPLES = 12  # translations shown in the report


def conclude(
    experiment: Experiment,
    study: Study,
    trials: list[JournalLine],
    finals: list[JournalLine],
    entries: list[Entry],
    opened_before: list[str],
    spending: list[str],
    planned: list[str],
    notes: list[str],
) -> Leaderboard:
    """Rank the entries and write leaderboard, best/ and report.html.

    trials, finals: the lines of trials.jsonl and finals.jsonl. opened_before: when test was opened for rankings before
    this one. spending: sentences on the budget. planned: on how far off the plan was. notes: on what else is to be
    known.
    """
    run_dir, data = experiment.run_dir, experiment.data
    test = read_test(data, run_dir, "ranking; translations and attention for the report")
    corpus = cached_corpus(data, experiment.cache)
    size = CorpusSize(
        path=data.path,
        source=data.source,
        target=data.target,
        train_pairs=len(corpus.train),
        valid_pairs=len(corpus.valid),
        test_pairs=len(test),
    )
    entries, evidence = rank(entries, test.target)
    cost = _cost(experiment, study, trials)
    untrained = [entry.finalist.trial for entry in entries if _learnt_nothing(entry, experiment.cache)]
    notes = (
        notes
        + explain_ranking([entry.bleu for entry in entries])
        + [
            f"trial {trial} is untrained: its validation loss is no lower than how frequent each piece is makes it"
            for trial in untrained
        ]
    )
    board = write_leaderboard(run_dir, str(experiment.name), size, cost, entries, evidence, untrained, notes)
    model, result = entries[0].best
    network, tokenizer = model.load(experiment.cache)
    write_best(run_dir, network, tokenizer, model.config, result.decoding, result.translations)
    samples = _samples(test, entries[:2])
    sources, decoding = [sample.source for sample in samples], result.decoding
    frozen_at = read_sealed(run_dir / "finalists.json")["frozen_at"]
    prepared = prepare(model.config.data, model.config.tokenizer, experiment.cache)  # in tokens of the best model
    findings = Findings(
        experiment=experiment,
        trials=list(study.trials.values()),
        reports=trials,
        finals=finals,
        leaderboard=board,
        samples=samples,
        attended=attend_to_some(read_best(run_dir), sources, decoding.beam_size, decoding.length_penalty),
        corpus=corpus_facts((data.source, data.target), corpus.train, test, prepared),
        test_opened=[*opened_before, frozen_at],
        spending=spending,
        planned=planned,
    )
    write_report(run_dir / "report.html", findings)
    return board


def _learnt_nothing(entry: Entry, cache: Path) -> bool:
    """Whether its loss is no better than that of who knows the frequencies of pieces alone."""
    config = entry.models[0].config
    return entry.valid_nll_per_char >= prepare(config.data, config.tokenizer, cache).untrained_nll_per_char


def _cost(experiment: Experiment, study: Study, trials: list[JournalLine]) -> Cost:
    return Cost(
        trials=len(study.trials),
        epochs_trained=sum(trial.trained for trial in study.trials.values()),
        epochs_full=sum(experiment.training.epochs - trial.inherited for trial in study.trials.values()),
        gpu_seconds=sum(line.report.device_seconds for line in trials),
        wall_seconds=study.wall_seconds,
    )


def _samples(test: Split, entries: list[Entry]) -> list[Sample]:
    """Sentences from all over the test split with the systems' translations, of the first seed each."""
    return [
        Sample(
            test.source[row],
            test.target[row],
            {f"trial {entry.finalist.trial}": entry.results[0].translations[row] for entry in entries},
        )
        for row in range(0, len(test), max(1, len(test) // SAMPLES))[:SAMPLES]
    ]

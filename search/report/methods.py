"""A paragraph on methods for a paper, and what to cite."""

from search.finals.board import Leaderboard
from search.finals.stages import TestMetric
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.wording import count, duration, plain
from trainables.base.installed import version_of
from trainables.base.outcomes import Outcome

CITATION = f"""@software{{babeltune,
  title   = {{babeltune}},
  author  = {{{{The babeltune authors}}}},
  version = {{{version_of("babeltune")}}},
  license = {{Apache-2.0}}
}}"""
HALVING = "Li et al. (2020), A System for Massively Parallel Hyperparameter Tuning (ASHA)"


def describe_methods(experiment: Experiment, board: Leaderboard, by: TestMetric, trials: list[StudyTrial]) -> str:
    """How the search was done and its result was tested, in a few sentences."""
    search, significance, best = experiment.search, board.significance, board.ranking[0]
    stopped = sum(trial.outcome == Outcome.STOPPED for trial in trials)
    numbers = sorted({len(entry.seeds) for entry in board.ranking})
    seeds = f"{count(numbers[-1], 'seed', 'seeds')} each"
    raced = experiment.finals.most_seeds is not None
    if raced:
        seeds = (
            f"{' to '.join(map(str, numbers[:1] + numbers[1:][-1:]))} seeds, added where they would most likely decide"
        )
    sentences = []
    if experiment.space.domains:
        hyperparameters = count(len(experiment.space.domains), "hyperparameter", "hyperparameters")
        how = f"babeltune {version_of('babeltune')} (sampler {search.sampler.kind}, seed {search.seed})"
        sentences.append(f"We searched over {hyperparameters} with {how}, by {search.compared_by.title}.")
    if getattr(experiment.training, "precision", None) == "bf16":
        sentences.append("Matrix products of training were computed in bfloat16.")
    stops = ""
    if experiment.rungs:
        rungs = ", ".join(map(str, experiment.rungs))
        stops = f", of which {stopped} ended at a rung ({search.scheduler.kind}, {experiment.training.unit}s {rungs})"
    sentences.append(
        f"It trained {count(board.search.trials, 'configuration', 'configurations')} for up to "
        f"{plain(experiment.training.epochs)} epochs{stops}: {plain(board.search.epochs_trained)} epochs and "
        f"{duration(board.search.gpu_seconds)} of device time in total."
    )
    finalists = count(len(board.ranking), "finalist was", "finalists were")
    again = "retrained with" if best.final_trials else "taken from the search with"
    sentences.append(
        f"The {finalists} fixed before the test data were read, and {again} {seeds}. We report "
        f"{by.metric.title} as means over seeds, with {significance.level:.0%} bootstrap intervals over {by.items} and "
        f"seeds ({significance.resamples} samples). Systems were compared in pairs by bootstrap and approximate "
        f"randomisation tests ({significance.shuffles} shuffles), with Holm's correction"
        f"{' and, as seeds were added after looks at the scores, alpha spending' if raced else ''}."
    )
    if signatures := [f"{name}: {how}" for name, how in board.signatures.items()]:
        sentences.append(f"Signatures: {'; '.join(signatures)}.")
    return " ".join(sentences)


def references(experiment: Experiment, by: TestMetric) -> list[str]:
    """The literature behind the methods that this search used."""
    found = [
        "Liaw et al. (2018), Tune: A Research Platform for Distributed Model Selection and Training",
        "Akiba et al. (2019), Optuna: A Next-generation Hyperparameter Optimization Framework",
    ]
    if "asha" in experiment.search.scheduler.kind:
        found.append(HALVING)
    if "bleu" in by.name or "chrf" in by.name:
        found.append("Post (2018), A Call for Clarity in Reporting BLEU Scores (sacreBLEU)")
    if experiment.finals.most_seeds is not None:
        found.append("Lan and DeMets (1983), Discrete Sequential Boundaries for Clinical Trials")
    return [
        *found,
        "Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation",
        "Riezler and Maxwell (2005), On Some Pitfalls in Automatic Evaluation and Significance Testing for MT",
        "Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure",
    ]

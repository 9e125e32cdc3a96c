"""What each hyperparameter did, for the report: sentences and figures."""

from dataclasses import dataclass

import numpy as np

from search.effects.analysis import analyse
from search.effects.importance import importances
from search.effects.observing import observe
from search.effects.sentences import counted, disagreement, effect_sentences, interaction_sentences
from search.finals.board import LeaderboardEntry
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.figures.coordinates import parallel_coordinates
from search.report.figures.figure import Figure
from search.report.figures.settings import effects_figure, importance_figure, slices
from search.settings.experiment import Experiment


@dataclass(frozen=True)
class Explanation:
    """The effects of the settings, as sentences and figures."""

    basis: str  # a sentence on the scores that are used
    stage: str  # of the scores, such as "at epoch 4"
    counted: str  # a sentence on how many scores are forecasts
    effects: list[str]
    interactions: list[str]
    figures: list[Figure]
    slices: list[Figure]


def explain(
    experiment: Experiment, trials: list[StudyTrial], finals: list[JournalLine], ranking: list[LeaderboardEntry]
) -> Explanation | None:
    """Explain the effects of settings; None without a space, or if settings changed while models trained."""
    space = experiment.space
    if not space.domains or experiment.search.scheduler.breeds:
        return None
    seen = observe(experiment, trials, finals, ranking)
    if seen is None:
        return None
    found, unit = analyse(space, seen), experiment.search.compared_by.title.removeprefix("valid ")
    scores = found.scores
    sign = 1 if experiment.search.direction == "maximize" else -1
    params = {trial.number: trial.params for trial in trials}
    values = [score.value for score in scores.values()]
    important = importances(space, [params[number] for number in scores], sign * np.array(values))
    shown = [parallel_coordinates(experiment, trials, found, ranking)] if scores else []
    if any(effect.verdict != "wide" for effect in found.effects):
        shown.append(effects_figure(found, unit))
    if important:
        shown.append(importance_figure(important, f"{disagreement(important)} {counted(found)}"))
    return Explanation(
        seen.basis,
        seen.stage,
        counted(found),
        effect_sentences(found, unit),
        interaction_sentences(found, unit),
        shown,
        slices(experiment, trials, found),
    )

"""Where BLEU tells nothing, what decided in its place: said to people, not called a ranking by BLEU."""

from collections.abc import Sequence

from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from trainables.base.outcomes import Outcome
from trainables.data.scoring import NEAR_ZERO, tells_apart

INSTEAD, BY_LOSS = "valid_nll_per_char", "by validation loss per character"


def decided_by(metric: str, scores: Sequence[float]) -> str:
    """The quantity that decided among systems with these scores: the metric, or INSTEAD where that is a BLEU that is
    near zero for all or equal for all."""
    return metric if not metric.endswith("bleu") or tells_apart(scores) else INSTEAD


def explain_decisions(study: Study, experiment: Experiment) -> list[str]:
    """A sentence for each rung at which loss decided in place of BLEU, and for the end of the search."""
    metric, unit = experiment.search.metric, experiment.training.unit
    sentences = []
    for rung in experiment.rungs:
        scores = [trial.scores[rung] for trial in study.reached[rung]]
        if decided_by(metric, scores) != metric:
            sentences.append(f"{_why(scores)} at {unit} {rung}: who went on there was decided {BY_LOSS}")
    ended = [_last(trial) for trial in study.trials.values() if trial.outcome == Outcome.COMPLETED]
    if decided_by(metric, ended) != metric:
        sentences.append(f"{_why(ended)} at the end of the search: the finalists were chosen {BY_LOSS}")
    return sentences


def explain_ranking(bleus: Sequence[float]) -> list[str]:
    """A sentence if loss decided in place of test BLEU, or if the only system has next to none."""
    if len(bleus) == 1 and bleus[0] < NEAR_ZERO:
        return [f"test BLEU is below {NEAR_ZERO:g}: the only finalist does not translate"]
    if tells_apart(bleus):
        return []
    return [f"{_why(bleus)} on the test split: the ranking is {BY_LOSS}, and what BLEU says of it means nothing"]


def _why(scores: Sequence[float]) -> str:
    alike = f"below {NEAR_ZERO:g}" if max(scores) < NEAR_ZERO else "equal"
    return f"BLEU tells nothing of {len(scores)} systems that are all {alike}"


def _last(trial: StudyTrial) -> float:
    return trial.scores[trial.progress]

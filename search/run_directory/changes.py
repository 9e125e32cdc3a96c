"""Which keys may change when a search is resumed, and what such a change means."""

import re
from enum import Enum

from search.settings.experiment import Experiment
from trainables.base.config import flatten
from trainables.base.errors import UserError

# Scores from before and after a change of these could not be compared.
COMPARED = ("problem", "training.epochs", "training.report_steps", "training.report_tokens", "search.metric")
# Keys of the machine and of tracking, which do not change the result.
INDIFFERENT = (
    "data.doubts",
    "tracking",
    "cluster",
    "teardown",
    "search.concurrency",
    "search.gpus_per_trial",
    "search.max_retries",
    "search.watchdog_seconds",
    "finals.export",
    "command.python",
    "command.exact",
    "command.timeout_seconds",
    "command.grace_seconds",
)
BELIEF = re.compile(r"space\..+\.belief(\.(value|confidence))?")  # it decides what is proposed, not what a trial is


class Change(Enum):
    """What changed keys mean for the results that a run has."""

    NOTHING = "all results stay"
    GOES_ON = "the search continues; its present finals are set aside, and new ones follow"
    NEW_STUDY = "a new study begins, with the trials of the old one that fit"


def find_change(stored: Experiment, experiment: Experiment) -> Change:
    """What it means to resume the stored search with this experiment. Raises UserError for keys that can't change."""
    trial = stored.trial
    compared = (*COMPARED, *trial.compared)
    fields = [name for name in type(trial).model_fields if name not in trial.beside]
    meaning = ("space", *fields)  # a change of these makes another model of each trial
    before, after = flatten(stored.model_dump()), flatten(experiment.model_dump())
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    for key in changed:
        if key in ("name", "output_dir", "storage"):
            raise UserError("resume: name, output_dir and storage belong to the run; start a new search to change them")
        if _below(key, compared) and not _below(key, INDIFFERENT):
            raise UserError(
                f"resume: {key} decides what is compared, so it can't change from {before.get(key)} to "
                f"{after.get(key)}; start a new search"
            )
    if stored.finals.seeds and not experiment.finals.seeds:
        raise UserError(
            "resume: finals.seeds: 0 scores the models of the search, but their checkpoints were not kept; retrain "
            "with 1 or more, or start a new search"
        )
    if stored.search.deterministic or experiment.search.deterministic:
        for key in ("search.deterministic", "search.concurrency"):
            if key in changed:
                raise UserError(f"resume: {key} can't change in a deterministic search; start a new search")
    for scheduler in (stored.search.scheduler, experiment.search.scheduler):
        if not scheduler.breeds:
            continue
        for key in changed:
            if not _below(key, ("finals", *trial.beside, *INDIFFERENT)):
                raise UserError(
                    f"resume: {key} can't change, as {scheduler.kind} trains a population as a whole; start a new "
                    "search"
                )
    if any(_below(key, meaning) and not _below(key, INDIFFERENT) and not BELIEF.fullmatch(key) for key in changed):
        return Change.NEW_STUDY
    return Change.GOES_ON if any(not _below(key, INDIFFERENT) for key in changed) else Change.NOTHING


def _below(key: str, keys: tuple[str, ...]) -> bool:
    return any(f"{key}.".startswith(f"{above}.") for above in keys)

"""Which keys may change when a search is resumed, and what the change of one means: the rule stands here alone."""

from enum import Enum
from pathlib import Path
from typing import Any

from search.experiment import Experiment
from trainables.command_line import dump_yaml, read_yaml, validate
from trainables.config import TrialConfig, flatten
from trainables.errors import UserError
from trainables.files import read_bytes, write_atomically
from trainables.installed import program
from trainables.sealing import Damaged, checksum

# They decide what is compared: scores from before and after a change would not belong together.
COMPARED = ("data", "training.epochs", "training.report_steps", "search.metric")
# These belong to the machine and to those who watch: the result stays what it is.
INDIFFERENT = (
    "data.doubts",
    "tracking",
    "cluster",
    "teardown",
    "search.concurrency",
    "search.gpus_per_trial",
    "search.max_retries",
    "search.watchdog_seconds",
)
# A run of an earlier version lacks them, and has their defaults.
LATER = ("storage", "cluster", "teardown")
# A trial of the study means another model after a change.
MEANING = ("space", *TrialConfig.model_fields)


SEALED_AS = "# seal "


class Change(Enum):
    """What the changed keys mean for what the run has."""

    NOTHING = "all stands"
    GOES_ON = "the search goes on; finals that were begun are over, and new ones follow it"
    NEW_STUDY = "a new study begins, with the trials of the old one that fit"


def stored_experiment(run_dir: Path, url: str | None = None) -> Experiment:
    """The experiment of a run directory, wherever that, or its storage with the run at `url`, was moved to.

    Raises UserError.
    """
    file = run_dir / "experiment.yaml"
    if not file.is_file():
        raise UserError(f"{run_dir}: not the directory of a run: it holds no experiment.yaml")
    _check_seal(file)
    tree = read_yaml(file)
    if missing := [name for name in Experiment.model_fields if name not in (*tree, *LATER)]:
        raise UserError(f"{file}: is not as the search wrote it: {', '.join(missing)} missing; restore the file")
    if isinstance(tree["data"], dict) and "bleu_tokenize" not in tree["data"]:
        _as_version_0_1_meant_it(tree)
    stored = validate(Experiment, tree, str(file))
    storage = url.rstrip("/").rpartition("/")[0] if url else stored.storage
    return stored.model_copy(update={"name": run_dir.name, "output_dir": str(run_dir.parent), "storage": storage})


def write_experiment(file: Path, experiment: Experiment) -> None:
    """For `stored_experiment` to read."""
    text = dump_yaml(experiment)
    write_atomically(file, f"{SEALED_AS}{checksum(text)}; keys are changed by resume RUN --KEY VALUE\n{text}")


def is_sealed(file: Path) -> bool:
    """Whether a version wrote it that seals: 0.1 did not."""
    return file.is_file() and read_bytes(file).startswith(SEALED_AS.encode())


def read_seal(file: Path) -> str:
    """What `write_experiment` wrote before the text."""
    return read_bytes(file)[len(SEALED_AS) :][:16].decode(errors="replace")


def seal_of(experiment: Experiment) -> str:
    """What `write_experiment` would write."""
    return checksum(dump_yaml(experiment))


def _check_seal(file: Path) -> None:
    """Raises Damaged if the file is not as it was written."""
    text = read_bytes(file).partition(b"\n")[2]
    if is_sealed(file) and read_seal(file) != checksum(text.decode(errors="replace")):
        raise Damaged(
            f"{file}: is not as the search wrote it: restore it; keys of a run are changed by "
            f"`{program('resume')} {file.parent} --KEY VALUE`"
        )


def _as_version_0_1_meant_it(tree: dict[str, Any]) -> None:
    """It took text as it was, scored all languages by 13a, normalised by nmt_nfkc, and took a range for one of whole
    numbers if its ends were, written 1.0 or 1."""
    tree["data"] |= {"bleu_tokenize": "13a", "doubts": "warn"}
    if isinstance(tree["tokenizer"], dict):
        tree["tokenizer"]["normalization"] = "nmt_nfkc"
    for domain in (tree["space"] or {}).values():
        ends = [domain.get("min"), domain.get("max")] if isinstance(domain, dict) else [None]
        if all(isinstance(end, float) and end.is_integer() for end in ends) and not domain.get("distribution"):
            domain["min"], domain["max"] = int(domain["min"]), int(domain["max"])


def find_change(stored: Experiment, experiment: Experiment) -> Change:
    """What it means to resume the stored search as the experiment says. Raises UserError for what can't change."""
    before, after = flatten(stored.model_dump()), flatten(experiment.model_dump())
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    for key in changed:
        if key in ("name", "output_dir", "storage"):
            raise UserError("resume: name, output_dir and storage belong to the run; start a new search to change them")
        if _below(key, COMPARED) and not _below(key, INDIFFERENT):
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
    if "pbt" in (stored.search.scheduler, experiment.search.scheduler):
        for key in changed:
            if not _below(key, ("finals", *INDIFFERENT)):
                raise UserError(
                    f"resume: {key} can't change, as pbt trains a population as a whole; start a new search"
                )
    if any(_below(key, MEANING) and not _below(key, INDIFFERENT) for key in changed):
        return Change.NEW_STUDY
    return Change.GOES_ON if any(not _below(key, INDIFFERENT) for key in changed) else Change.NOTHING


def _below(key: str, keys: tuple[str, ...]) -> bool:
    return any(f"{key}.".startswith(f"{above}.") for above in keys)

"""The experiment of a run directory, written with a checksum; files of earlier versions keep their meaning."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from search.samplers import SAMPLERS
from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment, experiment_class, problem_of
from search.settings.known_runs import read_known, run_id_of
from search.settings.problem import PROBLEMS, TRANSLATION
from trainables.base.errors import UserError
from trainables.base.files import read_bytes, write_atomically
from trainables.base.installed import program
from trainables.base.kinds import Kinds
from trainables.base.mistakes import validate
from trainables.base.sealing import Damaged, checksum
from trainables.base.yaml_files import dump_yaml, read_stored, read_yaml

# Runs of earlier versions lack these keys and get their defaults.
LATER = ("storage", "cluster", "teardown", "problem", "metrics")
SEALED_AS = "# seal "


def stored_experiment(run_dir: Path, url: str | None = None, trust: bool = False) -> Experiment:
    """The experiment of a run directory, with the directory as it is now, even if it was moved. Raises UserError.

    url: the run in its storage, if that was moved, too. trust: whether a problem that is somebody else's code may be
    imported.
    """
    file = run_dir / "experiment.yaml"
    if not file.is_file():
        raise UserError(f"{run_dir}: not the directory of a run: it holds no experiment.yaml")
    _check_seal(file)
    tree, chosen = read_stored(file), experiment_class(stored_problem(run_dir, trust))
    if missing := [name for name in chosen.model_fields if name not in (*tree, *LATER)]:
        raise UserError(f"{file}: is not as the search wrote it: {', '.join(missing)} missing; restore the file")
    if isinstance(tree.get("data"), dict) and "bleu_tokenize" not in tree["data"]:
        _as_version_0_1_meant_it(tree)
    if isinstance(tree["search"], dict):
        _give_settings_to_their_kinds(tree["search"])
        _decide_as_before(tree["search"])
    fields: dict[str, Any] = getattr(chosen.model_fields["training"].annotation, "model_fields", {})
    if isinstance(tree["training"], dict) and "valid_difference" in fields:
        tree["training"].setdefault("valid_difference", None)  # all pairs, as there was no such key
    stored = validate(chosen, tree, str(file))
    storage = url.rstrip("/").rpartition("/")[0] if url else stored.storage
    return stored.model_copy(update={"name": run_dir.name, "output_dir": str(run_dir.parent), "storage": storage})


def stored_problem(run_dir: Path, trust: bool = False) -> str:
    """The name of a run's problem.

    Raises UserError if the problem may not be imported: it is neither one of ours nor trusted by the user.
    """
    problem = problem_of(read_stored(run_dir / "experiment.yaml"))
    trusted = (*PROBLEMS, *read_known(run_id_of(run_dir)).trusted.get("problem", ()))
    if not trust and problem not in trusted:
        raise UserError(
            f"{run_dir}: is not known here as a run of yours, and its problem, {problem!a}, is code that would be "
            "imported; check it, then add --trust (in Python: trust=True)"
        )
    return problem


def problem_of_run(run_dir: Path) -> str:
    """The name of the problem of a run; translation if that is unknown, as for a copy of best/ alone."""
    file = run_dir / "experiment.yaml"
    with suppress(UserError):
        return problem_of(read_yaml(file) if file.is_file() else {})
    return TRANSLATION


def write_experiment(file: Path, experiment: Experiment) -> None:
    """Write the experiment in the form that `stored_experiment` reads."""
    text = dump_yaml(experiment)
    write_atomically(file, f"{SEALED_AS}{checksum(text)}; keys are changed by resume RUN --KEY VALUE\n{text}")


def is_sealed(file: Path) -> bool:
    """Whether the file has a checksum, which version 0.1 did not write."""
    return file.is_file() and read_bytes(file).startswith(SEALED_AS.encode())


def read_seal(file: Path) -> str:
    """The checksum that `write_experiment` wrote before the text."""
    return read_bytes(file)[len(SEALED_AS) :][:16].decode(errors="replace")


def seal_of(experiment: Experiment) -> str:
    """The checksum that `write_experiment` would write."""
    return checksum(dump_yaml(experiment))


def _check_seal(file: Path) -> None:
    """Raises Damaged if the file was changed."""
    text = read_bytes(file).partition(b"\n")[2]
    if is_sealed(file) and read_seal(file) != checksum(text.decode(errors="replace")):
        raise Damaged(
            f"{file}: is not as the search wrote it: restore it; keys of a run are changed by "
            f"`{program('resume')} {file.parent} --KEY VALUE`"
        )


def _as_version_0_1_meant_it(tree: dict[str, Any]) -> None:
    """Set the keys that version 0.1 lacked to what it did.

    It took text as it was, scored all languages by 13a, normalised by nmt_nfkc, and took a range for whole numbers if
    both ends were whole, written 1.0 or 1.
    """
    tree["data"] |= {"bleu_tokenize": "13a", "doubts": "warn"}
    if isinstance(tree["tokenizer"], dict):
        tree["tokenizer"]["normalization"] = "nmt_nfkc"
    for domain in (tree["space"] or {}).values():
        ends = [domain.get("min"), domain.get("max")] if isinstance(domain, dict) else [None]
        if all(isinstance(end, float) and end.is_integer() for end in ends) and not domain.get("distribution"):
            domain["min"], domain["max"] = int(domain["min"]), int(domain["max"])


def _give_settings_to_their_kinds(search: dict[str, Any]) -> None:
    """Move settings that earlier versions wrote beside the name of the kind into the settings of that kind."""
    tables: tuple[tuple[str, Kinds[Any], tuple[str, ...]], ...] = (
        ("sampler", SAMPLERS, ("startup_trials", "prior")),
        ("scheduler", SCHEDULERS, ("rungs", "reduction_factor")),
    )
    for key, kinds, names in tables:
        settings = {name: search.pop(name) for name in names if name in search}
        if isinstance(search.get(key), str) and search[key] in kinds:
            known = kinds[search[key]].model_fields
            search[key] = {"kind": search[key], **{name: settings[name] for name in settings if name in known}}


def _decide_as_before(search: dict[str, Any]) -> None:
    """Set what decides about trials to what it was before these keys."""
    for part, kind, key, value in (
        ("scheduler", "asha_promotion", "chance", None),
        ("sampler", "default", "per_second", False),
    ):
        settings = search.get(part)
        if isinstance(settings, dict) and settings.get("kind") == kind:
            settings.setdefault(key, value)

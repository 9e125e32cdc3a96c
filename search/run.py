"""Finds the best translation transformer: searches, retrains the finalists, ranks them by test BLEU.

python search/run.py                              search with configs/quickstart.yaml
python search/run.py --config FILE [--key VALUE]  search with another configuration, keys in dotted form
python search/run.py resume runs/NAME             go on with a search that was stopped
python search/run.py resume runs/NAME --key VALUE extend or change a search, finished or not
python search/run.py resume s3://bucket/runs/NAME go on, here, with a search of another machine that is lost
python search/run.py fetch s3://bucket/runs/NAME  bring a run here from its storage, without its checkpoints
python search/run.py publish runs/NAME            send to W&B what it lacks of a search, with sweep and report
python search/run.py translate runs/NAME          translate standard input with the best model; --help says more
python search/run.py replay --tables DIR          how soon a policy finds the best of systems that are trained
python search/run.py doctor                       what this machine can do, and what holds it back
python search/run.py --help                       all keys, their defaults and meaning
"""

import sys
import time
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from search.experiment import Experiment
from search.finals.neural_metric import load_metric
from search.prior_sources import find_prior
from search.resuming import find_change, stored_experiment
from search.run_copy import fetch_run, sole_access
from trainables.command_line import override, parse_config
from trainables.errors import UserError
from trainables.locks import DriverLock
from trainables.storage import find_place
from trainables.store import Store

PROGRAM = "python search/run.py"
QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"


def new_experiment(arguments: list[str]) -> Experiment:
    """The experiment that the command line describes, with a name that is not taken. Raises UserError."""
    experiment, file = parse_config(Experiment, arguments, PROGRAM, __doc__ or "", QUICKSTART)
    if experiment.name is None:
        name = f"{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        experiment = experiment.model_copy(update={"name": name})
    if experiment.run_dir.is_dir() and any(experiment.run_dir.iterdir()):
        raise UserError(
            f"--name: {experiment.run_dir} exists and is not empty; choose another name, or go on with it by "
            f"`{PROGRAM} resume {experiment.run_dir}`"
        )
    if experiment.storage and find_place(experiment.run_url):
        raise UserError(
            f"--name: {experiment.run_url} exists; choose another name, or go on with it by "
            f"`{PROGRAM} resume {experiment.run_url}`"
        )
    return experiment


def resumed_experiment(arguments: list[str], verb: str) -> Experiment:
    """The experiment of a run directory to `verb`, perhaps with changed keys. Raises UserError."""
    if not arguments or arguments[0].startswith("-"):
        raise UserError(f"{verb}: name the run, as in `{PROGRAM} {verb} runs/NAME`")
    url = arguments[0] if "://" in arguments[0] else None
    run_dir = fetch_run(url, Path("runs")) if url else Path(arguments[0]).absolute()
    stored = stored_experiment(run_dir, url)
    file = run_dir / "experiment.yaml"
    experiment = override(stored, arguments[1:], f"{PROGRAM} {verb} {arguments[0]}", __doc__ or "", file)
    if verb == "publish" and experiment != stored.model_copy(update={"tracking": experiment.tracking}):
        raise UserError("publish: changes nothing of a search; of its keys it takes those of tracking alone")
    find_change(stored, experiment)
    return experiment


def fetch(arguments: list[str]) -> Path:
    """Bring the run at a URL into runs/. Raises UserError."""
    if len(arguments) != 1 or "://" not in arguments[0]:
        raise UserError(f"fetch: name the run in its storage, as in `{PROGRAM} fetch s3://bucket/runs/NAME`")
    return fetch_run(arguments[0], Path("runs"))


def publish(experiment: Experiment, console: Console) -> int:
    """Send a run to W&B; 0 if it has everything then, else 1."""
    from search.tracking import tracker
    from search.tracking.tracked import KNOWN

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    lock = DriverLock(experiment.run_dir)
    try:
        with sole_access(experiment.run_url, experiment.run_dir) if experiment.storage else nullcontext() as place:
            complete = tracker.publish(experiment, say, say)
            known = experiment.run_dir / KNOWN
            if place and known.exists():  # so that another machine finds the same W&B runs
                place.put(known, KNOWN)
    finally:
        lock.release()
    return 0 if complete else 1


def main(arguments: list[str]) -> int:
    console = Console()
    experiment = None
    try:
        if arguments[:1] == ["translate"]:
            from search import translating

            translating.main(arguments[1:])
            return 0
        if arguments[:1] == ["replay"]:
            from search.replay import command

            command.main(arguments[1:])
            return 0
        if arguments[:1] == ["doctor"]:
            from search import doctor

            doctor.main(arguments[1:], console)
            return 0
        if arguments[:1] == ["fetch"]:
            console.print(str(fetch(arguments[1:])), highlight=False, markup=False, soft_wrap=True)
            return 0
        if arguments[:1] == ["publish"]:
            return publish(resumed_experiment(arguments[1:], "publish"), console)
        resuming = arguments[:1] == ["resume"]
        experiment = resumed_experiment(arguments[1:], "resume") if resuming else new_experiment(arguments)
        find_prior(experiment)
        if experiment.storage:
            Store(experiment.storage).try_out()
        if experiment.finals.neural_metric:
            load_metric(experiment.finals.neural_metric)
        # Torch and Ray take seconds to import: mistakes that need neither are told before.
        from search.preparation import prepare_corpus, prepare_storage

        storage = prepare_storage(experiment)
        prepare_corpus(experiment, console)
        from search.pipeline import SearchRun

        SearchRun(experiment, storage, console).run()
    except UserError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        if arguments[:1] in (["translate"], ["replay"], ["doctor"], ["fetch"], ["publish"]):
            return 130
        where = f"`{PROGRAM} resume {experiment.run_dir}`" if experiment else "the same command"
        console.print(f"\nstopped; nothing is lost: go on with {where}", highlight=False, markup=False, soft_wrap=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Finds the best translation transformer: searches, retrains the finalists, ranks them by test BLEU.

babeltune                                search with configs/quickstart.yaml; python search/run.py is the same
babeltune --config FILE [--key VALUE]    search with another configuration, keys in dotted form
babeltune resume runs/NAME               go on with a search that was stopped
babeltune resume runs/NAME --key VALUE   extend or change a search, finished or not
babeltune resume s3://bucket/runs/NAME   go on, here, with a search of another machine that is lost
babeltune resume runs/NAME --trust       go on with somebody else's, whose hosts and code you have looked at
babeltune fetch s3://bucket/runs/NAME    bring a run here from its storage, without its checkpoints
babeltune publish runs/NAME              send to W&B what it lacks of a search, with sweep and report
babeltune translate runs/NAME            translate standard input with the best model; --help says more
babeltune replay --tables DIR            how soon a policy finds the best of systems that are trained
babeltune clean                          what runs and caches no longer need, removed after asking
babeltune doctor                         what this machine can do, and what holds it back
babeltune configs                        the configurations that --config takes by name, and where they lie
babeltune schema                         the JSON Schema of a configuration, for editors
babeltune completion bash                completion for bash, zsh or fish
babeltune --version                      versions, for a report of a fault
babeltune --help                         all keys, their defaults and meaning
"""

import json
import platform
import sys
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from itertools import takewhile
from pathlib import Path

from rich.console import Console

from search.beginning import forget_first_steps, has_begun
from search.experiment import Experiment
from search.fetching import FETCHED, fetch_run, sole_access
from search.finals.neural_metric import load_metric
from search.prior_sources import find_prior
from search.resuming import find_change, stored_experiment
from search.trust import ALL, PUBLISHED, check_trust, followed, remember, remember_storage
from trainables.command_line import did_you_mean, override, parse_config
from trainables.ending import INTERRUPTED, end_in_words, lasting_output
from trainables.errors import UserError
from trainables.extras import need_extra
from trainables.files import named_path
from trainables.installed import config_folder, list_configs, program, version_of
from trainables.locks import DriverLock, check_locks
from trainables.storage import find_place
from trainables.store import Store

ABOUT = __doc__ or ""
TRUST = "--trust"


def new_experiment(arguments: list[str]) -> Experiment:
    """The experiment that the command line describes, with a name that is not taken. Raises UserError."""
    quickstart = config_folder() / "quickstart.yaml"
    experiment, file = parse_config(Experiment, arguments, program(), ABOUT, quickstart)
    if experiment.name is None:
        name = f"{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        experiment = experiment.model_copy(update={"name": name})
    if has_begun(experiment.run_dir):
        raise UserError(
            f"--name: {experiment.run_dir} exists and is not empty; choose another name, or go on with it by "
            f"`{program('resume')} {experiment.run_dir}`"
        )
    if experiment.storage and find_place(experiment.run_url):
        raise UserError(
            f"--name: {experiment.run_url} exists; choose another name, or go on with it by "
            f"`{program('resume')} {experiment.run_url}`"
        )
    forget_first_steps(experiment.run_dir)
    return experiment


def resumed_experiment(arguments: list[str], verb: str) -> tuple[Experiment, set[str]]:
    """The experiment of a run directory to `verb`, perhaps with changed keys, and the keys that the command line sets.

    Raises UserError, also for a run of somebody else that was not looked at.
    """
    if not arguments or not arguments[0] or arguments[0].startswith("-"):
        raise UserError(f"{verb}: name the run, as in `{program(verb)} runs/NAME`")
    url = arguments[0] if "://" in arguments[0] else None
    run_dir = fetch_run(url, Path("runs")) if url else named_path(verb, arguments[0])
    stored = stored_experiment(run_dir, url)
    file = run_dir / "experiment.yaml"
    options = [argument for argument in arguments[1:] if argument != TRUST]
    experiment, given = override(stored, options, program(f"{verb} {arguments[0]}"), ABOUT, file)
    given |= {"storage"} if url else set()
    if verb == "publish" and experiment != stored.model_copy(update={"tracking": experiment.tracking}):
        raise UserError("publish: changes nothing of a search; of its keys it takes those of tracking alone")
    if TRUST not in arguments:
        check_trust(stored, given, PUBLISHED if verb == "publish" else ALL)
    find_change(stored, experiment)
    return experiment, given


def search(experiment: Experiment, said: Collection[str], console: Console) -> int:
    """Run a search, or what is left of it, to its report. said: keys that the user set. Raises UserError."""
    try:
        with lasting_output():
            _search(experiment, said, console)
    except KeyboardInterrupt:
        with suppress(OSError):  # a terminal that was closed
            _say(console, f"\nstopped; nothing is lost: go on with `{program('resume')} {experiment.run_dir}`")
        return INTERRUPTED
    return 0


def _search(experiment: Experiment, said: Collection[str], console: Console) -> None:
    find_prior(experiment)
    if experiment.search.sampler == "cmaes":
        need_extra("cmaes", "cmaes", "cmaes", "search.sampler: cmaes")
    if experiment.storage:
        Store(experiment.storage).try_out()
    if experiment.finals.neural_metric:
        load_metric(experiment.finals.neural_metric)
    check_locks(Path(experiment.output_dir))
    # Torch and Ray take seconds to import: mistakes that need neither are told before.
    from search.preparation import prepare_corpus, prepare_storage

    storage = prepare_storage(experiment)
    prepare_corpus(experiment, console)
    from search.pipeline import SearchRun

    SearchRun(experiment, said, storage, console).run()


def resume(arguments: list[str], console: Console) -> int:
    return search(*resumed_experiment(arguments, "resume"), console)


def fetch(arguments: list[str], console: Console) -> int:
    """Bring the run at a URL into runs/."""
    if len(arguments) != 1 or "://" not in arguments[0]:
        raise UserError(f"fetch: name the run in its storage, as in `{program('fetch')} s3://bucket/runs/NAME`")
    run_dir = fetch_run(arguments[0], Path("runs"))
    if not (run_dir / FETCHED).exists():
        raise UserError(f"fetch: {run_dir} is there already, and a search worked in it; move it away, then fetch again")
    remember_storage(run_dir, arguments[0])
    _say(console, str(run_dir))
    return 0


def publish(arguments: list[str], console: Console) -> int:
    """Send a run to W&B; 0 if it has everything then, else 1."""
    from search.tracking import tracker
    from search.tracking.tracked import KNOWN

    experiment, given = resumed_experiment(arguments, "publish")

    def say(text: str) -> None:
        _say(console, text)

    lock = DriverLock(experiment.run_dir)
    try:
        with sole_access(experiment.run_url, experiment.run_dir) if experiment.storage else nullcontext() as place:
            remember(experiment, given, say, PUBLISHED)
            complete = tracker.publish(experiment, say, say)
            known = experiment.run_dir / KNOWN
            if place and known.exists():  # so that another machine finds the same W&B runs
                place.put(known, KNOWN)
    finally:
        lock.release()
    return 0 if complete else 1


def translate(arguments: list[str], console: Console) -> int:
    from search import translating

    translating.main(arguments)
    return 0


def replay(arguments: list[str], console: Console) -> int:
    from search.replay import command

    command.main(arguments)
    return 0


def clean(arguments: list[str], console: Console) -> int:
    from search import cleaning

    cleaning.main(arguments, console)
    return 0


def doctor(arguments: list[str], console: Console) -> int:
    from search import doctor as examination

    examination.main(arguments, console)
    return 0


def configs(arguments: list[str], console: Console) -> int:
    """Each with the sentence that its file starts with."""
    folder = config_folder()
    for name in list_configs():
        lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        comment = " ".join(line[2:] for line in takewhile(lambda line: line.startswith("#"), lines[1:]))
        _say(console, f"{name:16} {comment.partition('. ')[0].rstrip('.')}")
    _say(console, f"{folder} has them, and in clusters/ the files for `ray up`, Kubernetes and Slurm")
    return 0


def schema(arguments: list[str], console: Console) -> int:
    print(json.dumps(Experiment.model_json_schema(), indent=1))
    return 0


def completion(arguments: list[str], console: Console) -> int:
    from search.completion import completion as script

    print(script(arguments[0] if arguments else ""))
    return 0


def show_version(arguments: list[str], console: Console) -> int:
    packages = ("torch", "ray", "optuna", "sacrebleu", "sentencepiece", "wandb")
    versions = ", ".join(f"{name} {version_of(name) or 'missing'}" for name in packages)
    _say(console, f"babeltune {version_of('babeltune')} (Python {platform.python_version()}, {versions})")
    return 0


COMMANDS: dict[str, Callable[[list[str], Console], int]] = {
    "resume": resume,
    "fetch": fetch,
    "publish": publish,
    "translate": translate,
    "replay": replay,
    "clean": clean,
    "doctor": doctor,
    "configs": configs,
    "schema": schema,
    "completion": completion,
    "--version": show_version,
}


def main(arguments: list[str]) -> int:
    """Run a command; its status."""
    console = Console()

    def call() -> int:
        first = arguments[0] if arguments else "--"
        if first in COMMANDS:
            return COMMANDS[first](arguments[1:], console)
        if not first.startswith("-"):
            raise UserError(f"{first}: unknown command{did_you_mean(first, list(COMMANDS)[:-1])}")
        experiment = new_experiment(arguments)
        return search(experiment, followed(experiment), console)

    return end_in_words(call, lambda text: _say(Console(stderr=True, style="red"), text))


def command() -> None:
    """The command `babeltune`."""
    sys.exit(main(sys.argv[1:]))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    command()

"""The table of the program's commands; each has a file of its own."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

ABOUT = (
    "Finds the best translation transformer: searches, retrains the finalists, ranks them by test BLEU. Without a "
    "command it searches, with configs/quickstart.yaml unless --config or --problem names another configuration."
)


@dataclass(frozen=True)
class Command:
    """A command's line in `--help`, and its place; it is imported when called, as imports take seconds."""

    about: str
    place: str  # module:function; it takes (arguments, console) and returns the exit status
    options: str  # module:class of its options


def load(place: str) -> Any:
    """Import what a place in the table names."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)


COMMANDS = {
    "search": Command("run a search to its report; the default command", "search:main", "search:Searching"),
    "plan": Command("estimate what a search takes: hours, money, memory, disk", "plan:main", "plan:Planning"),
    "data": Command("what is in a corpus, and what to do about it", "data:main", "data:Looking"),
    "resume": Command("continue a search that was stopped, or change it", "resume:main", "resume:Resuming"),
    "list": Command("list the runs in a folder", "listing:main", "listing:Listing"),
    "status": Command("how far a search is, also from another terminal", "status:main", "status:StatusOf"),
    "show": Command("one trial of a run: its configuration and scores", "show:main", "show:Showing"),
    "train": Command("train one trial of a run again, to its end", "train:main", "train:TrainingAgain"),
    "report": Command("write the report of a run again, without its test data", "report:main", "report:Reporting"),
    "compare": Command("compare the best models of runs, by paired tests", "compare:main", "compare:Comparing"),
    "join": Command("search on several machines that come and go, such as an array job", "join:main", "join:Joining"),
    "fetch": Command("fetch a run from its storage, without its checkpoints", "fetch:main", "fetch:Fetching"),
    "publish": Command("send a search to W&B, or the rest of it", "publish:main", "resume:Resuming"),
    "translate": Command("translate with the best model of a run", "translate:main", "translate:Translating"),
    "score": Command("score the finalists of a run on a further test", "score:main", "score:Scoring"),
    "export": Command("write a run's model for another program", "export:main", "export:Exporting"),
    "time": Command("measure how long models take for a sentence", "timing:main", "timing:Timing"),
    "command": Command("try out the trainer of a search with problem: command", "command:main", "command:Checking"),
    "import": Command("write a corpus in another form as plain files", "importing:main", "importing:Importing"),
    "replay": Command("measure how soon a policy finds the best of trained systems", "replay:main", "replay:Replaying"),
    "clean": Command("remove files that runs no longer need, after asking", "clean:main", "clean:Cleaning"),
    "doctor": Command("check this machine: its speed, and what slows it down", "doctor:main", "doctor:Doctoring"),
    "configs": Command("list configurations for --config", "installation:configs", "installation:Nothing"),
    "schema": Command("print a JSON Schema of the keys, for editors", "installation:schema", "installation:Nothing"),
    "completion": Command("print completions for bash, zsh or fish", "completion:main", "completion:Completing"),
}

"""The commands of the program: one file each, and the table of them."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

ABOUT = (
    "Finds the best translation transformer: searches, retrains the finalists, ranks them by test BLEU. Without a "
    "command it searches, with configs/quickstart.yaml unless --config names another configuration."
)


@dataclass(frozen=True)
class Command:
    """What `--help` says of a command, and where it is: imported when it is called, as most need seconds of imports."""

    about: str
    place: str  # module:function; it takes (arguments, console) and gives its status
    options: str  # module:class of what it takes


def load(place: str) -> Any:
    """What is at a place of the table."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)


COMMANDS = {
    "search": Command("run a search to its report; what happens without a command", "search:main", "search:Searching"),
    "plan": Command("what a search would take: hours, money, memory, disk", "plan:main", "plan:Planning"),
    "data": Command("what is in a corpus, and what to do about it", "data:main", "data:Looking"),
    "resume": Command("go on with a search that was stopped, or change it", "resume:main", "resume:Resuming"),
    "fetch": Command("bring a run here from its storage, without its checkpoints", "fetch:main", "fetch:Fetching"),
    "publish": Command("send to W&B what it lacks of a search", "publish:main", "resume:Resuming"),
    "translate": Command("translate with the best model of a run", "translate:main", "translate:Translating"),
    "import": Command("write a corpus in another form as plain files", "importing:main", "importing:Importing"),
    "replay": Command("how soon a policy finds the best of trained systems", "replay:main", "replay:Replaying"),
    "clean": Command("remove what runs and caches no longer need, after asking", "clean:main", "clean:Cleaning"),
    "doctor": Command("what this machine can do, and what holds it back", "doctor:main", "doctor:Doctoring"),
    "configs": Command("configurations that --config takes by name", "installation:configs", "installation:Nothing"),
    "schema": Command("the JSON Schema of a configuration, for editors", "installation:schema", "installation:Nothing"),
    "completion": Command("completion for bash, zsh or fish", "completion:main", "completion:Completing"),
}

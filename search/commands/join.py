"""`babeltune join`: several machines run one search; each of them may come late and leave early."""

import os
import re
import time
from pathlib import Path

from pydantic import Field, field_validator
from rich.console import Console

from search.commands import COMMANDS
from search.commands.lines import Levels, say
from search.commands.search import check_needs, with_keys
from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.arguments import peek
from trainables.base.command_line import parse_options, read_config, take
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import default_config, program
from trainables.base.log import shown_on
from trainables.base.mistakes import blame
from trainables.base.yaml_files import dump_yaml

MEMBERS = ".members"  # in output_dir: a folder for each search, in which its machines find each other
TIME = re.compile(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)")  # as `sbatch --time` takes it


class OfMember(Levels):
    """The options of `babeltune join` besides the keys of a search."""

    time_limit: str | None = Field(
        None,
        title="TIME",
        description="when this machine must have left: minutes, MM:SS, HH:MM:SS or D-HH:MM:SS, as Slurm's --time",
    )
    leave_seconds: float = Field(
        120, gt=0, description="how long before its end a machine leaves: time for an epoch, or a round of steps"
    )
    cpus: int | None = Field(None, ge=1, description="CPUs for trials on this machine; null: all it may use")
    gpus: int | None = Field(None, ge=0, description="GPUs for trials on this machine; null: all it may use")

    @field_validator("time_limit")
    @classmethod
    def _is_time(cls, text: str | None) -> str | None:
        seconds_of(text)
        return text


def seconds_of(text: str | None) -> float | None:
    """A time in the notation of `sbatch --time` as seconds; None for None. Raises ValueError."""
    if text is None:
        return None
    found = TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r}: is no time; write minutes, MM:SS, HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, last = found.groups()
    if days is not None:  # D-HH, D-HH:MM or D-HH:MM:SS
        parts = [int(part) for part in text.partition("-")[2].split(":")]
        hour, minute, second = (*parts, 0, 0)[:3]
        return 86400.0 * int(days) + 3600 * hour + 60 * minute + second
    if minutes is None:
        return 60.0 * int(last)
    return 3600.0 * int(hours or 0) + 60 * int(minutes) + int(last)


Joining = with_keys(OfMember, TRANSLATION)


def main(arguments: list[str], console: Console) -> int:
    """Search together with others, until the search has ended or this machine must leave. Raises UserError."""
    begun = time.monotonic()
    about = Program(program("join"), COMMANDS["join"].about)
    problem = peek(arguments, "problem") or TRANSLATION
    own, options = take(OfMember, parse_options(with_keys(OfMember, problem), arguments, about))
    experiment, _, places = read_config(experiment_class(problem), options, default_config(problem))
    with blame(places):
        if experiment.name is None:
            raise UserError("name: missing; machines that search together need one name for the run")
        if experiment.storage or experiment.cluster:
            key = "storage" if experiment.storage else "cluster"
            raise UserError(f"{key}: join makes a cluster of machines that share output_dir; drop {key}")
        if experiment.search.concurrency == "auto":
            raise UserError("search.concurrency: auto; give the number of trials at a time, over all machines together")
        check_needs(experiment)
    limit = seconds_of(own.time_limit)
    if limit is not None and limit <= own.leave_seconds:
        raise UserError(f"--time_limit: {own.time_limit} is not longer than leave_seconds {own.leave_seconds:g}")
    from search.members.member import LEFT, Member, Share
    from search.members.rendezvous import Rendezvous

    rendezvous = Rendezvous(Path(experiment.output_dir) / MEMBERS / experiment.name)
    file = rendezvous.folder / f"experiment-{os.getpid()}.yaml"
    file.write_text(dump_yaml(experiment), encoding="utf-8")
    share = Share(
        cpus=own.cpus or len(os.sched_getaffinity(0)),
        gpus=own.gpus,
        ends=None if limit is None else begun + limit,
        leave_seconds=own.leave_seconds,
    )
    try:
        with shown_on(console, own.level):
            status = Member(rendezvous, experiment.run_dir, ["--config", str(file)], share).run()
    finally:
        file.unlink(missing_ok=True)
    if status == LEFT:
        say(console, "this machine has left; the search continues on others, or when the same command is called again")
    return status

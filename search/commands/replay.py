"""`babeltune replay`: measures how soon a policy finds the best of systems that are already trained."""

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from model.config import Config
from search.replay.measures import CURVE_WORKERS, LONGEST, NEAR, TIMED, Policy, measure_curves, measure_systems
from search.replay.tables import Table, read_curves, read_run, read_systems
from search.samplers import SAMPLERS, SamplerSettings
from search.samplers.prior import Findings
from search.schedulers import SCHEDULERS, SchedulerSettings
from search.settings.wording import count
from search.space.domain import Belief
from trainables.base.command_line import parse_config
from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import named_path, write_atomically
from trainables.base.help_pages import Program
from trainables.base.installed import program

TABLE = re.compile(r"nmthpo_(.+)\.csv|nmtlc_(?:scratch|finetune)_(.+)\.json")


class Replaying(Config):
    """Tables, and a policy."""

    tables: str = Field("", description="folder of tables (nmthpo_PAIR.csv, nmtlc_KIND_PAIR.json), or a run directory")
    pair: str = Field("", description="language pair, as in the file names; not for a run directory")
    policy: Annotated[SamplerSettings, SAMPLERS] = Field(
        SAMPLERS.default, description="the sampler, with its settings as in a search"
    )
    scheduler: Annotated[SchedulerSettings, SCHEDULERS] = Field(
        SCHEDULERS.default, description="for tables of learning curves, with its settings as in a search"
    )
    seeds: int = Field(30, ge=1, description="simulated searches")
    workers: int = Field(1, ge=1, description="runs at a time, for tables of final scores")
    curve_workers: int = Field(
        CURVE_WORKERS,
        ge=1,
        validation_alias=AliasChoices("curve_workers", "curve-workers"),
        description="runs at a time, for tables of learning curves",
    )
    longest: int = Field(
        LONGEST, ge=1, description="trainings of a search that is not near the best yet, for tables of final scores"
    )
    prior_pairs: str = Field(
        "",
        validation_alias=AliasChoices("prior_pairs", "prior-pairs"),
        description="other pairs of this folder, separated by commas, whose tables are the sampler's prior",
    )
    beliefs: dict[str, Belief] = Field(
        {}, description="where the best values are expected, as {num_layers: {value: 4, confidence: high}}"
    )
    output: str = Field("", validation_alias=AliasChoices("output", "json"), description="JSON file for the measures")


def main(arguments: list[str], console: Console) -> int:
    """Simulate searches, print a table of measures, and write it. Raises UserError."""
    about = "Run the real sampler and scheduler on tables of trained systems, under a virtual clock."
    options, _ = parse_config(Replaying, arguments, Program(program("replay"), about))
    if not options.tables:
        raise UserError("--tables: missing; name a folder of tables, or the directory of a run")
    if not named_path("--tables", options.tables).is_dir():
        raise UserError(f"--tables: {options.tables} is not a folder; name one of tables, or the directory of a run")
    tables, output = named_path("--tables", options.tables), named_path("--output", options.output)
    systems, curves = find_tables(tables, options.pair)
    if options.beliefs and not options.policy.believes:
        raise UserError(f"--beliefs: {options.policy.kind} makes no use of them; drop them, or use default")
    systems, curves = ([table.believing(options.beliefs) for table in tables] for tables in (systems, curves))
    options.scheduler.need("--scheduler")
    options.policy.need("--policy")
    if options.policy.sources:
        raise UserError("--policy.prior: use --prior-pairs, which names other tables")
    if options.prior_pairs and options.policy.sources is None:
        raise UserError(f"--prior-pairs: {options.policy.kind} does not start from earlier searches; drop it")
    policy = Policy(options.policy, options.scheduler, tuple(_prior(options)))
    measures: dict[str, object] = {
        "pair": options.pair or systems[0].name,
        "policy": options.policy.kind,
        "scheduler": options.scheduler.kind,
        "seeds": options.seeds,
        "workers": options.workers,
        "curve_workers": options.curve_workers,
        "prior_pairs": options.prior_pairs,
    }
    for table in systems:
        measures |= measure_systems(table, policy, options.seeds, options.workers, options.longest)
    by_kind = {table.name: measure_curves(table, policy, options.seeds, options.curve_workers) for table in curves}
    if by_kind:
        measures |= next(iter(by_kind.values()))  # scratch before fine-tuning
        measures["curves"] = by_kind
    console.print(_shown(measures, len([*systems, *curves][0].systems)))
    if options.output:
        write_atomically(output, json.dumps(measures, indent=2))
    return 0


def find_tables(folder: Path, pair: str) -> tuple[list[Table], list[Table]]:
    """The tables of final scores, and those of learning curves. Raises UserError if there is none."""
    if (folder / "experiment.yaml").exists():
        table = read_run(folder)
        return [table], [table]
    pairs = sorted({match[1] or match[2] for file in folder.iterdir() if (match := TABLE.fullmatch(file.name))})
    if not pair:
        raise UserError(f"--pair: missing; name the pair of the tables in {folder}{did_you_mean('', pairs)}")
    systems = [read_systems(file) for file in [folder / f"nmthpo_{pair}.csv"] if file.exists()]
    kinds = [folder / f"nmtlc_{kind}_{pair}.json" for kind in ("scratch", "finetune")]
    curves = [read_curves(file) for file in kinds if file.exists()]
    if not systems and not curves:
        raise UserError(
            f"--pair: {folder} holds neither nmthpo_{pair}.csv nor nmtlc_scratch_{pair}.json{did_you_mean(pair, pairs)}"
        )
    return systems, curves


def _prior(options: Replaying) -> list[Findings]:
    findings = []
    for pair in filter(None, options.prior_pairs.split(",")):
        systems, curves = find_tables(named_path("--tables", options.tables), pair)
        findings.append([(s.params, s.score) for s in [*systems, *curves][0].systems.values()])
    return findings


MEANINGS = {  # of measures, without the number at their ends
    "regret": "how far the best found is from the best there is after {} trainings, in the unit of the scores",
    "nr": "the same as a share of best minus median: 0 is the best, and 1 a typical system",
    "ftc_mean": f"trainings until a score within {NEAR:g} of the best",
    "ftc_p50": "the same, median",
    "ftc_p90": "the same, in nine of ten searches at most",
    "proposal_seconds": f"CPU seconds for a proposal, mean of the first {TIMED} of each search",
    "regret_20R": "regret when the workers have spent 20 whole trainings",
    "kill_rate": "share of searches that stopped the best system that they had begun",
    "finished_runs": "systems that were trained to the end",
}


def _shown(measures: dict[str, object], systems: int) -> RichTable:
    """The measures as a table. systems: the number of systems; after so many trainings, nothing is left to find."""
    title = f"{measures['pair']}, {measures['policy']}, {count(int(str(measures['seeds'])), 'seed', 'seeds')}"
    shown = RichTable(title=f"{title}, {systems} systems", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("measure", no_wrap=True)
    shown.add_column("value", justify="right")
    shown.add_column("what it is")
    for name, value in measures.items():
        kind, _, number = name.removesuffix("_se").partition("_")
        if not isinstance(value, float) or name.endswith("_se") or (number.isdigit() and int(number) > systems):
            continue
        error = measures.get(f"{name}_se")
        meaning = MEANINGS.get(name) or MEANINGS.get(kind, "")
        shown.add_row(
            name, f"{value:.4f}" + (f" ± {error:.4f}" if isinstance(error, float) else ""), meaning.format(number)
        )
    return shown

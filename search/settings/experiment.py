"""One search as one frozen value: what to train, the space around it, how to search, finals, tracking."""

import math
import os
import random
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from search.schedulers import Task
from search.settings.finals import FinalsConfig
from search.settings.searching import SearchConfig
from search.settings.tracking import TrackingConfig
from search.space.domain import Domain, Scalar
from search.space.space import Params, SearchSpace
from trainables.base.config import RunName, TrialConfig, flatten, set_paths
from trainables.base.errors import did_you_mean
from trainables.base.files import full_path
from trainables.base.installed import find_config
from trainables.base.kinds import find_kinds, merge
from trainables.base.metrics import METRICS
from trainables.base.mistakes import describe_mistake, validate
from trainables.base.yaml_files import read_yaml

PROBES = 1000  # draws that must fail before an infinite space counts as empty


class Experiment(TrialConfig):
    """A search: the fields of a trial are the base that the space varies."""

    name: RunName | None = Field(None, description="of the run directory; config file and time unless given")
    output_dir: str = Field("runs", min_length=1, description="holds the run directories and the caches they share")
    storage: str | None = Field(
        None,
        description="an address such as s3://bucket/runs, through which machines that share no folder work together; "
        "output_dir is of the machine that searches alone then",
    )
    cluster: str | None = Field(
        None,
        description="a running Ray cluster to search on, from one of its nodes: auto, or HOST:PORT; else this machine",
    )
    teardown: bool = Field(
        False, description="after the search end the cluster, head included; one that `ray up` made, from its head"
    )
    space: SearchSpace = Field(SearchSpace({}), description="dotted path: domain, as in W&B sweep parameters")
    search: SearchConfig = SearchConfig()
    finals: FinalsConfig = FinalsConfig()
    tracking: TrackingConfig = TrackingConfig()

    @classmethod
    def load(cls, config: str | os.PathLike[str] = "quickstart", /, **changes: Any) -> Self:
        """The experiment of a YAML file, or of a configuration that comes with the program.

        Args:
            config: A file, or a name such as "multi30k".
            **changes: Values by dotted keys, as in `**{"search.trials": 8}`.

        Raises:
            UserError: With a line for each mistake.
        """
        file, options = find_config(os.fspath(config)), set_paths({}, changes)
        return validate(cls, merge(read_yaml(file), options, find_kinds(cls)), str(file), options)

    @field_validator("cluster")
    @classmethod
    def _no_client(cls, address: str | None) -> str | None:
        if address is not None and address != "auto" and not re.fullmatch(r"[\w.-]+:\d+", address):
            raise ValueError(f"{address!r}: is neither auto nor HOST:PORT; start the search on a node of the cluster")
        return address

    @field_validator("output_dir")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if "://" in path:
            raise ValueError(f"{path}: is not a folder of this machine; name the address as storage")
        return str(full_path(path))

    @field_validator("storage")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"[a-z0-9]+://[^/].*[^/]|file:///.*[^/]", url):
            raise ValueError(
                f"{url!r}: is not an address such as s3://bucket/runs; a folder that is shared is output_dir"
            )
        return url

    @field_validator("space")
    @classmethod
    def _names_fields(cls, space: SearchSpace) -> SearchSpace:
        known = flatten(TrialConfig().model_dump())
        searchable = [path for path in known if path.split(".")[0] not in ("data", "seed")]
        for path in ("training.epochs", "training.report_steps"):
            searchable.remove(path)
        for path, domain in space.domains.items():
            if path not in known:
                raise ValueError(f"{path}: names no field of a trial{did_you_mean(path, searchable)}")
            if path not in searchable:
                raise ValueError(f"{path}: decides what is compared, so it can't be searched; set it once for all")
            for value in domain.values or (domain.min, domain.max):
                if mistake := _type_mistake(path, value):
                    raise ValueError(f"{path}: {value!r} can't be its value: {mistake}")
        return SearchSpace({path: _fitted(path, domain) for path, domain in space.domains.items()})

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        search, epochs = self.search, self.training.epochs
        if self.teardown and self.cluster is None:
            raise ValueError("teardown: there is no cluster to end; name it with cluster: auto, or drop teardown")
        search.sampler.check(self.space)
        if search.trials is None and not search.sampler.ends and not search.budget.limits:
            raise ValueError(
                f"search.trials: null is without end for {search.sampler.kind}; give a number, or a search.budget of "
                "epochs, gpu_hours, dollars or wall_hours"
            )
        finals = self.num_finals * epochs
        if search.budget.epochs is not None and search.budget.epochs < finals + epochs:
            raise ValueError(
                f"search.budget.epochs: {search.budget.epochs} is too few: the finals need {finals} and one trial "
                f"{epochs}; give {finals + epochs} or more, or lower finals.top, finals.seeds or training.epochs"
            )
        if self.finals.average_checkpoints > epochs and self.training.report_steps is None:
            raise ValueError(
                f"finals.average_checkpoints: {self.finals.average_checkpoints} is more than training.epochs {epochs}; "
                f"give {epochs} or less"
            )
        metric, others = METRICS[search.metric], [name for name in METRICS if METRICS[name].between_vocabularies]
        if not metric.between_vocabularies and any(path.startswith("tokenizer.") for path in self.space.domains):
            raise ValueError(
                f"search.metric: {search.metric} is a {metric.title.removeprefix('valid ')}, which can't be compared "
                f"between vocabularies, and the space changes the vocabulary; use {' or '.join(others)}"
            )
        search.scheduler.check(self.scheduler_task)
        if not self._has_a_valid_trial():
            raise ValueError(
                "space: no combination of its values makes a valid trial"
                + (f" of at most {search.max_parameters:,} parameters" if search.max_parameters else "")
                + "; see the constraints of its fields"
            )
        return self

    def _has_a_valid_trial(self) -> bool:
        if self.space.size() <= PROBES:
            return any(self.accept(params) is not None for params in self.space.grid())
        rng = random.Random(0)
        draws = ({path: d.at(rng.random()) for path, d in self.space.domains.items()} for _ in range(PROBES))
        return any(self.accept(params) is not None for params in draws)

    @property
    def trial(self) -> TrialConfig:
        """The base that the space varies."""
        return TrialConfig(**{name: getattr(self, name) for name in TrialConfig.model_fields})

    def accept(self, params: Params) -> Params | None:
        """A draw of the space without what its other values leave unused; None if it makes no trial to train."""
        try:
            config = self.trial.with_values(params)
        except ValidationError:
            return None
        if self.search.max_parameters is not None and config.num_parameters > self.search.max_parameters:
            return None
        return {path: value for path, value in params.items() if path not in config.unused}

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs, or steps with training.report_steps, at which a trial may be stopped; none without a scheduler."""
        return self.search.scheduler.all_rungs(self.training.epochs)

    @property
    def scheduler_task(self) -> Task:
        """What a scheduler has to know."""
        training, search = self.training, self.search
        return Task(training.epochs, training.report_steps, self.space, search.trials, search.seed)

    @property
    def num_finals(self) -> int:
        """How many retrainings the finals are, if all finalists are found."""
        return int(min(self.finals.top, self.search.trials or math.inf, self.space.size())) * self.finals.seeds

    @property
    def run_dir(self) -> Path:
        assert self.name, "the command line names the run"
        return Path(self.output_dir) / self.name

    @property
    def run_url(self) -> str:
        """The address of the run in its storage."""
        return f"{self.storage}/{self.name}"

    @property
    def cache(self) -> Path:
        """Shared by all runs of one output directory."""
        return Path(self.output_dir) / ".cache"


def _type_mistake(path: str, value: Scalar) -> str | None:
    """What is wrong with a value whatever the other fields are."""
    try:
        TrialConfig().with_values({path: value})
    except ValidationError as error:
        for mistake in error.errors():
            if ".".join(map(str, mistake["loc"])).startswith(path):
                return describe_mistake(mistake)
    return None


def _fitted(path: str, domain: Domain) -> Domain:
    """The domain in values as the field takes them. Raises ValueError for two that are one value then."""
    annotation = _annotation(path)
    if domain.values is None:
        try:
            return domain.for_whole_numbers() if int in (annotation, *get_args(annotation)) else domain
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    taken = [TypeAdapter(annotation).validate_python(value) for value in domain.values]
    for first, second in combinations(range(len(taken)), 2):
        if type(taken[first]) is type(taken[second]) and taken[first] == taken[second]:
            one, other = domain.values[first], domain.values[second]
            raise ValueError(f"{path}: {one!r} and {other!r} are one value here; drop one of them")
    return domain


def _annotation(path: str) -> Any:
    """The type of a trial's field."""
    annotation: Any = TrialConfig
    for key in path.split("."):
        annotation = annotation.model_fields[key].annotation
    return annotation

"""The fields of an experiment besides those of a trial, and the form of each."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from model.config import Config
from search.settings.finals import FinalsConfig
from search.settings.problem import TRANSLATION
from search.settings.searching import SearchConfig
from search.settings.tracking import TrackingConfig
from search.space.grammar import take_constants
from search.space.space import SearchSpace
from trainables.base.config import RunName, flatten, set_paths
from trainables.base.files import full_path


class ExperimentFields(Config):
    """The fields of an `Experiment` besides those of a trial."""

    problem: str = Field(
        TRANSLATION,
        description="the problem: translation, pretrained (fine-tuning), command (another trainer), or one of your own "
        "as module:NAME",
    )
    name: RunName | None = Field(None, description="name of the run directory; config file and time unless given")
    output_dir: str = Field("runs", min_length=1, description="holds the run directories and the caches they share")
    storage: str | None = Field(
        None,
        description="an address such as s3://bucket/runs, for machines without a shared folder; "
        "output_dir is then only used by the searching machine",
    )
    cluster: str | None = Field(
        None,
        description="a running Ray cluster to search on, of which this machine is a node: auto or HOST:PORT",
    )
    teardown: bool = Field(
        False, description="end the cluster after the search, head included; for a search on the head of `ray up`"
    )
    space: SearchSpace = Field(SearchSpace({}), description="dotted path to domain, as in W&B sweep parameters")
    search: SearchConfig
    finals: FinalsConfig
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="before")
    @classmethod
    def _set_constants(cls, tree: Any) -> Any:
        """Constants of the space, as sweeps have them, are values of the base."""
        if not isinstance(tree, Mapping) or not isinstance(tree.get("space"), Mapping):
            return tree
        space, constants = take_constants(tree["space"])
        given = flatten(dict(tree))
        for path, value in constants.items():
            if given.get(path, value) != value:
                raise ValueError(f"space.{path}: is {value!r} there and {given[path]!r} outside of space; drop one")
        return set_paths(copy.deepcopy({**tree, "space": space}), constants) if constants else tree

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

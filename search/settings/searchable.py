"""Which fields of a trial can be searched, and the values that they take."""

from collections.abc import Collection
from itertools import combinations
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from search.space.domain import Domain, Scalar
from search.space.space import SearchSpace
from trainables.base.config import TrialConfig, flatten
from trainables.base.errors import did_you_mean
from trainables.base.kinds import is_config
from trainables.base.mistakes import describe_mistake

# In every problem: they decide what is compared.
FIXED = ("seed", "training.epochs", "training.report_steps", "training.report_tokens")


def fit_space(space: SearchSpace, trial: TrialConfig) -> SearchSpace:
    """The space with its values converted to the types of the fields of a trial.

    Raises ValueError for a path that can't be searched, and for a value that its field can't have.
    """
    known = flatten(trial.model_dump())
    searchable = [path for path in known if not is_among(path, (*trial.fixed, *trial.beside, *FIXED))]
    for path, domain in space.domains.items():
        if path not in known:
            raise ValueError(f"{path}: names no field of a trial{did_you_mean(path, searchable)}")
        if path not in searchable:
            raise ValueError(f"{path}: decides what is compared, so it can't be searched; set it once for all")
        for value in domain.values or (domain.min, domain.max):
            if mistake := _type_mistake(trial, path, value):
                raise ValueError(f"{path}: {value!r} can't be its value: {mistake}")
    return SearchSpace({path: _fitted(trial, path, domain) for path, domain in space.domains.items()})


def is_among(path: str, paths: Collection[str]) -> bool:
    """Whether the path is one of the paths, or below one of them."""
    return any(path == other or path.startswith(f"{other}.") for other in paths)


def _type_mistake(trial: TrialConfig, path: str, value: Scalar) -> str | None:
    """What is wrong with a value, whatever the other fields are; None if nothing is."""
    if _field_type(trial, path) is None:
        try:
            TypeAdapter(_type_of(trial, path)).validate_python(value, strict=True)
        except ValidationError as error:
            present = flatten(trial.model_dump())[path]
            return f"{describe_mistake(error.errors()[0])}, like {present!r}, its present value"
        return None
    try:
        trial.with_values({path: value})
    except ValidationError as error:
        for mistake in error.errors():
            if ".".join(map(str, mistake["loc"])).startswith(path):
                return describe_mistake(mistake)
    return None


def _fitted(trial: TrialConfig, path: str, domain: Domain) -> Domain:
    """The domain with its values converted to the field's type. Raises ValueError if two of them become one."""
    annotation = _type_of(trial, path)
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


def _type_of(trial: TrialConfig, path: str) -> Any:
    """The type of a field; of a key in a field without declared keys, that of its present value."""
    declared = _field_type(trial, path)
    if declared is not None:
        return declared
    value = flatten(trial.model_dump())[path]
    return Any if value is None else type(value)


def _field_type(trial: TrialConfig, path: str) -> Any:
    """The declared type of a field; None for a key in a field without declared keys."""
    annotation: Any = type(trial)
    for key in path.split("."):
        if not is_config(annotation) or key not in annotation.model_fields:
            return None
        annotation = annotation.model_fields[key].annotation
    return annotation

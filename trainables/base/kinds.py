"""Tables of kinds: a kind is one class, with its settings as fields."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeGuard, TypeVar

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, RootModel, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from model.config import Config
from trainables.base.errors import UserError, did_you_mean
from trainables.base.extras import need_extra
from trainables.base.user_code import NAME, import_callable

OWN = "module:Name"  # in messages, any kind of a user's own
TAG = re.compile(r"kind\[(.*)\]")  # pydantic adds it to the location of an error, between a field and its key


M = TypeVar("M")


class Kind(Config):
    """A kind: its settings as a value. `kind` is its name, a constant of each class."""

    kind: str
    installs: ClassVar[tuple[str, str, str] | None] = None  # the extra, package and module that this kind needs

    def need(self, key: str) -> None:
        """Raises UserError if a package of this kind is not installed; key: the key that names the kind."""
        if self.installs is not None:
            need_extra(*self.installs, f"{key}: {self.kind}")


class Named(Kind, extra="allow"):
    """A kind of the user's: `kind` is `my_module:MyRule`, and all other settings are keyword arguments of MyRule.

    Nothing is imported before `need` or `call`, as a configuration may be somebody else's.
    """

    kind: str = Field(pattern=NAME, description="module:Name, a kind of your own; other keys are its settings")

    def need(self, key: str) -> None:
        """Raises UserError if the user's class can't be imported; key: the key that names it."""
        import_callable(self.kind, key)

    def call(self, key: str, *arguments: Any, **settings: Any) -> Any:
        """Call the user's class with its settings. Raises UserError for any exception."""
        found = import_callable(self.kind, key)
        return self._guarded(key, found)(*arguments, **settings, **(self.model_extra or {}))

    def guard(self, key: str, made: M, *methods: str) -> M:
        """The object of the user's class, with these methods changed to raise UserError for any exception."""
        for name in methods:
            if hasattr(made, name):
                object.__setattr__(made, name, self._guarded(key, getattr(made, name)))  # it may be a frozen dataclass
        return made

    def _guarded(self, key: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except Exception as error:
                raise UserError(
                    f"{key}: {self.kind} raised {type(error).__name__}: {error}; fix it, then resume"
                ) from error

        return call


K = TypeVar("K", bound=Kind)


class Kinds(Generic[K]):
    """A table of kinds. As the annotation of a field, it allows the settings of any of them.

    A configuration may give the name of a kind, or a mapping; without `kind`, a mapping is of the default kind.
    """

    def __init__(self, default: type[K], *others: type[K], named: type[K] | None = None):
        """named: the subclass of `Named` for users' own kinds."""
        self._classes = {str(kind.model_fields["kind"].default): kind for kind in (default, *others)}
        self._default, self._named = next(iter(self._classes)), named
        self._all: dict[str, type[Kind]] = {**self._classes, **({OWN: named} if named else {})}

    def __iter__(self) -> Iterator[str]:
        """The names of the kinds."""
        return iter(self._classes)

    def __getitem__(self, name: str) -> type[K]:
        """The class of a kind by its name. Raises KeyError."""
        return self._named if self._named and name not in self._classes and ":" in name else self._classes[name]

    @property
    def default(self) -> K:
        """The settings of the default kind."""
        return self.read(self._default)

    @property
    def has_own(self) -> bool:
        """Whether users may name their own kinds."""
        return self._named is not None

    @property
    def summaries(self) -> dict[str, str]:
        """The first paragraph of each kind's docstring."""
        return {name: _summary(kind) for name, kind in self._classes.items()}

    def read(self, value: str | dict[str, Any]) -> K:
        """The settings that a configuration describes. Raises ValueError (pydantic's for a wrong setting)."""
        tree = self._spelled_out(value)
        return self[tree["kind"]].model_validate(tree)

    def kind_of(self, value: object) -> object:
        """The name of the kind in a part of a configuration."""
        return value.get("kind", self._default) if isinstance(value, dict) else value

    def all_settings(self) -> type[Config]:
        """A class with the settings of all kinds, for the options of a command line."""
        names = dict.fromkeys(name for kind in self._all.values() for name in kind.model_fields if name != "kind")
        fields: dict[str, Any] = {name: _joint_field(name, self._all) for name in names}
        words: Any = Literal[tuple(self._classes)]
        return create_model(
            "AllSettings",
            __base__=Config,
            kind=(words, Field(self._default, description="which kind")),
            **fields,
        )

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        members = {f"kind[{name}]": handler.generate_schema(kind) for name, kind in self._all.items()}
        union = core_schema.tagged_union_schema(members, self._tag)
        return core_schema.no_info_before_validator_function(self._spelled_out, union)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        members = handler(schema)
        words: list[JsonSchemaValue] = [{"enum": list(self)}]
        if self._named is not None:
            words.append({"type": "string", "pattern": NAME})
        return {"anyOf": [*words, *members["oneOf"]]}

    def _tag(self, value: Any) -> str:
        name = value["kind"] if isinstance(value, dict) else value.kind
        return f"kind[{name if name in self._classes else OWN}]"

    def _spelled_out(self, value: Any) -> Any:
        """A mapping with `kind`, which is known; settings are unchanged. Raises ValueError."""
        if isinstance(value, Kind):
            return value
        tree = {"kind": value} if not isinstance(value, dict) else {"kind": self._default, **value}
        name = tree["kind"]
        own = isinstance(name, str) and self._named is not None and re.fullmatch(NAME, name)
        if not own and (not isinstance(name, str) or name not in self._classes):
            raise ValueError(f"unknown kind {name!r}{did_you_mean(str(name), list(self))}")
        return tree


def kinds_of(field: FieldInfo) -> Kinds[Any] | None:
    """The table in the annotation of a field; None without one."""
    return next((part for part in field.metadata if isinstance(part, Kinds)), None)


def is_config(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a field of this annotation is a configuration with fields of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def find_kinds(config_class: type[BaseModel], prefix: str = "") -> dict[str, Kinds[Any]]:
    """The table of kinds at each dotted path with kinds."""
    found: dict[str, Kinds[Any]] = {}
    for name, field in config_class.model_fields.items():
        if kinds := kinds_of(field):
            found[f"{prefix}{name}"] = kinds
        elif is_config(field.annotation):
            found |= find_kinds(field.annotation, f"{prefix}{name}.")
    return found


def leaves(config_class: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """The field of each dotted path that an option can set."""
    found: dict[str, FieldInfo] = {}
    for name, field in config_class.model_fields.items():
        if is_config(field.annotation) and not issubclass(field.annotation, RootModel):
            found |= leaves(field.annotation, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field
    return found


def with_all_settings(config_class: type[BaseModel]) -> type[BaseModel]:
    """The class for the options of a command line: a field with kinds has the settings of all of them."""
    fields: dict[str, Any] = {}
    for name, field in config_class.model_fields.items():
        if kinds := kinds_of(field):
            fields[name] = (kinds.all_settings(), Field(description=field.description))
        elif is_config(field.annotation):
            below = with_all_settings(field.annotation)
            if below is not field.annotation:
                fields[name] = (below, Field(description=field.description))
    return create_model(config_class.__name__, __base__=config_class, **fields) if fields else config_class


def merge(
    tree: dict[str, Any], changes: dict[str, Any], kinds: Mapping[str, Kinds[Any]] | None = None
) -> dict[str, Any]:
    """`tree` with the leaves of `changes`; the space is one leaf, as its keys are paths.

    kinds: by dotted path. If `changes` name another kind, the settings of the kind in the tree are dropped; a word
    alone is the name of a kind.
    """
    merged, kinds = dict(tree), kinds or {}
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(below, str) and isinstance(value, dict):
            below = {"kind": below}
        if table := kinds.get(key):
            value = {"kind": value} if isinstance(value, str) else value
            other = isinstance(value, dict) and "kind" in value and value["kind"] != table.kind_of(below)
            below = None if other else below
        both = isinstance(value, dict) and isinstance(below, dict) and key != "space"
        inner = {path.partition(".")[2]: table for path, table in kinds.items() if path.startswith(f"{key}.")}
        merged[key] = merge(below, value, inner) if both and isinstance(below, dict) else value
    return merged


def _summary(kind: type[BaseModel]) -> str:
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split()).rstrip(".")


def _joint_field(name: str, kinds: dict[str, type[Kind]]) -> tuple[Any, FieldInfo]:
    """The setting of a name, for all kinds that have it; its description names them."""
    having = {title: kind.model_fields[name] for title, kind in kinds.items() if name in kind.model_fields}
    titles: dict[str, list[str]] = {}
    for title, field in having.items():
        titles.setdefault(field.description or "", []).append(title)
    heads = {text.rpartition(": ")[0] for text in titles}
    common = f"{heads.pop()}: " if len(titles) > 1 and len(heads) == 1 else ""
    each = "; ".join(f"{text.removeprefix(common)} ({', '.join(those)})" for text, those in titles.items())
    description = common + each
    first = next(iter(having.values()))
    annotation: Any = first.annotation
    for limit in first.metadata:
        annotation = Annotated[annotation, limit]
    return annotation, Field(first.default, description=description)

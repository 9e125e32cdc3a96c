"""Placeholders such as {seed} in command lines and settings, and the values that replace them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from trainables.base.errors import did_you_mean

# What a description can name, besides values of the trainer's configuration as {trainer.training.learning_rate}.
NAMES = {
    "folder": "a folder of this training, empty when the command starts",
    "config": "the trainer's configuration with all that is set",
    "seed": "the seed of the trial",
    "round": "steps from one report to the next",
    "target": "the step at which the command must end by itself",
    "total": "the step at which the whole training ends",
    "checkpoint": "the first file or folder of the checkpoint to start from",
    "checkpoint_folder": "the folder with that file",
    "python": "command.python",
    "data": "a folder with the training and validation text as train.LANGUAGE and valid.LANGUAGE",
    "source_language": "data.source",
    "target_language": "data.target",
}
TRAINER = "trainer."  # precedes a path of the trainer's configuration
PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.-]*)\}")


def names_in(template: JsonValue) -> Iterator[str]:
    """The names of all placeholders in a text, or in the texts of a list or mapping."""
    if isinstance(template, str):
        yield from PLACEHOLDER.findall(template)
    elif isinstance(template, list):
        for each in template:
            yield from names_in(each)
    elif isinstance(template, dict):
        for each in template.values():
            yield from names_in(each)


def fill(template: JsonValue, values: Mapping[str, Any]) -> Any:
    """The template with values in place of placeholders. A text that is one placeholder becomes the value itself.

    >>> fill(["{seed}", "run-{seed}"], {"seed": 3})
    [3, 'run-3']
    """
    if isinstance(template, list):
        return [fill(each, values) for each in template]
    if isinstance(template, dict):
        return {key: fill(each, values) for key, each in template.items()}
    if not isinstance(template, str):
        return template
    if alone := PLACEHOLDER.fullmatch(template):
        return values[alone[1]]
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), template)


def check_names(template: JsonValue, paths: list[str], absent: tuple[str, ...] = ()) -> None:
    """Check the placeholders of a template.

    Args:
        template: A text, or a list or mapping of texts.
        paths: The paths of the trainer's configuration.
        absent: Names that have no value here.

    Raises:
        ValueError: For a placeholder without a value.
    """
    known = [name for name in NAMES if name not in absent]
    for name in names_in(template):
        if name.startswith(TRAINER):
            if (path := name.removeprefix(TRAINER)) not in paths:
                raise ValueError(f"{{{name}}} is not in the trainer's configuration{did_you_mean(path, paths)}")
        elif name not in known:
            raise ValueError(f"{{{name}}} has no value here{did_you_mean(name, known)}")

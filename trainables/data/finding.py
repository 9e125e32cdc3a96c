"""Which files hold a split: plain text by usual names, or one table."""

from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.translation_config import DataConfig
from trainables.data.formats import FORMATS


def find_files(config: DataConfig, split: str) -> tuple[Path, ...]:
    """The files of a split: two for plain text (source, target), one for TSV or JSONL. Raises UserError."""
    try:
        return _find_files(config, split)
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise UserError(
            f"data.path: {error.filename or config.path}: {error.strerror}; name a path that this user may read"
        ) from None


def _find_files(config: DataConfig, split: str) -> tuple[Path, ...]:
    if "{" in config.path:
        return _match_pattern(config, split)
    folder = Path(config.path)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "does not exist"
        hint = "give a folder of train.en, train.fr, …, a pattern as corpus/{split}.{language}, or 'phrasebook'"
        raise UserError(f"data.path: {folder} {what}; {hint}")
    languages = (config.source, config.target)
    for stem in (split, f"{split}.{config.source}-{config.target}", f"{split}.{config.target}-{config.source}"):
        source, target = (_plain_or_gz(folder / f"{stem}.{language}") for language in languages)
        if source and target:
            return source, target
    for suffix in FORMATS:
        if table := _plain_or_gz(folder / f"{split}.{suffix}"):
            return (table,)
    for wanted, other in (languages, languages[::-1]):
        if _plain_or_gz(folder / f"{split}.{other}"):
            raise UserError(f"{folder}: {split}.{wanted} is missing beside {split}.{other}")
    tables = ", ".join(f".{suffix}" for suffix in FORMATS)
    present = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_file())[:12]) or "nothing"
    raise UserError(
        f"{folder}: no {split}.{config.source} with {split}.{config.target} (or .gz, {tables}); the folder "
        f"holds {present}; name the splits with data.train, data.valid, data.test, the languages with "
        "data.source, data.target"
    )


def _plain_or_gz(file: Path) -> Path | None:
    return next((path for path in (file, file.with_name(f"{file.name}.gz")) if path.is_file()), None)


def _match_pattern(config: DataConfig, split: str) -> tuple[Path, ...]:
    """'corpus/{split}.{language}.gz' -> both sides; without {language} it names one table."""
    languages = (config.source, config.target) if "{language}" in config.path else (config.source,)
    paths = tuple(Path(config.path.format(split=split, language=language)) for language in languages)
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file; data.path is the pattern {config.path}")
    return paths

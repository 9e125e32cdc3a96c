"""The training and validation text as plain files, for a trainer that reads such files."""

from collections.abc import Iterable
from pathlib import Path

from trainables.base.config import digest
from trainables.base.data_config import DataConfig
from trainables.base.files import make_folder, publish_folder, remove, unwritable
from trainables.base.locks import locked
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.corpus import Corpus


def plain_corpus(data: DataConfig, cache: Path) -> Path:
    """The folder with train.LANGUAGE and valid.LANGUAGE for both languages, written once. Raises UserError.

    The test text is not there: no trainer sees it.
    """
    corpus = cached_corpus(data, cache)
    place = cache / "plain" / digest([corpus.train.digest(), corpus.valid.digest(), data.source, data.target])
    make_folder(place.parent)
    with locked(place.parent / "lock"):
        if not place.is_dir():
            try:
                _write(corpus, (data.source, data.target), place)
            except OSError as error:
                raise unwritable(place, error) from error
    return place


def _write(corpus: Corpus, languages: tuple[str, str], place: Path) -> None:
    draft = place.with_name(f".{place.name}.draft")
    remove(draft)
    draft.mkdir()
    for name, text in (("train", corpus.train), ("valid", corpus.valid)):
        for language, lines in zip(languages, text.sides, strict=True):
            _write_lines(draft / f"{name}.{language}", lines)
    publish_folder(draft, place)


def _write_lines(file: Path, lines: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{line}\n" for line in lines)

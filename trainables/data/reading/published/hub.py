"""Corpora of the Hugging Face Hub, as hf://wmt/wmt14?config=de-en&revision=…, fetched by the package `datasets`."""

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from trainables.base.data_config import HUB
from trainables.base.errors import UserError
from trainables.base.extras import need_extra
from trainables.data.reading.sources import Source

COMMIT = "[0-9a-f]{40}"


@lru_cache(maxsize=4)
def fetch(path: str) -> dict[str, tuple[Source, ...]]:
    """The files of each split, by its name, in the cache of `datasets`. Code of a repository is never run.

    Raises UserError for what can't be fetched, and for a revision that can change: what a search reads must stay as it
    is.
    """
    need_extra("datasets", "datasets", "datasets", f"data.path: {path}")
    from datasets import load_dataset
    from huggingface_hub import HfApi

    match = re.fullmatch(HUB, path)
    assert match  # or the configuration would not be valid
    repository, query = match["repository"], parse_qs(match["query"] or "")
    revision = query.get("revision", [None])[0]
    if Path(repository).exists():  # which `datasets` would read instead
        raise UserError(f"data.path: {path}: a folder {repository} lies here; start in another folder, or name it ./…")
    try:
        if revision is None or not re.fullmatch(COMMIT, revision):
            query["revision"] = [str(HfApi().dataset_info(repository, revision=revision).sha)]
        else:
            loaded = load_dataset(repository, query.get("config", [None])[0], revision=revision)
    except Exception as error:  # of the network, of the Hub, of a form that is unknown
        raise UserError(f"data.path: {path}: can't be fetched: {' '.join(str(error).split())[:300]}") from None
    if query["revision"] != [revision]:
        now = f"hf://{repository}?{urlencode(query, doseq=True)}"
        raise UserError(f"data.path: {path}: can change; name the state that is meant; as it is now: {now}")
    files = {str(name): [Path(file["filename"]) for file in split.cache_files] for name, split in loaded.items()}
    if any(revision not in file.parts for split in files.values() for file in split):
        raise UserError(  # without a network `datasets` takes the last state that it has
            f"data.path: {path}: can't be fetched: the cache of `datasets` has another state of it alone; start once "
            "where there is a network"
        )
    return {name: tuple(map(Source, split)) for name, split in files.items()}

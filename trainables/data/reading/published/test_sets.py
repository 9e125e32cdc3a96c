"""The test sets of sacreBLEU, as sacrebleu://wmt24/en-de."""

import re
from pathlib import Path
from typing import Any

from trainables.base.data_config import TEST_SET, DataConfig
from trainables.base.errors import UserError, did_you_mean
from trainables.data.reading.language_codes import same_language
from trainables.data.reading.layouts import Layout
from trainables.data.reading.sources import Source


def find_test_set(config: DataConfig, address: str) -> Layout:
    """Source and reference of a test set; fetched, with the digest that sacreBLEU knows, if they are not there yet.

    It has all references that sacreBLEU scores with. Raises UserError.
    """
    import sacrebleu.dataset

    known: dict[str, Any] = sacrebleu.dataset.DATASETS

    match = re.fullmatch(TEST_SET, address)
    assert match  # or the configuration would not be valid
    name, pair = match["name"], match["pair"]
    if name not in known:
        raise UserError(f"{address}: sacreBLEU has no test set {name}{did_you_mean(name, list(known))}")
    test_set = known[name]
    source, _, target = pair.partition("-")
    if not (same_language(config.source, source) and same_language(config.target, target)):
        raise UserError(
            f"{address}: is from {source} to {target}, and data.source and data.target are {config.source} and "
            f"{config.target}"
        )
    if pair not in test_set.langpairs:
        raise UserError(f"{address}: {name} has no {pair}{did_you_mean(pair, list(test_set.langpairs))}")
    try:
        files = [test_set.get_source_file(pair), *test_set.get_reference_files(pair)]
    except (Exception, SystemExit) as error:  # whatever a download and the reading of what came raise
        raise UserError(
            f"{address}: can't be fetched: {' '.join(str(error).split())[:200]}; where there is a network, "
            f"`sacrebleu -t {name} -l {pair} --echo src` fetches it into ~/.sacrebleu, which can be copied here"
        ) from None
    source_file, first, *more = (Source(Path(file)) for file in files)
    return Layout((source_file, first), plain=True, references=tuple(more))

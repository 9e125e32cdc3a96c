"""Fails if pip had to try many versions: more than three of one package in a log of `pip install --log FILE`."""

import re
import sys
from collections import defaultdict
from pathlib import Path

FETCHED = re.compile(r"(?:Downloading|Using cached) (?:\S*/)?([\w.]+?)-(\d[\w.!+]*?)(?:-|\.tar|\.zip)")
MOST = 3  # versions of one package


def count_versions(log: str) -> dict[str, set[str]]:
    """The versions of each package of which pip fetched a file or the metadata."""
    seen: dict[str, set[str]] = defaultdict(set)
    for name, version in FETCHED.findall(log):
        seen[re.sub(r"[-_.]+", "-", name).lower()].add(version)
    return seen


def main() -> None:
    seen = count_versions(Path(sys.argv[1]).read_text())
    if not seen:
        sys.exit(f"{sys.argv[1]}: pip fetched nothing: is this its log?")
    if searched := {name: len(versions) for name, versions in seen.items() if len(versions) > MOST}:
        sys.exit(f"{sys.argv[1]}: pip looked for versions that fit together: {searched}; run `make lock`")
    print(f"pip fetched {len(seen)} packages, at most {max(map(len, seen.values()))} versions of each")


if __name__ == "__main__":
    main()

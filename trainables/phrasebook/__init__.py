"""An English–French corpus composed by a grammar of our own: nothing to download, nothing copied."""

from trainables.phrasebook.grammar import LANGUAGES, phrasebook

__all__ = ["LANGUAGES", "phrasebook"]

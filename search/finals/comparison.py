"""The comparison of two systems by paired tests; apart from the tests, as these import SciPy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Two systems, by their places in the list; p-values are two-sided."""

    a: int
    b: int
    difference: float  # score of a minus score of b
    ci: tuple[float, float]  # of the difference, over seeds and items
    p_bootstrap: float  # for these models on other items
    p_randomisation: float  # for these models on these items
    p_nested: float  # for other seeds and other items; agrees with ci
    p_holm: float  # the larger of the last two, corrected for the number of comparisons

    @property
    def bound(self) -> float:
        """What the absolute difference does not exceed, by its interval."""
        return max(abs(end) for end in self.ci)

    def equivalent(self, margin: float | None) -> bool:
        """Whether the absolute difference is surely below the margin; not if there is none."""
        return margin is not None and self.bound < margin

"""How numbers are put into words."""


def count(number: int, one: str, many: str) -> str:
    """(1, "seed", "seeds") -> "1 seed"."""
    return f"{number:,} {one if number == 1 else many}"

"""How numbers are put into words."""


def count(number: int, one: str, many: str) -> str:
    """(1, "seed", "seeds") -> "1 seed"."""
    return f"{number:,} {one if number == 1 else many}"


def amount(value: float) -> str:
    """1234.5 -> "1,234", and two digits of what is below ten and not whole: 0.0352 -> "0.035"."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"

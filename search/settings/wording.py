"""Settings, numbers and times as text, for the terminal and the report."""

from search.space.domain import Scalar
from search.space.space import Params
from trainables.base.wording import count as count  # beside the others, for who puts things into words


def describe(params: Params) -> str:
    """{"model.d_model": 256} -> "d_model=256"."""
    return " ".join(f"{short_name(path)}={short_value(value)}" for path, value in params.items())


def short_name(path: str) -> str:
    """model.d_model -> d_model."""
    return path.rpartition(".")[2]


def noun(name: str) -> str:
    """encoder_layers -> "encoder layer", num_heads -> "head"."""
    return name.removeprefix("num_").removesuffix("s").replace("_", " ")


def short_value(value: Scalar) -> str:
    """0.00123456 -> "0.00123"; whole numbers and words as they are."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def clock(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def plain(number: float) -> str:
    """4 or 4.0 -> "4", 2.333 -> "2.33", 0.00333 -> "0.0033"."""
    return f"{round(number, 2):g}" if abs(number) >= 1 else f"{number:.2g}"

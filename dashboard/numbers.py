"""Numbers as people read them."""

import math


def rate(count: float, seconds: float) -> str:
    """Per second, or per minute when slower than one a second."""
    if count <= 0 or seconds <= 0:
        return "0/s"
    per_s = count / seconds
    return f"{rounded(per_s)}/s" if per_s >= 1 else per_minute(count, seconds)


def per_minute(count: float, seconds: float) -> str:
    return f"{rounded(count * 60 / seconds)}/min"


def rounded(value: float) -> str:
    """Three digits at most before a unit letter, one after the point below ten."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return rounded(value / (1000 if letter == "k" else size)) + letter
    if value >= 10 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def count(value: float) -> str:
    """Whole, with thin groups: 12 345."""
    return f"{round(value):,}".replace(",", "\u202f")


def share(part: float, whole: float) -> str:
    if whole <= 0 or part <= 0:
        return "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def duration(milliseconds: float) -> str:
    """In the unit that leaves one to three digits before the point; a dash for none."""
    if not math.isfinite(milliseconds):
        return "–"
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f} µs"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return (
        f"{milliseconds / 1000:.2g} s" if milliseconds < 10_000 else f"{milliseconds / 1000:.0f} s"
    )


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"

"""The colours: they mean health, and nothing else. Each comes with a second cue where it is used.

Chosen to be told apart by the colour blind. Denied is no error: it has its own colour everywhere.
"""

OK = "#2f9e44"
WARN = "#f08c00"
BAD = "#c92a2a"
DENIED = "#7048e8"
UNKNOWN = "#868e96"

WARN_ERRORS = 0.01  # share of requests from which an edge or a service is no longer fine
BAD_ERRORS = 0.05

# For text and thin lines on a dark ground, where the colours above are too dim.
ON_DARK = {OK: "#51cf66", WARN: "#ffa94d", BAD: "#ff6b6b", DENIED: "#9775fa", UNKNOWN: "#adb5bd"}


def shade(colour: str, scheme: str) -> str:
    """The colour as it is drawn in the "light" or the "dark" scheme."""
    return ON_DARK.get(colour, colour) if scheme == "dark" else colour


def health(requests: float, errors: float) -> str:
    """ "ok", "warn" or "bad" by the share of errors; "idle" without requests."""
    if requests <= 0:
        return "idle"
    share = errors / requests
    return "bad" if share >= BAD_ERRORS else "warn" if share >= WARN_ERRORS else "ok"

"""Rows for people at a terminal."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest text; numbers to the right."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    numeric = [
        all(cell.lstrip("-").isdigit() for cell in column[1:]) and len(cells) > 1
        for column in zip(*cells, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)

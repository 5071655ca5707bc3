"""Rows of numbers as a table of text."""

from collections.abc import Mapping, Sequence


def write_table(rows: Sequence[Mapping], columns: Mapping[str, str]) -> str:
    """Write rows in columns, aligned to the right.

    Args:
        rows: Dicts with the same keys. Floats are written with three places,
            `None` as a dash, and the rest as it is.
        columns: Titles by key. Columns without any value are left out.

    Returns:
        A line of titles, and one for each row.
    """
    columns = {
        key: title
        for key, title in columns.items()
        if any(row.get(key) is not None for row in rows)
    }
    lines = [list(columns.values())]
    lines += [[_write(row[key]) for key in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(map(str.rjust, line, widths)).rstrip() for line in lines
    )


def _write(value) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""What duplicates mean for a data set: copies, leaks, contradictions."""

import collections
from collections.abc import Iterator

import numpy as np

from keras_transfer.insight.audit.duplicates import DuplicateGroups
from keras_transfer.insight.audit.finding import Finding
from keras_transfer.insight.audit.picture_table import PictureTable

# The higher, the further from training. A copy there is the one to keep: what
# is measured with it stays comparable.
_DISTANCE = {"train": 0, "training": 0, "test": 2, "testing": 2}


def find_duplicate_faults(
    table: PictureTable, groups: DuplicateGroups
) -> list[Finding]:
    """List duplicates, those under several classes, and those across splits.

    A group of copies under several classes is listed as that alone. One across
    splits is listed as a leak, and as what it is besides.

    Args:
        table: The pictures.
        groups: From `group_duplicates`.
    """
    found = []
    for rows in list_groups(groups.cropped):
        if len({table.splits[row] for row in rows}) > 1:
            rows = order_copies(table, rows)
            counts = collections.Counter(table.splits[row] for row in rows)
            shares = [f"{n} in {split}" for split, n in counts.items()]
            same = _describe_sameness(groups, rows)
            found.append(
                table.describe("leak", rows, f"{same}: {', '.join(shares)}")
            )
    for rows in list_groups(groups.near):
        names = sorted({table.classes[row] for row in rows})
        if len(names) > 1:
            rows = order_copies(table, rows)
            same = _describe_sameness(groups, rows)
            detail = f"{same}: {', '.join(names)}"
            found.append(table.describe("two_classes", rows, detail))
    levels = (
        ("exact_duplicate", groups.exact, np.arange(len(table))),
        ("near_duplicate", groups.near, groups.exact),
        ("cropped_duplicate", groups.cropped, groups.near),
    )
    for kind, group_of, inner in levels:
        for rows in list_groups(group_of):
            rows = _choose_one_of_each(order_copies(table, rows), inner)
            mixed = len({table.classes[row] for row in rows}) > 1
            if len(rows) < 2 or (mixed and kind != "cropped_duplicate"):
                continue
            sizes = [f"{w} x {h}" for w, h in table.sizes[rows].tolist()]
            found.append(
                table.describe(kind, rows, ", ".join(dict.fromkeys(sizes)))
            )
    return found


def list_groups(group_of: np.ndarray) -> Iterator[list[int]]:
    """Give the rows of each group of several, in the order of the first."""
    members = collections.defaultdict(list)
    for row, group in enumerate(group_of.tolist()):
        members[group].append(row)
    return (rows for rows in members.values() if len(rows) > 1)


def order_copies(table: PictureTable, rows: list[int]) -> list[int]:
    """Sort copies so that the one to keep is first.

    That is one of the split furthest from training, and of those the largest.
    """
    pixels = table.sizes.astype("int64").prod(axis=1)
    return sorted(
        rows,
        key=lambda row: (
            -_DISTANCE.get(table.splits[row].lower(), 1),
            -pixels[row],
            row,
        ),
    )


def _choose_one_of_each(rows, inner) -> list[int]:
    first = {}
    for row in rows:
        first.setdefault(inner[row], row)
    return list(first.values())


def _describe_sameness(groups, rows) -> str:
    if len(set(groups.exact[rows])) == 1:
        return "the same pixels"
    if len(set(groups.near[rows])) == 1:
        return "the same picture"
    return "parts of one picture"

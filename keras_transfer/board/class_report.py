"""Precision, recall and F1 of each class."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ClassScores(NamedTuple):
    """Scores of each class, one array each."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def class_scores(matrix: np.ndarray) -> ClassScores:
    """Compute precision, recall, F1 and support of each class.

    Args:
        matrix: A confusion matrix, true classes in rows; or a two by two
            matrix for each class, as `count_outcomes` returns it.

    Returns:
        A named tuple of arrays `precision`, `recall`, `f1` and `support`. A
        score is NaN where no example decides it, as is the precision of a
        class that was never predicted.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim == 3:
        right = matrix[:, 1, 1]
        support, predicted = (
            matrix[:, 1].sum(axis=1),
            matrix[..., 1].sum(axis=1),
        )
    else:
        right = np.diagonal(matrix)
        support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    return ClassScores(
        _divide(right, predicted),
        _divide(right, support),
        _divide(2 * right, support + predicted),
        support,
    )


def class_rows(matrix: np.ndarray, class_names: Sequence[str]) -> list[dict]:
    """List the scores of each class as plain data, for a report of one's own.

    Args:
        matrix: As for `class_scores`.
        class_names: A name for each class.

    Returns:
        A list of dicts with the keys `"class"`, `"precision"`, `"recall"`,
        `"f1"` (floats, NaN where undefined) and `"support"` (an integer).

    Raises:
        ValueError: If there is not one name for each class.
    """
    if len(class_names) != len(matrix):
        raise ValueError(
            f"There must be a name for each of the {len(matrix)} classes. "
            f"Received: class_names={class_names}"
        )
    names = ("class", *ClassScores._fields)
    columns = (array.tolist() for array in class_scores(matrix))
    return [
        dict(zip(names, row, strict=True))
        for row in zip(map(str, class_names), *columns, strict=True)
    ]


def class_report_markdown(
    matrix: np.ndarray, class_names: Sequence[str]
) -> str:
    """Write the scores of each class as a markdown table.

    The class with the lowest F1 comes first. The last row is the mean over
    the classes that have examples; what is undefined counts as 0 in it.

    Args:
        matrix: As for `class_scores`.
        class_names: A name for each class.

    Returns:
        A table in markdown. A dash stands for a score that no example
        decides.
    """
    rows = class_rows(matrix, class_names)
    present = [row for row in rows if row["support"]]
    mean = {"class": "**mean of the classes**"}
    for key in ("precision", "recall", "f1"):
        scores = np.nan_to_num([row[key] for row in present])
        mean[key] = scores.mean() if present else np.nan
    mean["support"] = sum(row["support"] for row in rows)
    rows.sort(key=lambda row: (np.isnan(row["f1"]), row["f1"]))
    for row in rows:
        row["class"] = escape_markdown(row["class"])
    lines = [
        "| class | precision | recall | F1 | support |",
        "|:--|--:|--:|--:|--:|",
    ]
    for row in [*rows, mean]:
        scores = (_format(row[key]) for key in ("precision", "recall", "f1"))
        cells = [row["class"], *scores, f"{row['support']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def escape_markdown(text: str) -> str:
    """Escape text so that markdown, and a table's cell, shows it as it is."""
    text = " ".join(str(text).split())
    text = re.sub(r"([\\`*_\[\]#|])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _divide(numerator, denominator) -> np.ndarray:
    result = np.full(len(numerator), np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)


def _format(score: float) -> str:
    return "–" if np.isnan(score) else f"{score:.3f}"

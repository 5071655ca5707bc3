"""The figures of a report."""

from typing import NamedTuple

import numpy as np

from keras_transfer.board.baseline_bars import draw_baseline_bars
from keras_transfer.board.confidences import read_guesses
from keras_transfer.board.confusion_matrix import (
    MOST_CLASSES_DRAWN,
    draw_confusion_matrix,
)
from keras_transfer.board.f1_bars import draw_f1_bars
from keras_transfer.board.learning_curves import (
    draw_learning_curves,
    find_curves,
)
from keras_transfer.board.reliability_diagram import (
    draw_reliability_diagram,
    expected_calibration_error,
)
from keras_transfer.data.outcomes import count_outcomes
from keras_transfer.recipes.report import Report
from keras_transfer.recipes.report_tables import THIS_MODEL, compare_rows


class ReportFigure(NamedTuple):
    """A picture, and in words what there is to see on it."""

    picture: np.ndarray
    words: str


def draw_figures(report: Report) -> dict[str, ReportFigure]:
    """Draw what a report knows.

    Args:
        report: The report.

    Returns:
        Figures by name: `"baselines"`, `"curves"`, `"confusion"`, `"f1"` and
        `"reliability"`, without those of which nothing is known.
    """
    figures = {}
    rows = compare_rows(report)
    if rows:
        listed = ", ".join(
            f"{row['baseline']} {row['accuracy']:.3f}" for row in rows
        )
        figures["baselines"] = ReportFigure(
            draw_baseline_bars(rows, THIS_MODEL),
            f"Bars of the accuracy, with 95 % intervals: {listed}.",
        )
    curves = find_curves(report.history)
    if curves:
        phases = [(phase.name, phase.epochs) for phase in report.phases]
        figures["curves"] = ReportFigure(
            draw_learning_curves(report.history, phases),
            _describe_curves(curves),
        )
    if report.answers is None or not report.classes:
        return figures
    labels, chances = report.answers
    matrix = count_outcomes(
        labels, chances, binary_loss=not report.is_exclusive
    )
    names = [_drawable(row["class"]) for row in report.classes]
    figures["f1"] = ReportFigure(
        draw_f1_bars(matrix, names), _describe_f1(report)
    )
    if matrix.ndim > 2:
        return figures
    if len(matrix) <= MOST_CLASSES_DRAWN:
        figures["confusion"] = ReportFigure(
            draw_confusion_matrix(matrix, names),
            f"Confusion matrix of {len(matrix)} classes: "
            f"{np.trace(matrix):,} of {matrix.sum():,} examples are right."
            + _describe_confusion(matrix, report),
        )
    if np.isfinite(chances).all():
        guesses = read_guesses(chances, labels)
        sure = guesses.confidences, guesses.is_right
        figures["reliability"] = ReportFigure(
            draw_reliability_diagram(*sure),
            "Reliability diagram: the accuracy is "
            f"{guesses.is_right.mean():.3f} at a mean confidence of "
            f"{guesses.confidences.mean():.3f}; expected calibration error "
            f"{expected_calibration_error(*sure):.3f}.",
        )
    return figures


def _describe_curves(curves) -> str:
    parts = [
        f"{kind} {name.replace('_', ' ')} from {values[0]:.3f} to "
        f"{values[-1]:.3f}"
        for name, pair in curves.items()
        for kind, values in pair.items()
    ]
    return f"Learning curves: {', '.join(parts)}."


def _describe_f1(report) -> str:
    rows = [row for row in report.classes if not np.isnan(row["f1"])]
    if not rows:
        return "Bars of the F1 of each class: none is known."
    worst, best = (pick(rows, key=lambda row: row["f1"]) for pick in (min, max))
    return (
        f"Bars of the F1 of each class, from {worst['class']} "
        f"({worst['f1']:.3f}) to {best['class']} ({best['f1']:.3f})."
    )


def _describe_confusion(matrix, report) -> str:
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    if not wrong.any():
        return ""
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    names = [report.classes[index]["class"] for index in (true, taken)]
    return (
        f" Most often {names[0]} is taken for {names[1]} "
        f"({wrong[true, taken]:,})."
    )


def _drawable(name: str) -> str:
    # Names of folders may hold what is no text; fonts refuse it.
    return name.encode("utf-8", "backslashreplace").decode("utf-8")

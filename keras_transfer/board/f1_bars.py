"""Bars that show which classes a classifier is weak at."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.board.class_report import class_rows
from keras_transfer.board.drawing import (
    FAINT,
    INK,
    RIGHT,
    draw_box,
    draw_line,
    fit_text,
    new_canvas,
    quiet_glyphs,
    render,
    text_size,
    write,
)

_MOST_CLASSES = 40
_WIDTH = 720
_TOP, _BOTTOM, _MARGIN = 96, 24, 25
_NAME_WIDTH = 240
_TEXT = 16


@quiet_glyphs()
def draw_f1_bars(matrix: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draw the F1 of each class as a bar, the worst first.

    The number of its examples stands beside a name, and a dashed line is the
    mean over the classes that have examples. Of more than 40 classes, the
    worst 40 are drawn.

    Args:
        matrix: As for `class_scores`.
        names: A name for each class.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`.

    Raises:
        ValueError: If there is not one name for each class.
    """
    rows = class_rows(matrix, names)
    rows.sort(key=lambda row: (np.isnan(row["f1"]), row["f1"]))
    mean = _mean_f1(rows)
    title = _title(len(rows), mean)
    rows = rows[:_MOST_CLASSES]

    step = min(max(560 // max(len(rows), 1), 24), 44)
    height = _TOP + step * len(rows) + _BOTTOM
    canvas = new_canvas(_WIDTH, height)
    counts = [f"({row['support']:,})" for row in rows]
    names = [fit_text(canvas, r["class"], _TEXT, _NAME_WIDTH) for r in rows]
    name_width = text_size(canvas, [*names, ""], _TEXT)[0]
    count_width = text_size(canvas, [*counts, ""], _TEXT)[0]
    left = _MARGIN + name_width + 8 + count_width + 12
    across = _WIDTH - left - 90

    title = fit_text(canvas, title, 20, _WIDTH - 2 * _MARGIN)
    write(canvas, _MARGIN, 28, title, 20)
    _draw_scale(canvas, left, across, height - _BOTTOM)
    for number, row in enumerate(rows):
        middle = _TOP + (number + 0.5) * step
        x = _MARGIN + name_width
        write(canvas, x, middle, names[number], _TEXT, align="right")
        x = left - 12
        count = counts[number]
        write(canvas, x, middle, count, _TEXT, align="right", color=FAINT)
        _draw_bar(canvas, left, across, middle, 0.7 * step, row["f1"])
    if not np.isnan(mean):
        x = left + across * mean
        line = [_TOP - 4, height - _BOTTOM + 4]
        draw_line(canvas, [x, x], line, INK, 1.5, dashed=True)
    return render(canvas)


def _mean_f1(rows) -> float:
    # As in `class_report_markdown`: what is undefined counts as 0.
    scores = [row["f1"] for row in rows if row["support"]]
    return float(np.mean(np.nan_to_num(scores))) if scores else np.nan


def _title(classes: int, mean: float) -> str:
    which = f"F1 of {classes:,} classes"
    if classes > _MOST_CLASSES:
        which = f"F1 of the worst {_MOST_CLASSES} of {classes:,} classes"
    return (
        which if np.isnan(mean) else f"{which} (mean of all {mean:.3f}, dashed)"
    )


def _draw_scale(canvas, left, across, low) -> None:
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = left + across * tick
        draw_line(canvas, [x, x], [_TOP - 4, low])
        text = f"{tick:g}"
        write(canvas, x, 76, text, _TEXT - 2, align="center", color=FAINT)


def _draw_bar(canvas, left, across, middle, thickness, f1) -> None:
    text = "–" if np.isnan(f1) else f"{f1:.3f}"
    write(canvas, _WIDTH - _MARGIN, middle, text, _TEXT, align="right")
    if not np.isnan(f1):
        # Even a 0 is a bar, if a thin one.
        length = max(across * f1, 2)
        top = middle - thickness / 2
        draw_box(canvas, left, top, length, thickness, RIGHT)

"""Bars that show a model beside what it is held against."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.board.drawing import (
    FAINT,
    INK,
    RIGHT,
    THIRD,
    draw_box,
    draw_line,
    fit_text,
    new_canvas,
    quiet_glyphs,
    render,
    write,
)

_WIDTH = 720
_TOP, _STEP, _BOTTOM = 72, 58, 40
_MARGIN, _NUMBER_WIDTH = 25, 75
_TEXT = 17
_BAR = 20


@quiet_glyphs()
def draw_baseline_bars(rows: Sequence[dict], chosen: str) -> np.ndarray:
    """Draw the accuracy of a model and of its baselines.

    Each bar has its name above it, the accuracy beside it, and its interval
    as a line across its end.

    Args:
        rows: Dicts with the keys `"baseline"` (a name), `"accuracy"`,
            `"low"` and `"high"` (the ends of its interval), in the order in
            which they are drawn.
        chosen: The name of the row to put forward.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`.
    """
    low = _TOP + _STEP * len(rows)
    canvas = new_canvas(_WIDTH, low + _BOTTOM)
    across = _WIDTH - 2 * _MARGIN - _NUMBER_WIDTH
    write(canvas, _MARGIN, 28, "Accuracy, with 95 % intervals", 20)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, text = _MARGIN + across * tick, f"{tick:g}"
        for number in range(len(rows)):
            # Not through the names, which stand between the bars.
            y = _TOP + _STEP * number + 9
            draw_line(canvas, [x, x], [y, y + _BAR + 8])
        write(canvas, x, low + 20, text, _TEXT - 2, align="center", color=FAINT)
    for number, row in enumerate(rows):
        is_chosen = row["baseline"] == chosen
        style = {"weight": "bold"} if is_chosen else {}
        top = _TOP + _STEP * number
        name = fit_text(canvas, row["baseline"], _TEXT, across)
        write(canvas, _MARGIN, top, name, _TEXT, **style)
        middle = top + 13 + _BAR / 2
        # Even a 0 is a bar, if a thin one.
        width = max(across * row["accuracy"], 2)
        color = RIGHT if is_chosen else THIRD
        draw_box(canvas, _MARGIN, middle - _BAR / 2, width, _BAR, color)
        _draw_interval(canvas, across, middle, row)
        text = f"{row['accuracy']:.3f}"
        x = _WIDTH - _MARGIN
        write(canvas, x, middle, text, _TEXT, align="right", **style)
    return render(canvas)


def _draw_interval(canvas, across, middle, row) -> None:
    ends = [_MARGIN + across * row[key] for key in ("low", "high")]
    draw_line(canvas, ends, [middle, middle], INK, 2)
    for x in ends:
        draw_line(canvas, [x, x], [middle - 5, middle + 5], INK, 2)

"""Reliability diagrams: whether a classifier is right as often as it says."""

from typing import NamedTuple

import numpy as np

from keras_transfer.board.drawing import (
    FAINT,
    INK,
    RIGHT,
    THIRD,
    WRONG,
    draw_box,
    draw_line,
    fit_text,
    new_canvas,
    quiet_glyphs,
    render,
    text_size,
    write,
)

_WIDTH, _HEIGHT = 720, 860
_LEFT, _RIGHT_MARGIN = 90, 30
_TOP, _SIDE = 130, 480  # of the diagram
_BARS_TOP, _BARS_HEIGHT = 650, 120  # of the histogram
_TEXT = 17
_TOO_SURE, _NOT_SURE = WRONG, THIRD


class CalibrationBins(NamedTuple):
    """Examples by confidence, an array each."""

    counts: np.ndarray
    confidences: np.ndarray
    accuracies: np.ndarray


def calibration_bins(
    confidences: np.ndarray, is_right: np.ndarray, bins: int = 15
) -> CalibrationBins:
    """Sort examples into bins by how sure the model is of them.

    Bins are equally wide. A confidence on an edge belongs to the lower bin.

    Args:
        confidences: The probability of each predicted class.
        is_right: Whether each prediction is right.
        bins: Number of bins.

    Returns:
        A named tuple of arrays `counts`, `confidences` and `accuracies`, the
        last two means over a bin, NaN where it is empty.

    Raises:
        ValueError: If the lengths differ, a confidence is not in [0, 1] or
            there is no bin.
    """
    confidences = np.asarray(confidences, "float64")
    is_right = np.asarray(is_right, "float64")
    if confidences.shape != is_right.shape or confidences.ndim != 1:
        raise ValueError(
            "Confidences and answers must be two lists of the same length. "
            f"Received: confidences of shape {confidences.shape}, "
            f"is_right of shape {is_right.shape}"
        )
    if not np.all((confidences >= 0) & (confidences <= 1)):
        raise ValueError(
            "Confidences must be in [0, 1]. Received: confidences between "
            f"{confidences.min()} and {confidences.max()}"
        )
    if bins < 1:
        raise ValueError(f"There must be a bin. Received: bins={bins}")
    edges = np.linspace(0, 1, bins + 1)
    number = np.searchsorted(edges[1:-1], confidences, side="left")
    counts = np.bincount(number, minlength=bins)
    return CalibrationBins(
        counts,
        _mean(np.bincount(number, confidences, bins), counts),
        _mean(np.bincount(number, is_right, bins), counts),
    )


def expected_calibration_error(
    confidences: np.ndarray, is_right: np.ndarray, bins: int = 15
) -> float:
    """Compute by how much confidence and accuracy differ.

    This is equation 3 of Guo et al., "On Calibration of Modern Neural
    Networks" (2017): the mean over the bins, by their number of examples.

    Args:
        confidences: As for `calibration_bins`.
        is_right: As for `calibration_bins`.
        bins: Number of bins.

    Returns:
        A number in [0, 1]; NaN where there are no examples.

    Raises:
        ValueError: As `calibration_bins`.
    """
    return _weigh_gaps(calibration_bins(confidences, is_right, bins))


@quiet_glyphs()
def draw_reliability_diagram(
    confidences: np.ndarray,
    is_right: np.ndarray,
    title: str = "Reliability",
    bins: int = 15,
) -> np.ndarray:
    """Draw how often a classifier is right, by how sure it is.

    A line across each bar is the accuracy of its bin. What lies between it
    and the mean confidence is shaded: above the accuracy where the model is
    too sure, below it where it is not sure enough. Bars below the diagram
    tell how many examples are in each bin.

    Args:
        confidences: As for `calibration_bins`.
        is_right: As for `calibration_bins`.
        title: What the picture is headed with, before accuracy and error.
        bins: Number of bins.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`.

    Raises:
        ValueError: As `calibration_bins`.
    """
    table = calibration_bins(confidences, is_right, bins)
    canvas = new_canvas(_WIDTH, _HEIGHT)
    _write_heading(canvas, title, table)
    _draw_accuracies(canvas, table)
    _draw_counts(canvas, table.counts)
    return render(canvas)


def _mean(sums, counts) -> np.ndarray:
    means = np.full(len(counts), np.nan)
    return np.divide(sums, counts, out=means, where=counts > 0)


def _weigh_gaps(table: CalibrationBins) -> float:
    gaps = np.abs(table.accuracies - table.confidences)
    return float(_average(gaps, table.counts))


def _average(values, counts) -> float:
    total = counts.sum()
    return np.nansum(values * counts) / total if total else np.nan


def _write_heading(canvas, title, table) -> None:
    accuracy = _average(table.accuracies, table.counts)
    sure = _average(table.confidences, table.counts)
    title = fit_text(canvas, title, 21, _WIDTH - 50)
    write(canvas, 25, 28, title, 21)
    numbers = (
        f"accuracy {accuracy:.1%}, mean confidence {sure:.1%}, "
        f"ECE {_weigh_gaps(table):.1%}"
    )
    if not table.counts.sum():
        numbers = "no examples"
    write(canvas, 25, 60, numbers, _TEXT)
    x = 25
    for color, text in (
        (RIGHT, "accuracy"),
        (_TOO_SURE, "gap: too sure"),
        (_NOT_SURE, "gap: not sure enough"),
    ):
        draw_box(canvas, x, 85, 15, 15, color)
        write(canvas, x + 22, 93, text, _TEXT - 1)
        x += 50 + text_size(canvas, [text], _TEXT - 1)[0]


def _draw_accuracies(canvas, table) -> None:
    across = _WIDTH - _LEFT - _RIGHT_MARGIN
    low = _TOP + _SIDE
    _draw_frame(canvas, _TOP, _SIDE, range(0, 101, 20))
    write(
        canvas,
        22,
        _TOP + _SIDE / 2,
        "accuracy",
        _TEXT,
        align="center",
        rotation=90,
        va="center",
    )
    bins = len(table.counts)
    for number in np.flatnonzero(table.counts):
        accuracy = table.accuracies[number]
        sure = table.confidences[number]
        x, width = _place(number, bins)
        for start, end, color in (
            (0, min(accuracy, sure), RIGHT),
            (accuracy, sure, _TOO_SURE),
            (sure, accuracy, _NOT_SURE),
        ):
            if end > start:
                height = (end - start) * _SIDE
                y = low - end * _SIDE
                draw_box(canvas, x, y, width, height, color)
        y = low - accuracy * _SIDE
        draw_line(canvas, [x, x + width], [y, y], INK, 3)
    draw_line(
        canvas,
        [_LEFT, _LEFT + across],
        [low, _TOP],
        INK,
        1.5,
        dashed=True,
    )


def _draw_counts(canvas, counts) -> None:
    low = _BARS_TOP + _BARS_HEIGHT
    shares = counts / max(counts.sum(), 1)
    most = max(shares.max(), 0.01)
    _draw_frame(canvas, _BARS_TOP, _BARS_HEIGHT, ())
    for number in np.flatnonzero(counts):
        x, width = _place(number, len(counts))
        # A single example of many is still to be seen.
        height = max(shares[number] / most * (_BARS_HEIGHT - 8), 2)
        draw_box(canvas, x, low - height, width, height, FAINT)
    size = _TEXT - 2
    write(canvas, _LEFT - 8, low, "0", size, align="right", color=FAINT)
    write(
        canvas,
        _LEFT - 8,
        _BARS_TOP + 8,
        f"{most:.0%}" if counts.sum() else "",
        size,
        align="right",
        color=FAINT,
    )
    write(
        canvas,
        22,
        _BARS_TOP + _BARS_HEIGHT / 2,
        "examples",
        _TEXT,
        align="center",
        rotation=90,
        va="center",
    )
    across = _WIDTH - _LEFT - _RIGHT_MARGIN
    examples = "example" if counts.sum() == 1 else "examples"
    for tick in range(0, 101, 20):
        x = _LEFT + across * tick / 100
        draw_line(canvas, [x, x], [low, low + 5], FAINT)
        write(
            canvas, x, low + 20, f"{tick}%", size, align="center", color=FAINT
        )
    write(
        canvas,
        _LEFT + across / 2,
        low + 48,
        f"confidence ({counts.sum():,} {examples})",
        _TEXT,
        align="center",
    )


def _draw_frame(canvas, top, height, ticks) -> None:
    across = _WIDTH - _LEFT - _RIGHT_MARGIN
    for tick in ticks:
        y = top + height * (1 - tick / 100)
        draw_line(canvas, [_LEFT, _LEFT + across], [y, y])
        write(
            canvas,
            _LEFT - 8,
            y,
            f"{tick}%",
            _TEXT - 2,
            align="right",
            color=FAINT,
        )
    low = top + height
    draw_line(canvas, [_LEFT, _LEFT, _LEFT + across], [top, low, low], FAINT)


def _place(number: int, bins: int) -> tuple[float, float]:
    """Return where a bin's bar starts, and its width, with a gap between."""
    width = (_WIDTH - _LEFT - _RIGHT_MARGIN) / bins
    return _LEFT + number * width + 1, max(width - 2, 1)

"""Confusion matrices, drawn."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.board.drawing import (
    DPI,
    FAINT,
    INK,
    LINES,
    new_canvas,
    points,
    quiet_glyphs,
    render,
    shorten,
    text_size,
    text_style,
)

MOST_CLASSES_DRAWN = 1000  # as a pixel each can still be told apart
_SIDE = 480  # of the matrix in pixels, as far as its cells stay within bounds
_MIN_CELL, _MAX_CELL = 12, 72
_MAX_SIDE = 1200
_MARGIN = 20
_SHOWN_IN_FULL = 800  # up to this width text is large enough
# Blue and orange are told apart in every kind of colour blindness.
_RIGHT, _WRONG = "Blues", "Oranges"


@quiet_glyphs()
def draw_confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], *, normalized: bool = False
) -> np.ndarray:
    """Draw a confusion matrix.

    The darker a cell, the larger its share of the row, that is of the true
    class. What is right is blue, what is wrong orange. Counts are written
    where they fit; where names do not, every second is left out, or more.

    Args:
        matrix: From `confusion_matrix`.
        class_names: A name for each class.
        normalized: Whether to write shares of the true class in percent
            rather than counts. The number of examples then stands beside the
            name of the class.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`.
    """
    matrix = np.asarray(matrix)
    classes = len(matrix)
    cell = min(max(_SIDE // classes, _MIN_CELL), _MAX_CELL)
    cell = min(cell, _MAX_SIDE / classes)
    side = round(cell * classes)
    step = int(np.ceil(_MIN_CELL / cell))
    ticks = range(0, classes, step)
    names = [shorten(class_names[tick]) for tick in ticks]
    true_names = names
    if normalized:
        counts = matrix.sum(axis=1)[ticks]
        pairs = zip(names, counts, strict=True)
        true_names = [f"{name} ({count:,})" for name, count in pairs]

    canvas, text = new_canvas(), text_style()
    letters = min(14, 0.85 * cell * step)
    label = {**text, "fontsize": points(letters)}
    texts = {}
    if cell >= 16:  # in a smaller one nothing can be read
        texts = _percentages(matrix, cell) if normalized else _counts(matrix)
    size = _size_in_cells(texts, cell)
    title = _title(matrix, normalized, percent=bool(size))
    true_width, _ = text_size(canvas, true_names, letters)
    name_width, name_height = text_size(canvas, names, letters)
    title_width, _ = text_size(canvas, title[:1], 14)
    below_width, _ = text_size(canvas, title[1:], 12)
    angle = _angle(name_width, cell * step)
    slope = np.deg2rad(angle)
    drop = name_width * np.sin(slope) + name_height * np.cos(slope)

    left, bottom = true_width + 60, drop + 60
    title_width = max(title_width, below_width) + _MARGIN
    width = max(left + side, title_width) + _MARGIN
    # A large picture is made small again to be shown.
    scale = max(width / _SHOWN_IN_FULL, 1)
    height = bottom + side + 75 * scale
    axes = _add_axes(canvas, width, height, left, bottom, side)
    picture = _picture(matrix, 0.12 if cell >= 16 else 0.2)
    axes.imshow(picture, interpolation="nearest", origin="upper", aspect="auto")
    _rule(axes, classes, 1 if cell >= 16 else 10 * step)
    if size:
        _write_cells(axes, texts, picture, {**text, "fontsize": points(size)})
    axes.set_yticks(ticks, true_names, **label)
    axes.set_xticks(
        ticks,
        names,
        rotation=angle,
        rotation_mode="anchor" if angle == 45 else "default",
        horizontalalignment="right" if angle == 45 else "center",
        **label,
    )
    axes.set_ylabel("true", fontsize=11 * scale, **text)
    axes.set_xlabel("predicted", fontsize=11 * scale, **text)
    _write_title(canvas.figure, title, width, height, scale, text)
    return render(canvas)


def _angle(name_width: float, room: float) -> int:
    """Choose how far to turn the names below the columns."""
    if name_width < 0.9 * room:
        return 0
    return 45 if room >= 24 else 90


def _add_axes(canvas, width, height, left, bottom, side):
    """Add axes that lie on whole pixels, so that the cells are sharp."""
    width, height = round(width), round(height)
    canvas.figure.set_size_inches(width / DPI, height / DPI)
    axes = canvas.figure.add_axes(
        (
            round(left) / width,
            round(bottom) / height,
            side / width,
            side / height,
        )
    )
    axes.minorticks_off()
    axes.grid(False)
    axes.tick_params(
        direction="out",
        length=3,
        width=0.8,
        pad=4,
        color=FAINT,
        top=False,
        right=False,
    )
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.8, visible=True)
    return axes


def _picture(matrix, least: float) -> np.ndarray:
    """Choose the colour of each cell."""
    import matplotlib

    share = _shares(matrix)
    # A single confusion in a large class is still to be seen.
    depth = least + (0.95 - least) * share
    right = matplotlib.colormaps[_RIGHT](depth)[..., :3]
    wrong = matplotlib.colormaps[_WRONG](depth)[..., :3]
    diagonal = np.eye(len(matrix), dtype=bool)[..., None]
    picture = np.where(diagonal, right, wrong)
    picture[matrix == 0] = 1
    return picture


def _rule(axes, classes: int, step: int) -> None:
    lines = np.arange(step, classes, step) - 0.5
    for draw in (axes.hlines, axes.vlines):
        draw(lines, -0.5, classes - 0.5, color=LINES, linewidth=1)


def _shares(matrix) -> np.ndarray:
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _counts(matrix) -> dict:
    """Return what to write in which cell."""
    return {
        (row, column): f"{matrix[row, column]:,}"
        for row, column in np.argwhere(matrix)
    }


def _percentages(matrix, cell: float) -> dict:
    """Return what to write in which cell."""
    sign = "%" if cell >= 40 else ""
    percent = 100 * _shares(matrix)
    texts = {}
    for row, column in np.argwhere(matrix):
        value = percent[row, column]
        text = f"{value:.0f}"
        # Nothing that has exceptions is called 100, or an exception 0.
        if text == "100" and value < 100:
            text = ">99"
        elif text == "0":
            text = "<1"
        texts[row, column] = text + sign
    return texts


def _size_in_cells(texts, cell: float) -> float:
    """Return the size of letters in pixels, 0 where none can be read."""
    letters = max(map(len, texts.values()), default=1)
    pixels = min(14, 0.5 * cell, 0.85 * cell / (0.62 * letters))
    return pixels if pixels >= 8 else 0


def _write_cells(axes, texts, picture, text: dict) -> None:
    luminance = picture @ (0.2126, 0.7152, 0.0722)
    for (row, column), written in texts.items():
        dark = luminance[row, column] < 0.55
        axes.text(
            column,
            row,
            written,
            ha="center",
            va="center_baseline",
            **{**text, "color": "white" if dark else INK},
        )


def _title(matrix, normalized: bool, percent: bool) -> tuple[str, str]:
    right, total = int(np.trace(matrix)), int(matrix.sum())
    share = right / max(total, 1)
    top = f"Confusion matrix: {right:,} of {total:,} right ({share:.1%})"
    if not normalized:
        return top, "Blue is right, orange wrong. Darker: more of the row."
    present = matrix.sum(axis=1) > 0
    mean = np.diagonal(_shares(matrix))[present].mean() if total else 0
    what = "Percent" if percent else "Darker: more"
    return top, f"{what} of the true class, on average {mean:.1%} right (blue)."


def _write_title(figure, lines, width, height, scale, text) -> None:
    top, below = lines
    x = _MARGIN / width
    figure.text(
        x,
        1 - 24 * scale / height,
        top,
        fontsize=10 * scale,
        va="center",
        **text,
    )
    figure.text(
        x,
        1 - 46 * scale / height,
        below,
        fontsize=8.5 * scale,
        va="center",
        **{**text, "color": FAINT},
    )

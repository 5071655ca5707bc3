"""Confusion matrices: count them, draw them."""

import warnings
from collections.abc import Sequence

import numpy as np

_DPI = 100
_SIDE = 480  # of the matrix in pixels, as far as its cells stay within bounds
_MIN_CELL, _MAX_CELL = 12, 72
_MAX_SIDE = 1200
_MARGIN = 20
_NAME_LENGTH = 26
_INK, _FAINT, _LINES = "#222222", "#666666", "#e0e0e0"
# Blue and orange are told apart in every kind of colour blindness.
_RIGHT, _WRONG = "Blues", "Oranges"
# For names that DejaVu Sans, which comes with matplotlib, has no glyphs for.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Segoe UI Symbol",
    "Arial Unicode MS",
)


def confusion_matrix(labels, predictions, classes: int) -> np.ndarray:
    """Count how often each class was taken for each.

    Example:

    ```python
    confusion_matrix([0, 1, 1], [0, 1, 0], classes=2)
    # array([[1, 0],
    #        [1, 1]])
    ```

    Args:
        labels: Integers, the true class of each example.
        predictions: Integers, the predicted class of each example.
        classes: Number of classes.

    Returns:
        An integer array `(classes, classes)`: a row for each true class, a
        column for each predicted one.

    Raises:
        ValueError: If the lengths differ or a class is not in [0, `classes`).
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(
            "Labels and predictions must be two lists of the same length. "
            f"Received: labels of shape {labels.shape}, "
            f"predictions of shape {predictions.shape}"
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if np.any((values < 0) | (values >= classes)):
            raise ValueError(
                f"Classes must be in [0, {classes}). Received: {name} "
                f"between {values.min()} and {values.max()}"
            )
    cells = labels.astype("int64") * classes + predictions.astype("int64")
    counts = np.bincount(cells, minlength=classes**2)
    return counts.reshape(classes, classes)


def draw_confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str]
) -> np.ndarray:
    """Draw a confusion matrix.

    The darker a cell, the larger its share of the row, that is of the true
    class. What is right is blue, what is wrong orange. Counts are written
    where they fit; where names do not, every second is left out, or more.

    Args:
        matrix: From `confusion_matrix`.
        class_names: A name for each class.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matrix = np.asarray(matrix)
    classes = len(matrix)
    cell = min(max(_SIDE // classes, _MIN_CELL), _MAX_CELL)
    cell = min(cell, _MAX_SIDE / classes)
    side = round(cell * classes)
    step = int(np.ceil(_MIN_CELL / cell))
    ticks = range(0, classes, step)
    names = [_shorten(class_names[tick]) for tick in ticks]

    canvas = FigureCanvasAgg(Figure(dpi=_DPI, facecolor="white", layout="none"))
    # Nothing is left to the user's `rcParams`.
    text = {
        "family": _font_families(),
        "color": _INK,
        "usetex": False,
        "weight": "normal",
        "parse_math": False,
    }
    label = {**text, "fontsize": _points(min(14, 0.85 * cell * step))}
    title = _title(matrix)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        name_width, name_height = _text_size(canvas, names, label)
        title_width, _ = _text_size(canvas, title, {**text, "fontsize": 10})
        angle = _angle(name_width, cell * step)
        slope = np.deg2rad(angle)
        drop = name_width * np.sin(slope) + name_height * np.cos(slope)

        left, bottom = name_width + 50, drop + 50
        width = max(left + side, title_width + _MARGIN) + _MARGIN
        height = bottom + side + 75
        axes = _add_axes(canvas, width, height, left, bottom, side)
        picture = _picture(matrix)
        axes.imshow(
            picture, interpolation="nearest", origin="upper", aspect="auto"
        )
        _rule(axes, classes, 1 if cell >= 16 else 10 * step)
        _write_counts(axes, matrix, picture, cell, text)
        axes.set_yticks(ticks, names, **label)
        axes.set_xticks(
            ticks,
            names,
            rotation=angle,
            rotation_mode="anchor" if angle == 45 else "default",
            horizontalalignment="right" if angle == 45 else "center",
            **label,
        )
        axes.set_ylabel("true", fontsize=11, **text)
        axes.set_xlabel("predicted", fontsize=11, **text)
        _write_title(canvas.figure, title, width, height, text)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _font_families() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(f for f in _FALLBACK_FONTS if f in installed)]


def _shorten(name) -> str:
    name = " ".join(str(name).split())
    if len(name) <= _NAME_LENGTH:
        return name
    return name[: _NAME_LENGTH - 1].rstrip() + "…"


def _points(pixels: float) -> float:
    return 72 * pixels / _DPI


def _text_size(canvas, texts, style) -> tuple[float, float]:
    """Return the largest width and height of some texts, in pixels."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(
        family=style["family"],
        weight=style["weight"],
        size=style["fontsize"],
    )
    measure = canvas.get_renderer().get_text_width_height_descent
    sizes = [measure(text, font, ismath=False) for text in texts]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def _angle(name_width: float, room: float) -> int:
    """Choose how far to turn the names below the columns."""
    if name_width < 0.9 * room:
        return 0
    return 45 if room >= 24 else 90


def _add_axes(canvas, width, height, left, bottom, side):
    """Add axes that lie on whole pixels, so that the cells are sharp."""
    width, height = round(width), round(height)
    canvas.figure.set_size_inches(width / _DPI, height / _DPI)
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
        color=_FAINT,
        top=False,
        right=False,
    )
    for spine in axes.spines.values():
        spine.set(color=_FAINT, linewidth=0.8, visible=True)
    return axes


def _picture(matrix) -> np.ndarray:
    """Choose the colour of each cell."""
    import matplotlib

    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # A single confusion in a large class is still to be seen.
    depth = 0.12 + 0.83 * share
    right = matplotlib.colormaps[_RIGHT](depth)[..., :3]
    wrong = matplotlib.colormaps[_WRONG](depth)[..., :3]
    diagonal = np.eye(len(matrix), dtype=bool)[..., None]
    picture = np.where(diagonal, right, wrong)
    picture[matrix == 0] = 1
    return picture


def _rule(axes, classes: int, step: int) -> None:
    lines = np.arange(step, classes, step) - 0.5
    for draw in (axes.hlines, axes.vlines):
        draw(lines, -0.5, classes - 0.5, color=_LINES, linewidth=1)


def _write_counts(axes, matrix, picture, cell: float, text: dict) -> None:
    digits = len(f"{matrix.max():,}")
    pixels = min(14, 0.5 * cell, 0.85 * cell / (0.62 * digits))
    if pixels < 8:
        return
    luminance = picture @ (0.2126, 0.7152, 0.0722)
    for row, column in np.argwhere(matrix):
        dark = luminance[row, column] < 0.55
        axes.text(
            column,
            row,
            f"{matrix[row, column]:,}",
            ha="center",
            va="center_baseline",
            fontsize=_points(pixels),
            **{**text, "color": "white" if dark else _INK},
        )


def _title(matrix) -> tuple[str, str]:
    right, total = int(np.trace(matrix)), int(matrix.sum())
    share = right / max(total, 1)
    return (
        f"Confusion matrix: {right:,} of {total:,} right ({share:.1%})",
        "Blue is right, orange wrong. Darker: more of the row.",
    )


def _write_title(figure, lines, width, height, text: dict) -> None:
    top, below = lines
    x = _MARGIN / width
    figure.text(x, 1 - 24 / height, top, fontsize=10, va="center", **text)
    figure.text(
        x,
        1 - 46 / height,
        below,
        fontsize=8.5,
        va="center",
        **{**text, "color": _FAINT},
    )

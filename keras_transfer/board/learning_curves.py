"""Learning curves of one training, phase by phase."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from keras_transfer.board.drawing import (
    DPI,
    FAINT,
    INK,
    LINES,
    RIGHT,
    WRONG,
    fit_text,
    new_canvas,
    points,
    quiet_glyphs,
    render,
    text_style,
)

_WIDTH, _PANEL = 720, 270
_LEFT, _RIGHT_MARGIN = 80, 25
_TOP, _BETWEEN, _BOTTOM = 70, 100, 60
_TEXT, _TITLE_WIDTH = 17, 280
_MOST_PANELS = 4
_FEW_EPOCHS = 40  # up to so many, each is a dot
_STYLES = {"training": (WRONG, "--"), "validation": (RIGHT, "-")}
_NO_METRICS = ("learning_rate", "lr")


def find_curves(
    history: Mapping[str, Sequence[float]],
) -> dict[str, dict[str, np.ndarray]]:
    """Choose what is worth a panel: the loss and the first metrics.

    Args:
        history: As `History.history`.

    Returns:
        For up to four names the curves of `"training"` and `"validation"`, as
        far as there are numbers, one an epoch.
    """
    found = {}
    for key, values in history.items():
        name = key.removeprefix("val_")
        kind = "training" if name == key else "validation"
        if name not in _NO_METRICS and _is_curve(values):
            curve = np.asarray(values, "float64")
            found.setdefault(name, {})[kind] = curve
    names = sorted(found, key=lambda name: name != "loss")
    return {name: found[name] for name in names[:_MOST_PANELS]}


@quiet_glyphs()
def draw_learning_curves(
    history: Mapping[str, Sequence[float]], phases: Sequence[tuple[str, int]]
) -> np.ndarray:
    """Draw the loss and the metrics over the epochs, a panel each.

    Training is orange and dashed, validation blue. A line separates one phase
    from the next.

    Args:
        history: As `History.history`, over all phases.
        phases: Name and number of epochs of each phase, in order. Where they
            are not the epochs of the history, they are left out.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`.

    Raises:
        ValueError: If there is no curve.
    """
    curves = find_curves(history)
    if not curves:
        raise ValueError(
            "`history` must have a curve of a loss or a metric. "
            f"Received: history={dict(history)}"
        )
    epochs = max(len(c) for pair in curves.values() for c in pair.values())
    below = (len(curves) - 1) * (_PANEL + _BETWEEN) + _PANEL
    height = _TOP + below + _BOTTOM
    canvas = new_canvas(_WIDTH, height)
    borders = find_borders(phases, epochs)
    for number, (name, pair) in enumerate(curves.items()):
        top = _TOP + number * (_PANEL + _BETWEEN)
        axes = _add_axes(canvas, top, height, epochs)
        for kind, values in pair.items():
            _draw_curve(axes, values, kind)
        _draw_phases(canvas, axes, phases, borders)
        title = fit_text(canvas, name.replace("_", " "), 20, _TITLE_WIDTH)
        _write(axes, 0, 1, (0, 26), title, 20)
        if len(pair) > 1 or number == 0:
            _write_legend(axes)
    _write(axes, 0.5, 0, (0, -40), "epoch", _TEXT, ha="center")
    return render(canvas)


def find_borders(phases: Sequence[tuple[str, int]], epochs: int) -> list[int]:
    """Count the epochs up to the end of each phase, from 0.

    Args:
        phases: As for `draw_learning_curves`.
        epochs: How many epochs there are.

    Returns:
        One number more than there are phases; none where they do not fit.
    """
    borders = [0, *itertools.accumulate(count for _, count in phases)]
    return borders if borders[-1] == epochs else []


def _add_axes(canvas, top, height, epochs):
    from matplotlib.ticker import MaxNLocator

    place = (
        _LEFT / _WIDTH,
        1 - (top + _PANEL) / height,
        (_WIDTH - _LEFT - _RIGHT_MARGIN) / _WIDTH,
        _PANEL / height,
    )
    axes = canvas.figure.add_axes(place, facecolor="white")
    axes.set_xlim(0.5, epochs + 0.5)
    axes.minorticks_off()
    axes.grid(False)
    axes.grid(axis="y", color=LINES, linewidth=points(1), linestyle="-")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(
        color=FAINT,
        labelcolor=FAINT,
        labelsize=points(_TEXT - 2),
        labelfontfamily=text_style()["family"],
    )
    for side, spine in axes.spines.items():
        spine.set(color=FAINT, visible=side in ("left", "bottom"))
    return axes


def _is_curve(values) -> bool:
    """Tell numbers from what other metrics and callbacks put there."""
    try:
        values = np.asarray(values, "float64")
    except (TypeError, ValueError):
        return False
    return values.ndim == 1 and bool(np.isfinite(values).any())


def _draw_curve(axes, values, kind) -> None:
    color, line = _STYLES[kind]
    axes.plot(
        np.arange(1, len(values) + 1),
        np.where(np.isfinite(values), values, np.nan),
        color=color,
        linestyle=line,
        linewidth=points(3),
        marker="o" if len(values) <= _FEW_EPOCHS else "None",
        markersize=points(7),
        label=kind,
    )


def _draw_phases(canvas, axes, phases, borders) -> None:
    for border in borders[1:-1]:
        axes.axvline(border + 0.5, color=FAINT, linewidth=points(1), zorder=1)
    room = _WIDTH - _LEFT - _RIGHT_MARGIN
    for (name, count), start in zip(phases, borders, strict=False):
        width = room * count / borders[-1] - 10
        if width < 3 * _TEXT:
            continue
        text = fit_text(canvas, name, _TEXT - 2, width)
        x = start / borders[-1]
        _write(axes, x, 1, (5, 7), text, _TEXT - 2, color=FAINT)


def _write_legend(axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1, 1 + 30 / _PANEL),
        ncols=2,
        frameon=False,
        handlelength=2.5,
        borderaxespad=0,
        borderpad=0,
        prop={"family": text_style()["family"], "size": points(_TEXT)},
    )
    for text in legend.get_texts():
        text.set_color(INK)


def _write(axes, x, y, offset, text, pixels, ha="left", **style) -> None:
    axes.annotate(
        text,
        (x, y),
        tuple(72 * part / DPI for part in offset),
        xycoords="axes fraction",
        textcoords="offset points",
        ha=ha,
        va="bottom" if y else "center",
        fontsize=points(pixels),
        annotation_clip=False,
        **{**text_style(), **style},
    )

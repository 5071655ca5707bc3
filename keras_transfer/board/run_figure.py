"""A picture of several trainings."""

import itertools
from collections.abc import Sequence

import numpy as np

from keras_transfer.board.metric_direction import is_cost
from keras_transfer.board.read_run import Run

SPLITS = {"validation": "validation", "train": "training"}
# Okabe and Ito's, told apart in every kind of colour blindness. Grey is in
# place of yellow, which is too pale for a line on white.
_COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#8c8c8c",
)
_MARKERS = "osD^v"  # runs of the same colour differ in it
_INK, _FAINT, _GRID = "#222222", "#666666", "#e8e8e8"
_NAME_LENGTH = 28
_NAME_SIZE = 9  # in points
_NAME_ROOM = 0.05  # that a name of this size takes of the height


def draw_runs(
    runs: Sequence[Run], rows: Sequence[dict], metric: str, split: str
):
    """Draw a metric over the epochs, with one line a run.

    Args:
        runs: The runs.
        rows: For each a dict with its `"run"`, the name, and the `"best"` and
            `"last"` value, which are `None` where it has no such curve.
        metric: Name of the metric.
        split: What data it was measured on, a key of `SPLITS`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure((8, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    drawn = []
    for index, (run, row) in enumerate(zip(runs, rows, strict=True)):
        cycle, place = divmod(index, len(_COLORS))
        style = {
            "color": _COLORS[place],
            "marker": _MARKERS[cycle % len(_MARKERS)],
        }
        if row["best"] is not None:
            _draw_run(axes, run, metric, split, style)
            drawn.append((row["run"], row["last"], style))
    axes.margins(x=0.02)
    axes.grid(axis="y", color=_GRID)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(color=_FAINT, labelcolor=_FAINT, labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=_INK, fontsize=9)
    if drawn:
        _write_names(axes, drawn)
    _write_title(axes, metric, split)
    return figure


def find_curve(run: Run, tag: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve of a run, without points if there is none.

    Args:
        run: The run.
        tag: The tag.
        split: The split.
    """
    if tag in run.tags.get(split, ()):
        return run.curve(tag, split)
    return np.zeros(0, "int64"), np.zeros(0)


def find_best(values: np.ndarray, metric: str) -> int | None:
    """Find the first of the best values, of those that are numbers.

    Args:
        values: A curve.
        metric: What it is of.

    Returns:
        Its place, or `None` if there is none.
    """
    scores = -values if is_cost(metric) else values
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    return int(scores.argmax()) if np.any(scores > -np.inf) else None


def _draw_run(axes, run: Run, metric: str, split: str, style: dict) -> None:
    color = style["color"]
    epochs, values = find_curve(run, f"epoch_{metric}", split)
    if split != "train":
        train = find_curve(run, f"epoch_{metric}", "train")
        axes.plot(*train, "--", color=color, linewidth=0.8, alpha=0.5)
    axes.plot(epochs, values, color=color, linewidth=1.8)
    best = find_best(values, metric)
    axes.plot(
        epochs[best], values[best], markersize=7, markeredgecolor="w", **style
    )
    steps, phases = find_curve(run, "phase/number", "train")
    # An epoch's value is that at its end, and its phase began before it.
    starts = steps[1:][np.diff(phases) != 0] - 0.5
    starts = starts[(starts > epochs[0]) & (starts < epochs[-1])]
    heights = np.interp(starts, epochs, values)
    axes.plot(
        starts,
        heights,
        "|",
        color=color,
        markersize=18,
        markeredgewidth=1.4,
        alpha=0.6,
    )


def _write_names(axes, drawn: Sequence[tuple[str, float, dict]]) -> None:
    """Name each line beside its end."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    ends = [(last - low) / (high - low) for _, last, _ in drawn]
    room = min(_NAME_ROOM, 1 / len(ends))
    for (name, _, style), height in zip(
        drawn, _spread(ends, room), strict=True
    ):
        axes.plot(
            (1.01, 1.02, 1.03),
            [height] * 3,
            linewidth=2,
            markersize=5,
            markevery=[1],
            clip_on=False,
            transform=axes.transAxes,
            **style,
        )
        axes.text(
            1.045,
            height,
            _shorten(name),
            color=_INK,
            fontsize=_NAME_SIZE * room / _NAME_ROOM,
            verticalalignment="center",
            transform=axes.transAxes,
            parse_math=False,
        )


def _spread(heights: Sequence[float], room: float) -> np.ndarray:
    """Move heights in [0, 1] so far that no two are closer than `room`."""
    heights = np.clip(np.nan_to_num(heights), 0, 1)
    order = np.argsort(heights, kind="stable")
    for lower, upper in itertools.pairwise(order):
        heights[upper] = max(heights[upper], heights[lower] + room)
    heights[order[-1]] = min(heights[order[-1]], 1)
    for upper, lower in itertools.pairwise(order[::-1]):
        heights[lower] = min(heights[lower], heights[upper] - room)
    return heights


def _shorten(name: str) -> str:
    # The end of a path tells more than its beginning.
    if len(name) <= _NAME_LENGTH:
        return name
    return f"…{name[1 - _NAME_LENGTH :]}"


def _write_title(axes, metric: str, split: str) -> None:
    title = f"{SPLITS[split]} {metric.replace('_', ' ')}"
    axes.set_title(
        title[0].upper() + title[1:],
        color=_INK,
        fontsize=12,
        loc="left",
        pad=22,
        parse_math=False,
    )
    dashed = "dashed: training   " if split != "train" else ""
    axes.annotate(
        f"{dashed}tick: a phase starts   marker: the best epoch",
        (0, 1),
        (0, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        color=_FAINT,
        fontsize=9,
    )

"""A picture of models between two others."""

from collections.abc import Sequence

_INK, _FAINT, _GRID = "#222222", "#666666", "#e8e8e8"
_COLOR, _CHOSEN = "#0072b2", "#d55e00"


def draw_sweep(rows: Sequence[dict], best: float):
    """Draw the accuracy of models between two others.

    Args:
        rows: Those of a `WeightSweep`.
        best: The alpha to put forward.

    Returns:
        A `matplotlib.figure.Figure`: new accuracy against old accuracy, with
        alpha beside each point; over alpha, where there is no old accuracy.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    has_old = "old_accuracy" in rows[0]
    places = [
        (
            100 * row["old_accuracy"] if has_old else row["alpha"],
            100 * row["accuracy"],
        )
        for row in rows
    ]
    axes.plot(*zip(*places, strict=True), "o-", color=_COLOR, zorder=2)
    for row, place in zip(rows, places, strict=True):
        is_chosen = row["alpha"] == best
        if is_chosen:
            axes.plot(*place, "o", color=_CHOSEN, markersize=9, zorder=3)
        if has_old or is_chosen:
            axes.annotate(
                f"{row['alpha']:g}",
                place,
                (7, 4),
                textcoords="offset points",
                fontsize=9,
                fontweight="bold" if is_chosen else None,
                color=_CHOSEN if is_chosen else _INK,
            )
    axes.margins(x=0.1, y=0.15)
    axes.grid(color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(color=_FAINT, labelcolor=_FAINT, labelsize=9)
    x_label = "accuracy on old data, %" if has_old else "alpha"
    axes.set_xlabel(x_label, color=_INK, fontsize=9)
    axes.set_ylabel("accuracy on validation data, %", color=_INK, fontsize=9)
    axes.set_title(
        "Between the weights before (0) and after (1)",
        color=_INK,
        fontsize=12,
        loc="left",
    )
    return figure

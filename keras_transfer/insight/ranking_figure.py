"""A picture of backbones: how good they are, and how fast."""

from collections.abc import Sequence

_INK, _FAINT, _GRID = "#222222", "#666666", "#e8e8e8"
_COLOR, _CHOSEN = "#0072b2", "#d55e00"


def draw_ranking(rows: Sequence[dict], recommended: str):
    """Draw the accuracy of the probe against the time for an example.

    Args:
        rows: Those of a `BackboneRanking`.
        recommended: Name of the candidate to put forward.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        if row["error"]:
            continue
        is_chosen = row["candidate"] == recommended
        color = _CHOSEN if is_chosen else _COLOR
        place = row["milliseconds"], 100 * row["probe"]
        spread = 100 * row["spread"]
        axes.errorbar(*place, spread, fmt="o", color=color, capsize=3)
        axes.annotate(
            row["candidate"],
            place,
            (7, 4),
            textcoords="offset points",
            fontsize=9,
            fontweight="bold" if is_chosen else None,
            color=color if is_chosen else _INK,
            parse_math=False,
        )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.1)
    axes.grid(color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(which="both", color=_FAINT, labelcolor=_FAINT, labelsize=9)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("milliseconds an example", color=_INK, fontsize=9)
    axes.set_ylabel("accuracy of a linear probe, %", color=_INK, fontsize=9)
    axes.set_title(
        "Backbones: how good, and how fast",
        color=_INK,
        fontsize=12,
        loc="left",
    )
    return figure

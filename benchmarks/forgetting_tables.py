"""Tables and a figure of what `forgetting.py` has found."""

import itertools

import numpy as np

from keras_transfer.board.drawing import FAINT, INK, LINES, RIGHT, WRONG

TITLES = {
    "A": "from emoji to clip art",
    "B": "from ImageNet to clip art",
}


def list_tables(done):
    """Format all results as Markdown."""
    tables = []
    for setting in "ABCD":
        for kind in ("tuning", "test"):
            found = {}
            for (its, of_kind, seed, name), value in done.items():
                if (its, of_kind) == (setting, kind):
                    found.setdefault(name, {})[seed] = value
            if found:
                make = {"C": shift_table, "D": tasks_table}.get(
                    setting, case_table
                )
                tables.append(f"{setting}, {kind}\n\n{make(found)}")
    return "\n\n".join(tables)


def case_table(found):
    """Of A and B: old and new accuracy, and both against plain training."""
    rows = []
    frozen = found.get("frozen")
    for name, of_seeds in found.items():
        old, new = _columns(of_seeds)
        cells = [str(len(of_seeds)), _mean(old), _mean(new)]
        for column, against in ((0, frozen), (1, found.get("plain"))):
            change = _difference(of_seeds, against, column)
            cells.append("–" if change is None else _signed(change))
        kept = "–"
        plain = {
            seed: value
            for seed, value in found.get("plain", {}).items()
            if seed in of_seeds
        }
        change = _difference(of_seeds, frozen, 0)
        all_change = _difference(plain, frozen, 0)
        if change is not None and all_change is not None:
            kept = f"{0.0 + change.mean() / all_change.mean():.2f}"
        rows.append([name, *cells, kept])
    head = ["", "seeds", "old", "new", "old, change"]
    return _table([*head, "new, against plain", "forgotten, of plain's"], rows)


def shift_table(found):
    rows = []
    plain = next((v for name, v in found.items() if name[:5] == "plain"), None)
    for name, of_seeds in found.items():
        google, twitter = _columns(of_seeds)[:2]
        change = _difference(of_seeds, plain, 1)
        alphas = [v[3] for v in of_seeds.values() if len(v) > 3]
        rows.append(
            [
                name,
                str(len(of_seeds)),
                f"{np.mean(alphas):.2f}" if alphas else "",
                _mean(google),
                _mean(twitter),
                "–" if change is None else _signed(change),
            ]
        )
    head = ["", "seeds", "alpha", "google", "twitter", "twitter, against plain"]
    return _table(head, rows)


def tasks_table(found):
    rows = []
    for name, of_seeds in found.items():
        columns = _columns(of_seeds)
        cells = [_mean(column) for column in columns]
        mean = _mean(np.mean(columns, axis=0))
        rows.append([name, str(len(of_seeds)), *cells, mean])
    head = ["", "seeds", "first", "second", "third", "mean of all"]
    return _table(head, rows)


def draw(done):
    """Draw new against old accuracy of A and B, with standard errors."""
    from matplotlib.figure import Figure

    figure = Figure((10, 5), dpi=100, layout="constrained", facecolor="white")
    named = []
    for axes, (setting, title) in zip(
        figure.subplots(1, 2), TITLES.items(), strict=True
    ):
        found = {}
        for (its, kind, seed, name), value in done.items():
            if (its, kind) == (setting, "test"):
                found.setdefault(name, {})[seed] = value
        labels = []
        for name, of_seeds in found.items():
            old, new = _columns(of_seeds)
            color = WRONG if name == "plain" else RIGHT
            axes.errorbar(
                old.mean(),
                new.mean(),
                xerr=_error(old),
                yerr=_error(new),
                fmt="o",
                color=color,
                ecolor=FAINT,
                elinewidth=1,
                zorder=2,
            )
            labels.append((name, (old.mean(), new.mean())))
        axes.margins(x=0.3, y=0.12)
        axes.grid(color=LINES, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(color=FAINT, labelcolor=FAINT, labelsize=9)
        axes.set_xlabel("accuracy on the old task, %", color=INK, fontsize=9)
        axes.set_ylabel("accuracy on the new task, %", color=INK, fontsize=9)
        axes.set_title(
            f"{setting}: {title}", color=INK, fontsize=12, loc="left"
        )
        named.append((axes, labels))
    figure.draw_without_rendering()
    for axes, labels in named:
        _place_labels(axes, labels)
    return figure


def _place_labels(axes, labels):
    """Write each name beside its point, where no other is."""
    boxes = []
    for name, point in sorted(labels, key=lambda label: -label[1][1]):
        for side, up in itertools.product(("left", "right"), range(6, -40, -3)):
            text = axes.annotate(
                name,
                point,
                (6 if side == "left" else -6, up),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8,
                color=WRONG if name == "plain" else INK,
                zorder=3,
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in boxes):
                break
            text.remove()
        boxes.append(box)


def _columns(of_seeds):
    """Return an array `(columns, seeds)` in per cent."""
    width = min(map(len, of_seeds.values()))
    return 100 * np.array([v[:width] for v in of_seeds.values()]).T


def _difference(of_seeds, others, column):
    """Return differences for the seeds that both have, in points."""
    both = [seed for seed in of_seeds if others and seed in others]
    if not both:
        return None
    pairs = [(of_seeds[s][column], others[s][column]) for s in both]
    return 100 * np.subtract(*np.transpose(pairs))


def _error(values):
    return values.std() / max(1, len(values)) ** 0.5


def _mean(values):
    return f"{values.mean():.1f} ± {values.std():.1f}"


def _signed(values):
    return f"{values.mean():+.1f} ± {values.std():.1f}"


def _table(head, rows):
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

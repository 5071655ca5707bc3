"""Bars of baselines: how long, in which colour, with which interval."""

import numpy as np
import pytest

from keras_transfer.board import baseline_bars
from keras_transfer.board.baseline_bars import draw_baseline_bars

DARK, LIGHT = (0x00, 0x72, 0xB2), (0x56, 0xB4, 0xE9)
ROWS = [
    {"baseline": "mine", "accuracy": 0.8, "low": 0.7, "high": 0.9},
    {"baseline": "<b>", "accuracy": 0.4, "low": 0.3, "high": 0.5},
    {"baseline": "none", "accuracy": 0.0, "low": 0.0, "high": 0.05},
]


@pytest.fixture
def drawn(monkeypatch):
    """Collect what is written, and the ends of the lines across."""
    found = {"texts": [], "lines": []}
    write, draw_line = baseline_bars.write, baseline_bars.draw_line

    def record_text(canvas, x, y, text, *args, **style):
        found["texts"].append((text, style.get("weight")))
        write(canvas, x, y, text, *args, **style)

    def record_line(canvas, xs, ys, *args):
        if ys[0] == ys[1]:
            found["lines"].append(xs)
        draw_line(canvas, xs, ys, *args)

    monkeypatch.setattr(baseline_bars, "write", record_text)
    monkeypatch.setattr(baseline_bars, "draw_line", record_line)
    return found


def lengths(picture, color):
    """Return the lengths of the bars of a colour, from above."""
    # Intervals cover the middle; names and numbers are of another colour.
    rows = 58 * np.arange(len(ROWS)) + 72 + 13 + 2
    return np.all(picture[rows] == color, axis=-1).sum(axis=1).tolist()


def test_bars_are_as_long_as_the_accuracy_and_ours_is_dark():
    picture = draw_baseline_bars(ROWS, "mine")
    mine, *others = lengths(picture, DARK)
    assert others == [0, 0]
    mine_light, other, none = lengths(picture, LIGHT)
    assert mine_light == 0
    assert other / mine == pytest.approx(0.5, abs=0.01)
    assert none == 2  # still to be seen


def test_an_interval_lies_where_the_bar_would_end(drawn):
    picture = draw_baseline_bars(ROWS, "mine")
    mine = lengths(picture, DARK)[0]
    whole = mine / 0.8
    for (low, high), row in zip(drawn["lines"], ROWS, strict=True):
        ends = np.subtract((low, high), drawn["lines"][2][0]) / whole
        np.testing.assert_allclose(ends, (row["low"], row["high"]), atol=0.01)


def test_names_and_numbers_are_written(drawn):
    draw_baseline_bars(ROWS, "mine")
    texts = dict(drawn["texts"])
    assert texts["mine"] == texts["0.800"] == "bold"
    assert {"<b>", "none", "0.400", "0.000"} <= set(texts)
    assert texts["<b>"] is None


def test_a_long_name_is_cut(drawn):
    draw_baseline_bars([{**ROWS[0], "baseline": "long " * 50}], "x")
    assert any(text.endswith("…") for text, _ in drawn["texts"])

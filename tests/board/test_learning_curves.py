"""Learning curves: which are drawn, where, and where phases begin."""

import numpy as np
import pytest

from keras_transfer.board import learning_curves
from keras_transfer.board.learning_curves import (
    draw_learning_curves,
    find_borders,
    find_curves,
)

BLUE, GREY = (0x00, 0x72, 0xB2), (0x66, 0x66, 0x66)
FLAT = {"loss": [1.0] * 4, "val_loss": [2.0] * 4}


@pytest.fixture
def texts(monkeypatch):
    """Collect what is written into a picture, beside scales and legends."""
    written = []
    write = learning_curves._write

    def record(axes, x, y, offset, text, *args, **style):
        written.append((text, x))
        write(axes, x, y, offset, text, *args, **style)

    monkeypatch.setattr(learning_curves, "_write", record)
    return written


def columns(picture, color, share=0.0):
    """Return where a colour fills more than a share of the first panel."""
    panel = picture[72:338, 83:]
    return 83 + np.flatnonzero(
        np.all(panel == color, axis=-1).mean(axis=0) > share
    )


def test_the_loss_comes_first_and_what_is_no_curve_not_at_all():
    history = {
        "f1": [[0.1, 0.2], [0.3, 0.4]],
        "val_top5": [0.5, 0.75],
        "learning_rate": [1e-3, 1e-3],
        "lost": [np.nan, np.nan],
        "text": ["a", "b"],
        "ragged": [[1], [1, 2]],
        "val_loss": [2, 1],
        "loss": [3, np.inf],
    }
    curves = find_curves(history)
    assert list(curves) == ["loss", "top5"]
    assert list(curves["top5"]) == ["validation"]
    np.testing.assert_array_equal(curves["loss"]["training"], [3, np.inf])
    np.testing.assert_array_equal(curves["loss"]["validation"], [2, 1])
    many = {f"metric_{number}": [1.0] for number in range(9)}
    assert len(find_curves({**many, "loss": [1.0]})) == 4
    assert find_curves({}) == {}


def test_borders_lie_between_epochs():
    assert find_borders([("a", 2), ("b", 0), ("c", 3)], 5) == [0, 2, 2, 5]
    assert find_borders([("a", 2)], 5) == []
    assert find_borders([], 5) == []


def test_curves_begin_and_end_at_the_middle_of_an_epoch():
    picture = draw_learning_curves(FLAT, [])
    found = columns(picture, BLUE)
    # The panel is 615 pixels wide, from 80: four epochs.
    assert found[0] == pytest.approx(80 + 615 / 8, abs=5)
    assert found[-1] == pytest.approx(80 + 615 * 7 / 8, abs=5)


def test_what_is_not_finite_is_a_gap():
    history = {"loss": [1.0] * 4, "val_loss": [2.0, np.nan, np.inf, 2.0]}
    found = columns(draw_learning_curves(history, []), BLUE)
    assert not np.any((found > 80 + 615 * 0.3) & (found < 80 + 615 * 0.7))


def test_a_line_separates_phases(texts):
    picture = draw_learning_curves(FLAT, [("head", 3), ("all", 1)])
    lines = columns(picture, GREY, 0.5)
    assert len(lines) == 1
    assert lines[0] == pytest.approx(80 + 615 * 3 / 4, abs=1)
    assert ("head", 0) in texts and ("all", 0.75) in texts
    alone = draw_learning_curves(FLAT, [("head", 3)])
    assert not len(columns(alone, GREY, 0.5))


def test_names_are_left_out_where_there_is_no_room(texts):
    history = {"loss": [1.0] * 60}
    draw_learning_curves(history, [(f"phase {n}", 2) for n in range(30)])
    assert [text for text, _ in texts] == ["loss", "epoch"]


def test_there_is_a_panel_for_each_metric(texts):
    one = draw_learning_curves(FLAT, [])
    two = draw_learning_curves({**FLAT, "top_5": [0.5]}, [])
    assert two.shape[0] > 1.5 * one.shape[0]
    assert one.shape[1] == two.shape[1] == 720
    assert [text for text, _ in texts] == [
        *("loss", "epoch", "loss", "top 5", "epoch")
    ]


def test_a_user_s_style_does_not_matter():
    import matplotlib

    plain = draw_learning_curves(FLAT, [("head", 3), ("all", 1)])
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.grid": True}):
        styled = draw_learning_curves(FLAT, [("head", 3), ("all", 1)])
    np.testing.assert_array_equal(plain, styled)


def test_without_curves_there_is_an_error():
    with pytest.raises(ValueError, match=r"Received: history=\{\}"):
        draw_learning_curves({}, [])

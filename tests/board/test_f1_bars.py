"""F1 bars: which are drawn, in which order, how long."""

import numpy as np
import pytest

from keras_transfer.board import f1_bars
from keras_transfer.board.class_report import class_scores
from keras_transfer.board.f1_bars import draw_f1_bars

BLUE = (0x00, 0x72, 0xB2)


@pytest.fixture
def texts(monkeypatch):
    """Collect what is written into a picture."""
    written = []
    write = f1_bars.write

    def record(canvas, x, y, text, *args, **kwargs):
        written.append(text)
        write(canvas, x, y, text, *args, **kwargs)

    monkeypatch.setattr(f1_bars, "write", record)
    return written


def bar_lengths(picture):
    """Return the length of each bar in pixels, from above."""
    lengths = np.all(picture == BLUE, axis=-1).sum(axis=1)
    starts = np.flatnonzero((lengths[1:] > 0) & (lengths[:-1] == 0))
    # The dashed line takes some of the pixels from some of the rows.
    return [int(lengths[start + 1 : start + 10].max()) for start in starts]


def test_bars_are_as_long_as_f1_and_the_worst_comes_first(texts):
    matrix = np.array([[9, 1, 0], [2, 3, 5], [0, 0, 10]])
    lengths = bar_lengths(draw_f1_bars(matrix, ["cat", "dog", "fox"]))
    scores = np.sort(class_scores(matrix).f1)
    np.testing.assert_allclose(
        np.divide(lengths, lengths[-1]), scores / scores[-1], atol=0.02
    )
    order = [text for text in texts if text in ("cat", "dog", "fox")]
    assert order == ["dog", "fox", "cat"]
    assert texts[0].startswith("F1 of 3 classes (mean of all ")
    assert f"{scores.mean():.3f}" in texts[0]


def test_the_number_of_examples_stands_beside_the_name(texts):
    draw_f1_bars([[1200, 34], [0, 5]], ["cat", "dog"])
    assert texts[texts.index("cat") + 1] == "(1,234)"
    assert texts[texts.index("dog") + 1] == "(5)"


def test_of_many_classes_the_worst_are_drawn(texts):
    right = np.arange(1, 51)
    matrix = np.diag(right)
    matrix[:, 0] += 50 - right
    names = [f"<{number}>" for number in range(50)]
    draw_f1_bars(matrix, names)
    assert texts[0].startswith("F1 of the worst 40 of 50 classes (mean of all ")
    worst = np.argsort(class_scores(matrix).f1, kind="stable")[:40]
    drawn = [text for text in texts if text in names]
    assert drawn == [names[number] for number in worst]


def test_a_class_that_nothing_decides_comes_last_and_has_a_dash(texts):
    picture = draw_f1_bars([[3, 0, 0], [0, 0, 0], [2, 0, 0]], "abc")
    assert len(bar_lengths(picture)) == 2
    assert [text for text in texts if text in "abc"] == ["c", "a", "b"]
    assert texts.count("–") == 1


def test_the_mean_is_that_of_the_classes_with_examples(texts):
    draw_f1_bars([[4, 0, 0], [4, 0, 0], [0, 0, 0]], "abc")
    assert "0.333" in texts[0]


def test_no_examples_have_no_mean(texts):
    draw_f1_bars(np.zeros((2, 2), int), "ab")
    assert texts[0] == "F1 of 2 classes"


def test_a_matrix_for_each_class(texts):
    draw_f1_bars([[[5, 0], [0, 5]], [[5, 1], [2, 2]]], ["cat", "dog"])
    assert texts.index("dog") < texts.index("cat")
    assert texts[texts.index("cat") + 1] == "(5)"


def test_there_must_be_a_name_for_each_class():
    with pytest.raises(ValueError, match="2 classes.*cat"):
        draw_f1_bars([[3, 1], [0, 2]], ["cat"])

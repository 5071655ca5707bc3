"""The confusion matrix: its numbers, and that the picture shows them."""

import runpy
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from keras_transfer.board import confusion_matrix as board
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.data.outcomes import confusion_matrix


def example(classes, examples=400):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, classes, (2, examples))
    return confusion_matrix(labels, predictions, classes)


def count_pixels(picture, condition):
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return int(condition(red, green, blue).sum())


def blue_pixels(picture):
    return count_pixels(picture, lambda red, _, blue: blue - red > 60)


def orange_pixels(picture):
    return count_pixels(picture, lambda red, _, blue: red - blue > 60)


@pytest.mark.parametrize("classes", [1, 2, 14, 100, 250])
def test_picture_is_of_a_size_to_be_read(classes):
    names = [f"class number {n}" for n in range(classes)]
    picture = draw_confusion_matrix(example(classes), names)
    assert picture.dtype == np.uint8
    height, width, channels = picture.shape
    assert channels == 3
    assert 200 < height < 1600 and 200 < width < 1600


def test_right_is_blue_and_wrong_is_orange():
    right = draw_confusion_matrix(np.diag([5, 5, 5]), "abc")
    assert blue_pixels(right) > 3 * 60**2 and orange_pixels(right) == 0
    wrong = draw_confusion_matrix(np.roll(np.diag([5, 5, 5]), 1, axis=1), "abc")
    assert orange_pixels(wrong) > 3 * 60**2 and blue_pixels(wrong) == 0


def test_colour_is_the_share_of_the_row():
    few = draw_confusion_matrix(np.array([[1, 1], [0, 2]]), "ab")
    many = draw_confusion_matrix(np.array([[9, 9], [0, 2]]), "ab")
    assert abs(blue_pixels(few) - blue_pixels(many)) < 500
    uneven = draw_confusion_matrix(np.array([[1, 9], [0, 2]]), "ab")
    assert blue_pixels(uneven) < blue_pixels(many) - 4000


def test_one_confusion_of_many_is_seen():
    matrix = np.array([[999, 1], [0, 1000]])
    tinted = lambda red, _, blue: (red - blue > 10) & (blue > 200)  # noqa: E731
    before = draw_confusion_matrix(np.diag([1000, 1000]), "ab")
    after = draw_confusion_matrix(matrix, "ab")
    assert count_pixels(before, tinted) < 100
    assert count_pixels(after, tinted) > 3000


def test_counts_are_written_where_they_fit():
    def differs(classes, low, high):
        pictures = [
            draw_confusion_matrix(
                np.eye(classes, dtype=int) * n, range(classes)
            )
            for n in (low, high)
        ]
        below_title = [picture[70:] for picture in pictures]
        return not np.array_equal(*below_title)

    assert differs(3, 12345, 12346)
    assert not differs(40, 12345, 12346)


@pytest.mark.parametrize(
    "name",
    [
        "猫 🐈 \N{ARABIC LETTER BEH}",
        "costs $5 or $6",
        r"$\frac{1$",
        "two\nlines\tand a tab",
        "",
        "a name that is a good deal longer than there is room for " * 3,
    ],
)
def test_names_of_every_kind_are_drawn_without_warnings(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = draw_confusion_matrix(example(3), ["a", name, "b"])
    assert picture.shape[1] < 700


def test_the_users_style_changes_nothing():
    plain = draw_confusion_matrix(example(4), list("abcd"))
    style = {
        "text.usetex": True,
        "font.size": 30,
        "axes.grid": True,
        "axes.facecolor": "black",
        "figure.facecolor": "black",
        "axes.spines.top": False,
        "xtick.labelsize": 30,
        "xtick.top": True,
        "xtick.minor.visible": True,
        "xtick.direction": "in",
        "ytick.color": "red",
        "axes.labelcolor": "red",
        "axes.labelweight": "bold",
        "font.weight": "bold",
        "image.origin": "lower",
        "image.interpolation": "bilinear",
        "figure.autolayout": True,
    }
    with matplotlib.rc_context(style):
        styled = draw_confusion_matrix(example(4), list("abcd"))
    np.testing.assert_array_equal(plain, styled)


def test_nothing_global_changes():
    figures, settings = pyplot.get_fignums(), dict(matplotlib.rcParams)
    draw_confusion_matrix(example(3), "abc")
    assert pyplot.get_fignums() == figures
    assert dict(matplotlib.rcParams) == settings


def test_matplotlib_is_not_needed_before_something_is_drawn(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    module = runpy.run_path(board.__file__)
    with pytest.raises(ImportError):
        module["draw_confusion_matrix"]([[1]], "a")


@pytest.fixture
def cell_texts(monkeypatch):
    """Collect what is written into the cells."""
    written = {}
    write = board._write_cells

    def record(axes, texts, *args):
        written.update(texts)
        write(axes, texts, *args)

    monkeypatch.setattr(board, "_write_cells", record)
    return written


def test_normalized_cells_are_percentages_of_the_true_class(cell_texts):
    matrix = np.array([[3, 1, 0], [0, 50, 50], [0, 0, 0]])
    draw_confusion_matrix(matrix, "abc", normalized=True)
    assert cell_texts == {
        (0, 0): "75%",
        (0, 1): "25%",
        (1, 1): "50%",
        (1, 2): "50%",
    }


def test_exceptions_are_not_rounded_away(cell_texts):
    matrix = np.array([[999, 1], [0, 7]])
    draw_confusion_matrix(matrix, "ab", normalized=True)
    assert cell_texts == {(0, 0): ">99%", (0, 1): "<1%", (1, 1): "100%"}


def test_a_small_cell_has_room_for_a_number_only(cell_texts):
    draw_confusion_matrix(np.eye(14, dtype=int), range(14), normalized=True)
    assert set(cell_texts.values()) == {"100"}


@pytest.mark.parametrize("classes", [1, 3, 14, 100, 250])
def test_a_normalized_picture_has_the_colours_of_the_plain_one(classes):
    matrix = np.diag(np.arange(1, classes + 1))
    plain = draw_confusion_matrix(matrix, range(classes))
    shares = draw_confusion_matrix(matrix, range(classes), normalized=True)
    assert blue_pixels(shares) == pytest.approx(blue_pixels(plain), rel=0.05)
    assert orange_pixels(shares) == 0


@pytest.mark.parametrize("normalized", [False, True])
def test_a_matrix_of_zeros_is_drawn(normalized):
    zeros = np.zeros((3, 3), int)
    picture = draw_confusion_matrix(zeros, "abc", normalized=normalized)
    assert blue_pixels(picture) == orange_pixels(picture) == 0


def test_the_mean_of_the_classes_leaves_out_those_without_examples():
    matrix = np.array([[9, 1, 0], [5, 5, 0], [0, 0, 0]])
    _, below = board._title(matrix, normalized=True, percent=True)
    assert below.startswith("Percent") and "70.0% right" in below

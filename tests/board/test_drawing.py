"""What holds for every picture, and the shapes and text they consist of."""

import runpy
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from keras_transfer.board import drawing
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.board.example_grid import draw_example_grid
from keras_transfer.board.f1_bars import draw_f1_bars
from keras_transfer.board.reliability_diagram import draw_reliability_diagram

STYLE = {
    "text.usetex": True,
    "text.color": "red",
    "font.size": 30,
    "font.style": "italic",
    "font.weight": "bold",
    "font.stretch": "condensed",
    "axes.grid": True,
    "axes.facecolor": "black",
    "figure.facecolor": "black",
    "figure.dpi": 50,
    "figure.autolayout": True,
    "image.origin": "lower",
    "image.interpolation": "bilinear",
    "lines.linewidth": 9,
    "lines.linestyle": ":",
    "lines.marker": "o",
    "patch.linewidth": 9,
    "patch.force_edgecolor": True,
}


def names_of(classes, name):
    return [f"{name} {number}" for number in range(classes)]


def draw_matrix(classes, name):
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 9, (classes, classes))
    names = names_of(classes, name)
    return draw_confusion_matrix(matrix, names, normalized=True)


def draw_bars(classes, name):
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 9, (classes, classes))
    return draw_f1_bars(matrix, names_of(classes, name))


def draw_diagram(classes, name):
    rng = np.random.default_rng(0)
    sure = rng.uniform(1 / classes, 1, 50)
    is_right = rng.random(50) < sure
    return draw_reliability_diagram(sure, is_right, title=name)


def draw_grid(classes, name):
    images = np.random.default_rng(0).random((min(classes, 14), 9, 12, 3))
    captions = [(name, name, 0.5, bool(n % 2)) for n in range(len(images))]
    return draw_example_grid(images, captions, name)


every_picture = pytest.mark.parametrize(
    "draw", [draw_matrix, draw_bars, draw_diagram, draw_grid]
)


@every_picture
@pytest.mark.parametrize("classes", [1, 2, 3, 14, 100])
@pytest.mark.parametrize("name", ["class", "a long name of a class " * 3])
def test_pictures_are_of_a_size_to_be_read_and_nothing_is_cut(
    draw, classes, name
):
    picture = draw(classes, name)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    height, width, _ = picture.shape
    assert 100 < height < 1600 and 350 < width < 1600
    for edge in (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]):
        assert np.all(edge == 255)
    assert np.any(picture < 255)


@every_picture
@pytest.mark.parametrize(
    "name",
    [
        "猫 🐈 \N{ARABIC LETTER BEH}",
        "costs $5 or $6",
        r"$\frac{1$",
        "two\nlines\tand a tab",
        "",
    ],
)
def test_names_of_every_kind_are_drawn_without_warnings(draw, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(3, name)


@every_picture
def test_the_users_style_changes_nothing(draw):
    plain = draw(3, "class")
    with matplotlib.rc_context(STYLE):
        styled = draw(3, "class")
    np.testing.assert_array_equal(plain, styled)


@every_picture
def test_nothing_global_changes(draw):
    figures, settings = pyplot.get_fignums(), dict(matplotlib.rcParams)
    filters = list(warnings.filters)
    draw(3, "class")
    assert pyplot.get_fignums() == figures
    assert dict(matplotlib.rcParams) == settings
    assert warnings.filters == filters


@every_picture
def test_the_same_picture_comes_again(draw):
    np.testing.assert_array_equal(draw(3, "class"), draw(3, "class"))


def test_matplotlib_is_not_needed_before_something_is_drawn(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    module = runpy.run_path(drawing.__file__)
    with pytest.raises(ImportError):
        module["new_canvas"]()


def test_a_box_lies_where_it_is_said_to():
    canvas = drawing.new_canvas(40, 30)
    drawing.draw_box(canvas, 5, 10, 20, 8, "black")
    expected = np.full((30, 40, 3), 255)
    expected[10:18, 5:25] = 0
    np.testing.assert_array_equal(drawing.render(canvas), expected)


def test_what_is_drawn_later_lies_above():
    canvas = drawing.new_canvas(20, 20)
    drawing.draw_line(canvas, [0, 20], [10, 10], "black", 4)
    drawing.draw_box(canvas, 0, 0, 20, 20, "white")
    assert np.all(drawing.render(canvas) == 255)


def test_text_is_centred_on_its_height():
    canvas = drawing.new_canvas(60, 60)
    drawing.write(canvas, 30, 20, "H", 20, align="center")
    rows, columns = np.nonzero(drawing.render(canvas)[..., 0] < 128)
    assert abs(rows.mean() - 20) < 3 and abs(columns.mean() - 30) < 3


@pytest.mark.parametrize("width", [5, 50, 120, 10_000])
def test_fitted_text_is_no_wider_than_there_is_room(width):
    canvas, name = drawing.new_canvas(), "a name of\nmore than one word"
    fitted = drawing.fit_text(canvas, name, 15, width)
    whole = "a name of more than one word"
    if width == 10_000:
        assert fitted == whole
        return
    assert fitted.endswith("…") and whole.startswith(fitted[:-1])
    if len(fitted) > 1:
        assert drawing.text_size(canvas, [fitted], 15)[0] <= width


def test_narrow_letters_are_not_cut_before_there_is_need():
    assert drawing.fit_text(drawing.new_canvas(), "il" * 20, 15, 170) == (
        "il" * 20
    )


def test_short_names_stay_and_long_ones_end_in_an_ellipsis():
    assert drawing.shorten("a  b\nc") == "a b c"
    assert drawing.shorten("abcdef", 6) == "abcdef"
    assert drawing.shorten("abcd fg", 6) == "abcd…"

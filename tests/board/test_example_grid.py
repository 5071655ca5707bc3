"""Which examples are shown, and that the picture shows them."""

import numpy as np
import pytest

from keras_transfer.board import example_grid
from keras_transfer.board.example_grid import (
    Caption,
    caption_examples,
    choose_examples,
    draw_example_grid,
)

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
OUTPUTS = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.2, 0.7, 0.1],
        [0.9, 0.1, 0.0],
        [0.4, 0.4, 0.2],
        [0.1, 0.1, 0.8],
        [0.9, 0.1, 0.0],
    ]
)
LABELS = np.array([0, 0, 1, 0, 2, 2])


@pytest.fixture
def texts(monkeypatch):
    """Collect what is written into a picture."""
    written = []
    write = example_grid.write

    def record(canvas, x, y, text, *args, **kwargs):
        written.append(text)
        write(canvas, x, y, text, *args, **kwargs)

    monkeypatch.setattr(example_grid, "write", record)
    return written


def count_pixels(picture, color):
    return int(np.all(picture == color, axis=-1).sum())


def test_mistakes_and_close_calls_are_chosen():
    mistakes, uncertain = choose_examples(OUTPUTS, LABELS)
    assert mistakes.tolist() == [2, 5, 1]
    assert uncertain.tolist() == [3, 1, 4, 0, 2, 5]


def test_no_more_than_asked_for_are_chosen():
    mistakes, uncertain = choose_examples(OUTPUTS, LABELS, count=2)
    assert mistakes.tolist() == [2, 5] and uncertain.tolist() == [3, 1]


def test_choice_is_that_of_a_plain_sort():
    rng = np.random.default_rng(0)
    outputs = np.round(rng.dirichlet(np.ones(4), 200), 1)
    labels = rng.integers(0, 4, 200)
    by_hand = sorted(
        (n for n in range(200) if outputs[n].argmax() != labels[n]),
        key=lambda n: (-outputs[n].max(), n),
    )
    mistakes, uncertain = choose_examples(outputs, labels, 30)
    assert mistakes.tolist() == by_hand[:30]

    def margin(n):
        *_, second, first = sorted(outputs[n])
        return first - second

    by_hand = sorted(range(200), key=lambda n: (margin(n), n))
    assert uncertain.tolist() == by_hand[:30]


def test_a_single_sigmoid_is_uncertain_near_one_half():
    outputs = np.array([[0.95], [0.55], [0.48], [0.1]])
    mistakes, uncertain = choose_examples(outputs, [0, 1, 1, 1])
    assert mistakes.tolist() == [0, 3, 2]
    assert uncertain.tolist() == [2, 1, 3, 0]


def test_where_all_is_right_there_are_no_mistakes():
    mistakes, uncertain = choose_examples(np.eye(3), [0, 1, 2])
    assert mistakes.tolist() == [] and len(uncertain) == 3


def test_captions_tell_what_an_example_is_and_is_taken_for():
    captions = caption_examples(OUTPUTS, LABELS, ["cat", "dog", 3], [5, 4])
    assert captions == [("3", "cat", 0.9, False), ("3", "3", 0.8, True)]


def test_captions_of_classes_of_one_name_are_still_wrong():
    [caption] = caption_examples([[0.9, 0.1]], [1], ["crane", "crane"], [0])
    assert not caption.is_right


@pytest.mark.parametrize(
    ("confidence", "percent"),
    [
        (0.97, "97 %"),
        (1.0, "100 %"),
        (0.999, ">99 %"),
        (0.004, "0 %"),
        (np.nan, "–"),
    ],
)
def test_a_caption_has_two_lines(texts, confidence, percent):
    image = np.zeros((4, 4))
    draw_example_grid([image], [("cat", "dog", confidence, False)], "Title")
    assert texts == ["Title", "cat →", f"✗ dog  {percent}"]


def test_right_and_wrong_differ_in_colour_and_sign(texts):
    image = np.zeros((4, 4))
    right = Caption("cat", "cat", 0.97, True)
    picture = draw_example_grid([image], [right], "Title")
    assert texts[-1] == "✓ cat  97 %"
    assert count_pixels(picture, BLUE) > 2000
    assert not count_pixels(picture, ORANGE)
    wrong = Caption("cat", "dog", 0.97, False)
    picture = draw_example_grid([image], [wrong], "Title")
    assert count_pixels(picture, ORANGE) > 2000
    assert not count_pixels(picture, BLUE)


def test_long_names_are_shortened_and_percentages_stay(texts):
    name = "a name that is a good deal longer than there is room for"
    images = np.zeros((3, 4, 4))
    draw_example_grid(images, [(name, name, 0.5, False)] * 3, "Title")
    assert texts[1].startswith("a name") and texts[1].endswith("… →")
    assert texts[2].startswith("✗ a n") and texts[2].endswith("…  50 %")


def test_thumbnails_are_drawn_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (322, 322, 3))
    picture = draw_example_grid(
        [image.astype("uint8")], [("a", "b", 0.5, False)], "Title"
    )
    np.testing.assert_array_equal(picture[66:388, 24:346], image)


def test_every_image_is_drawn_where_it_belongs():
    colors = np.random.default_rng(0).integers(0, 256, (5, 1, 1, 3))
    images = np.broadcast_to(colors, (5, 6, 6, 3)).astype("uint8")
    picture = draw_example_grid(images, [("a", "b", 0.5, True)] * 5, "Title")
    places = []
    for color in colors:
        found = np.argwhere(np.all(picture == color[0, 0], axis=-1))
        assert len(found) > 150**2
        places.append(tuple(found.mean(axis=0).round()))
    assert places == sorted(places)
    assert len({row for row, _ in places}) == 2
    assert len({column for _, column in places}) == 3


def test_images_of_different_sizes_are_drawn_together():
    images = [np.zeros((9, 5)), np.zeros((500, 9, 1)), np.zeros((7, 7, 4))]
    picture = draw_example_grid(images, [("a", "b", 0.5, True)] * 3, "Title")
    assert picture.shape[2] == 3


def test_without_images_it_says_so(texts):
    assert draw_example_grid([], [], "Mistakes").shape[2] == 3
    assert texts == ["Mistakes", "There are none."]


def test_there_must_be_a_caption_for_each_image():
    with pytest.raises(ValueError, match="1 images, 0 captions"):
        draw_example_grid([np.zeros((4, 4))], [], "Title")

"""The picture shows each image, and in colour what speaks for its class."""

import matplotlib
import numpy as np
import pytest

from keras_transfer.board import example_grid, grad_cam_grid
from keras_transfer.board.example_grid import Caption
from keras_transfer.board.grad_cam_grid import draw_grad_cam

RIGHT = Caption("cat", "cat", 0.97, True)
BLUE = (0x00, 0x72, 0xB2)


def colorfulness(picture):
    return np.ptp(picture.astype(int), axis=-1)


def draw_one(image, heat):
    """Draw one example and return its two halves, without the frame."""
    picture = draw_grad_cam([image], [heat], [RIGHT], "Title")
    rows, columns = np.nonzero(np.all(picture == BLUE, axis=-1))
    # The caption is blue, too.
    frame = rows[columns == columns.min()]
    top, bottom = frame.min() + 4, frame.max() - 3
    left, right = columns.min() + 4, columns.max() - 3
    inside = picture[top:bottom, left:right]
    axis = 0 if inside.shape[0] > inside.shape[1] else 1
    half = (inside.shape[axis] - 2) // 2
    first, last = np.split(inside, [half, half + 2], axis)[::2]
    return first, last


def test_the_image_stands_beside_it_as_it_is():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (160, 160, 3)).astype("uint8")
    beside, overlay = draw_one(image, np.zeros((7, 7)))
    np.testing.assert_array_equal(beside, image)
    assert overlay.shape == image.shape
    assert not colorfulness(overlay).any()
    np.testing.assert_allclose(
        overlay[..., 0], image @ [0.299, 0.587, 0.114], atol=1
    )


def test_colour_lies_where_the_map_says():
    heat = np.zeros((4, 4), "float32")
    heat[0, 3] = 1
    _, overlay = draw_one(np.full((160, 160), 128, "uint8"), heat)
    where = colorfulness(overlay) > 30
    assert where[:40, 120:].mean() > 0.9
    assert not where[80:].any() and not where[:, :80].any()
    hottest = overlay[:20, 140:].mean(axis=(0, 1))
    yellow = 255 * np.array(matplotlib.colormaps["viridis"](1.0)[:3])
    np.testing.assert_allclose(hottest, 0.2 * 128 + 0.8 * yellow, atol=8)


def test_colour_grows_with_the_map_and_is_smooth():
    heat = np.linspace(0, 1, 8, dtype="float32")[None].repeat(8, axis=0)
    _, overlay = draw_one(np.full((160, 160), 128, "uint8"), heat)
    row = overlay[80].astype(int)
    assert np.abs(np.diff(row, axis=0)).max() <= 8
    distance = np.linalg.norm(row - 128, axis=1)
    assert distance[:12].max() < 12 and distance[-12:].min() > 80


def test_the_picture_stays_visible_below_the_heat():
    stripes = np.zeros((160, 160), "uint8")
    stripes[:, ::2] = 255
    _, overlay = draw_one(stripes, np.ones((7, 7)))
    contrast = overlay[:, ::2].astype(int) - overlay[:, 1::2]
    assert contrast.min() > 40


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((60, 60), (160, 160)),
        ((200, 400), (160, 320)),
        ((400, 200), (320, 160)),
        ((300, 400), (160, 213)),
    ],
)
def test_halves_are_as_large_as_there_is_room(size, expected):
    beside, overlay = draw_one(np.full(size, 9, "uint8"), np.zeros((2, 3)))
    assert beside.shape == overlay.shape
    np.testing.assert_allclose(beside.shape[:2], expected, atol=1)


def test_two_examples_stand_in_a_row_of_a_picture_for_the_board():
    images = np.random.default_rng(0).random((12, 9, 9, 1))
    for count in range(1, 13):
        picture = draw_grad_cam(
            images[:count], images[:count, ..., 0], [RIGHT] * count, "Title"
        )
        height, width, _ = picture.shape
        assert picture.dtype == np.uint8
        assert width == (480 if count == 1 else 712)
        assert height == 108 + 244 * -(-count // 2)


def test_images_of_different_shapes_are_drawn_together():
    images = [np.zeros((9, 5)), np.zeros((500, 9, 1)), np.zeros((7, 70, 4))]
    maps = [np.ones((1, 1)), np.zeros((90, 2)), np.full((2, 2), np.nan)]
    picture = draw_grad_cam(images, maps, [RIGHT] * 3, "Title")
    assert picture.shape[2] == 3


def test_texts_say_what_is_seen(monkeypatch):
    texts = []
    for module in (example_grid, grad_cam_grid):
        write = module.write

        def record(canvas, x, y, text, *args, write=write, **kwargs):
            texts.append(text)
            write(canvas, x, y, text, *args, **kwargs)

        monkeypatch.setattr(module, "write", record)
    draw_grad_cam([np.zeros((4, 4))], [np.ones((2, 2))], [RIGHT], "Title")
    assert texts[:3] == ["Title", "cat →", "✓ cat  97 %"]
    assert texts[3:] == [
        "Speaks for the class:  not at all",
        "most in its image",
    ]
    texts.clear()
    assert draw_grad_cam([], [], [], "Title").shape[2] == 3
    assert texts == ["Title", "There are none."]


def test_the_legend_shows_the_colours_of_the_overlay():
    picture = draw_grad_cam(
        [np.zeros((4, 4))], [np.zeros((2, 2))], [RIGHT], "Title"
    )
    legend = picture[-18]
    [colored] = np.nonzero(colorfulness(legend) > 60)
    yellow = 255 * np.array(matplotlib.colormaps["viridis"](1.0)[:3])
    np.testing.assert_allclose(
        legend[colored[-1]], 0.2 * 170 + 0.8 * yellow, atol=2
    )


def test_there_must_be_a_map_and_a_caption_for_each_image():
    images = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match="2 images, maps of shapes .*4, 4"):
        draw_grad_cam(images, images[:1], [RIGHT] * 2, "Title")
    with pytest.raises(ValueError, match=r"maps of shapes \[\(4,\)"):
        draw_grad_cam(images, images[0, :2], [RIGHT] * 2, "Title")
    with pytest.raises(ValueError, match="2 images, 1 captions"):
        draw_grad_cam(images, images, [RIGHT], "Title")
    with pytest.raises(ValueError, match=r"image of shape \(4,\)"):
        draw_grad_cam(images[0, :2], images, [RIGHT] * 2, "Title")

"""Thumbnails of images of every size and scale."""

import numpy as np
import pytest

from keras_transfer.board.thumbnails import make_thumbnails

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype("uint8")
IMAGE[0, :2] = [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize(
    "image",
    [
        IMAGE.astype("float32"),
        IMAGE.astype("int64"),
        IMAGE / 255,
        (IMAGE / 255).astype("float16"),
        IMAGE / 127.5 - 1,
        (IMAGE / 255 - 0.45) / 0.2,
    ],
    ids=["0..255", "integers", "0..1", "float16", "-1..1", "standardised"],
)
def test_scale_is_found_by_the_range(image):
    [thumbnail] = make_thumbnails([image], 8)
    assert thumbnail.dtype == np.uint8
    np.testing.assert_allclose(thumbnail, IMAGE, atol=1)


def test_bytes_are_left_as_they_are():
    [same, dark] = make_thumbnails([IMAGE, np.ones((8, 8), "uint8")], 8)
    np.testing.assert_array_equal(same, IMAGE)
    assert np.all(dark == 1)


def test_scale_is_found_by_all_images_together():
    bright = np.full((4, 4, 3), 0.5)
    dark = np.full((4, 4, 3), -1.0)
    first, second = make_thumbnails([bright, dark], 4)
    assert np.all(first == 191) and np.all(second == 0)


def test_overshoot_of_resizing_changes_no_scale():
    image = np.full((4, 4, 3), 0.5)
    image[0, 0], image[0, 1] = -0.06, 1.07
    [thumbnail] = make_thumbnails([image], 4)
    assert thumbnail[2, 2, 0] == 128
    assert thumbnail[0, 0, 0] == 0 and thumbnail[0, 1, 0] == 255


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1)])
def test_one_channel_is_gray(shape):
    [thumbnail] = make_thumbnails([np.full(shape, 0.5)], 6)
    assert thumbnail.shape == (6, 6, 3) and np.all(thumbnail == 128)


def test_what_is_transparent_is_white():
    image = np.zeros((4, 4, 4), "uint8")
    image[0, ..., 3] = 255
    [thumbnail] = make_thumbnails([image], 4)
    assert np.all(thumbnail[0] == 0) and np.all(thumbnail[1:] == 255)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20, 40, 3), (50, 100, 3)),
        ((400, 200, 3), (100, 50, 3)),
        ((1, 1, 3), (100, 100, 3)),
        ((1, 900, 1), (1, 100, 3)),
        ((90, 100), (90, 100, 3)),
    ],
)
def test_aspect_is_kept(shape, expected):
    [thumbnail] = make_thumbnails([np.zeros(shape)], 100)
    assert thumbnail.shape == expected


def test_pixels_of_a_small_image_stay_sharp():
    image = np.zeros((2, 2), "uint8")
    image[0, 0] = 255
    [thumbnail] = make_thumbnails([image], 40)
    assert set(np.unique(thumbnail)) == {0, 255}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_images_of_one_value_are_drawn(value):
    [thumbnail] = make_thumbnails([np.full((3, 3, 3), value)], 3)
    assert len(np.unique(thumbnail)) == 1


def test_no_images_give_no_thumbnails():
    assert make_thumbnails([], 10) == []


@pytest.mark.parametrize("shape", [(3,), (4, 4, 2), (2, 4, 4, 3), (0, 4, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="Received: image of shape"):
        make_thumbnails([np.zeros(shape)], 10)

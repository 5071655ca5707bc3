"""The same picture is told from one that only looks alike."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_transfer.insight.audit.same_picture import (
    _Windows,
    differ,
    find_part,
)
from tests.insight.audit.pictures import open_clipart, render

NAMES = ["fruit/lemon_simple", "car/4wd", "bug/bee", "bird/puffin_md"]


def _encode(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return Image.open(file)


def _differ(first, second):
    return differ(render(first), render(second), min(*first.size, *second.size))


@pytest.mark.parametrize("name", NAMES)
def test_another_encoding_or_size_is_the_same_picture(name):
    image = open_clipart(name)
    assert _differ(image, image) == 0
    assert _differ(image, _encode(image, quality=40)) < 1
    for scale in (0.4, 0.75, 1.5):
        size = round(image.width * scale), round(image.height * scale)
        assert _differ(image, _encode(image.resize(size), quality=85)) < 1


@pytest.mark.parametrize(
    "first, second",
    [
        ("fruit/lemon_slice_ganson", "fruit/lime_slice_ganson"),
        ("dessert/candy_20", "dessert/candy_21"),
        (
            "fruit/apple_bitten_dan_gerhard_01",
            "fruit/apple_with_worm_dan_gerh_01",
        ),
        ("boat/sailing_capsize2", "boat/sailing_capsize5"),
        ("dessert/cone_soft_bw", "dessert/cone_soft_vanilla"),
    ],
)
def test_a_person_sees_two_drawings(first, second):
    # Of one family: in other colours, or with something more on it.
    assert _differ(open_clipart(first), open_clipart(second)) > 1.8


@pytest.mark.parametrize("name", NAMES)
def test_what_is_cut_out_is_found(name):
    image = open_clipart(name)
    width, height = image.size
    box = (0.12 * width, 0.05 * height, 0.95 * width, 0.9 * height)
    part = _encode(image.crop([round(side) for side in box]), quality=85)
    smaller = part.resize((part.width * 2 // 3, part.height * 2 // 3))
    for cut in (part, smaller):
        found = find_part(render(image), render(cut), image.size, cut.size)
        assert found < 1.5
        other = open_clipart("home/home5")
        found = find_part(render(other), render(cut), other.size, cut.size)
        assert found == np.inf


def test_blank_pictures_are_no_part_of_anything():
    white = Image.new("RGB", (90, 90), "white")
    bee = open_clipart("bug/bee")
    for whole, part in ((bee, white), (white, bee), (white, white)):
        assert np.isinf(
            find_part(render(whole), render(part), whole.size, part.size)
        )


def test_correlation_is_the_highest_over_all_windows():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (17, 23)).astype("uint8")
    part = image[4:11, 9:18] // 2 + random.integers(0, 40, (7, 9))
    values = {
        (left, top): np.corrcoef(
            image[top : top + 7, left : left + 9].ravel(), part.ravel()
        )[0, 1]
        for top in range(11)
        for left in range(15)
    }
    value, place = _Windows(Image.fromarray(image)).match(
        Image.fromarray(part.astype("uint8"))
    )
    assert place == max(values, key=values.get) == (9, 4)
    assert value == pytest.approx(values[place], abs=1e-6)

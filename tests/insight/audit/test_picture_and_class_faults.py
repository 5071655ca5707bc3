"""Blank, tiny and odd pictures, and classes with few of them."""

import numpy as np
from PIL import Image

from keras_transfer.insight.audit.class_faults import find_class_faults
from keras_transfer.insight.audit.duplicates import DuplicateGroups
from keras_transfer.insight.audit.picture_faults import find_picture_faults
from tests.insight.audit.pictures import make_table


def _noise(width, height, low=0, high=256):
    random = np.random.default_rng(width * height)
    pixels = random.integers(low, high, (height, width, 3))
    return Image.fromarray(pixels.astype("uint8"))


def _faults(images):
    return [
        (f.kind, int(f.paths[0].split()[-1]))
        for f in find_picture_faults(make_table(images))
    ]


def test_pictures_that_stand_out():
    usual = [_noise(100, 80)] * 6
    found = _faults(
        [
            *usual,
            Image.new("RGB", (100, 80), "white"),
            _noise(100, 80, 100, 103),
            _noise(20, 16),
            _noise(24, 20),
            _noise(400, 80),
            _noise(60, 250),
        ]
    )
    assert found == [
        ("blank", 6),
        ("blank", 7),
        ("tiny", 8),
        ("tiny", 9),
        ("odd_shape", 11),
        ("odd_shape", 10),
    ]


def test_what_all_have_is_not_odd():
    assert _faults([_noise(200, 40)] * 5) == []
    # Large pictures make others small, but icons are not for being icons.
    assert _faults([_noise(32, 32)] * 5) == []
    assert _faults([_noise(400, 400)] * 5 + [_noise(90, 90)]) == [("tiny", 5)]


def test_a_thin_line_is_not_blank():
    page = np.full((128, 128, 3), 255, "uint8")
    page[60:62, 20:100] = 0
    assert _faults([Image.fromarray(page)] * 2) == []


def _class_faults(counts, splits=None, groups=None):
    classes = [name for name, n in counts.items() for _ in range(n)]
    table = make_table([_noise(8, 8)] * len(classes), classes, splits)
    groups = np.arange(len(classes)) if groups is None else groups
    found = find_class_faults(table, DuplicateGroups(groups, groups, groups))
    return [(f.kind, f.classes[0], f.splits[0]) for f in found]


def test_few_examples_and_imbalance():
    counts = {"a": 20, "b": 20, "c": 20, "many": 80, "five": 5, "nine": 9}
    assert _class_faults(counts) == [
        ("few_examples", "five", ""),
        ("few_examples", "nine", ""),
        ("imbalance", "five", ""),
        ("imbalance", "many", ""),
    ]
    assert _class_faults({"a": 12, "b": 40}) == []


def test_copies_count_once():
    groups = np.concatenate([np.arange(12), [12] * 12])
    assert _class_faults({"a": 12, "b": 12}, groups=groups) == [
        ("few_examples", "b", ""),
        ("imbalance", "b", ""),
    ]


def test_each_split_is_looked_at():
    splits = ["train"] * 12 + ["test"] * 3 + ["train"] * 12 + ["test"] * 12
    assert _class_faults({"a": 15, "b": 24}, splits) == [
        ("few_examples", "a", "test")
    ]

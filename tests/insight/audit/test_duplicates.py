"""Copies and parts are grouped; families of drawings are not."""

import itertools

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from keras_transfer.insight.audit import duplicates
from keras_transfer.insight.audit.duplicate_findings import (
    find_duplicate_faults,
    list_groups,
)
from keras_transfer.insight.audit.duplicates import group_duplicates
from keras_transfer.insight.audit.picture_table import read_pictures
from tests.insight.audit.pictures import make_table, open_clipart

imagehash = pytest.importorskip("imagehash")


def _save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def _groups(table, group_of):
    return [
        sorted(table.paths[row].rsplit("/")[-1] for row in rows)
        for rows in list_groups(group_of)
    ]


def test_three_senses_of_the_same(tmp_path):
    bee, car = open_clipart("bug/bee"), open_clipart("car/4wd")
    _save(bee, tmp_path / "a/bee.png")
    remark = PngImagePlugin.PngInfo()
    remark.add_text("Author", "someone else")
    _save(bee, tmp_path / "a/remarked.png", pnginfo=remark)
    _save(bee, tmp_path / "a/other format.bmp")
    _save(bee, tmp_path / "a/encoded.jpg", quality=70)
    _save(bee.resize((90, 90)), tmp_path / "a/small.png")
    _save(bee.crop((10, 5, 100, 96)), tmp_path / "a/cut.png")
    _save(car, tmp_path / "a/car.png")
    table = read_pictures(tmp_path)
    features = np.ones((len(table), 2), "float32")  # all are neighbours
    groups = group_duplicates(table, features)
    exact = ["bee.png", "other format.bmp", "remarked.png"]
    near = sorted([*exact, "encoded.jpg", "small.png"])
    assert _groups(table, groups.exact) == [exact]
    assert _groups(table, groups.near) == [near]
    assert _groups(table, groups.cropped) == [sorted([*near, "cut.png"])]
    without = group_duplicates(table)
    assert _groups(table, without.cropped) == [near]


def test_one_pixel_makes_it_no_exact_copy(tmp_path):
    bee = open_clipart("bug/bee").resize((640, 640))
    _save(bee, tmp_path / "a/0.png")
    for i in range(1, 40):  # some of them vanish where pictures are made small
        bee.putpixel((16 * i, 320), (1, i, 3))
    _save(bee, tmp_path / "a/1.png")
    table = read_pictures(tmp_path)
    groups = group_duplicates(table)
    assert not _groups(table, groups.exact)
    assert _groups(table, groups.near) == [["0.png", "1.png"]]


def test_hashes_select_the_pairs_that_differ_in_few_bits(monkeypatch):
    random = np.random.default_rng(0)
    base = [random.integers(0, 256, (16, 16, 3)) for _ in range(6)]
    images = [
        Image.fromarray(
            (b + random.normal(0, noise, b.shape)).clip(0, 255).astype("uint8")
        ).resize((128, 128))
        for b, noise in itertools.product(base, (0, 20, 60, 120))
    ]
    table = make_table(images)
    fine, coarse = (
        [
            imagehash.phash(Image.fromarray(p), hash_size=n)
            for p in table.pictures
        ]
        for n in (16, 8)
    )
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(len(images)), 2)
        if fine[i] - fine[j] <= 64 or coarse[i] - coarse[j] <= 10
    }
    assert 5 < len(expected) < 100
    monkeypatch.setattr(duplicates, "differ", lambda *_: 0)
    for block in (5, 1024):
        monkeypatch.setattr(duplicates, "_BLOCK", block)
        assert set(duplicates._find_near(table, table.readable)) == expected


def test_neighbours_are_the_most_similar(monkeypatch):
    features = np.random.default_rng(0).normal(1, 1, (30, 8))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(30)
    expected = {
        (min(i, j), max(i, j))
        for i in range(30)
        for j in np.argsort(-cosines[i])[:4].tolist()
        if cosines[i, j] >= 0.6
    }
    for block in (7, 1024):
        monkeypatch.setattr(duplicates, "_BLOCK", block)
        assert set(duplicates._list_neighbours(features)) == expected
    assert duplicates._list_neighbours(features[:1]) == []


def test_blank_pictures_are_equal_only_if_they_are():
    white, grey = (Image.new("RGB", (40, 40), c) for c in ("white", "grey"))
    table = make_table([white, white, grey, Image.new("RGB", (50, 50))])
    groups = group_duplicates(table, np.ones((4, 3)))
    assert _groups(table, groups.cropped) == [["picture 0", "picture 1"]]


def test_icons_of_one_family_are_no_copies():
    names = [
        "lemon_slice_ganson",
        "lime_slice_ganson",
        "lemon_half_ganson",
        "lime_half_ganson",
        "lemon_simple",
        "orange_simple",
        "peach_simple",
        "apple_wedge",
        "orange_wedge",
    ]
    table = make_table([open_clipart(f"fruit/{name}") for name in names])
    groups = group_duplicates(table, np.ones((len(names), 2)))
    assert _groups(table, groups.cropped) == []


def test_findings_of_copies_classes_and_splits():
    bee, car, fish = map(
        open_clipart, ("bug/bee", "car/4wd", "fish/bluewhale_md")
    )
    images = [bee, bee, bee.resize((300, 300)), car, car, fish, fish]
    classes = ["bug", "bug", "bug", "car", "toy", "fish", "fish"]
    splits = ["train", "train", "train", "train", "train", "train", "test"]
    table = make_table(images, classes, splits)
    found = find_duplicate_faults(table, group_duplicates(table))
    by_kind = {}
    for finding in found:
        numbers = [int(path.split()[-1]) for path in finding.paths]
        by_kind.setdefault(finding.kind, []).append(numbers)
    assert by_kind == {
        # The test picture is the one to keep, and elsewhere the largest.
        "leak": [[6, 5]],
        "two_classes": [[3, 4]],
        "exact_duplicate": [[0, 1], [6, 5]],
        "near_duplicate": [[2, 0]],
    }
    [leak] = [f for f in found if f.kind == "leak"]
    assert "1 in test" in leak.detail and "1 in train" in leak.detail

"""Damaged and misnamed files are found without spoiling good ones."""

import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data.image_decoding import (
    SUFFIXES,
    UnreadableImageError,
    read_image,
)
from keras_transfer.insight.audit.file_faults import (
    find_file_faults,
    find_stray_picture,
    find_wrong_name,
    read_facts,
)
from keras_transfer.insight.audit.picture_table import read_pictures


@pytest.fixture
def image():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 36, 3)).astype("uint8")
    return Image.fromarray(pixels)


def test_facts_of_a_good_file(image, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    path = tmp_path / "a.jpg"
    image.save(path, exif=exif)
    facts = read_facts(path)
    assert (facts.format, facts.size, facts.fault) == ("JPEG", (24, 36), "")
    assert facts.digest == hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_lost_end_is_seen_even_where_decoders_are_content(
    image, tmp_path, suffix
):
    path = tmp_path / f"a{suffix}"
    image.save(path)
    content = path.read_bytes()
    assert read_facts(path).fault == ""
    path.write_bytes(content + b"trailing bytes")
    assert read_facts(path).fault == ""
    path.write_bytes(content[: -12 if suffix == ".png" else -2])
    assert read_facts(path).fault
    if suffix == ".png":
        read_image(path, (8, 8))  # Pillow says nothing


def test_a_flipped_bit_in_a_png(image, tmp_path):
    path = tmp_path / "a.png"
    image.save(path)
    content = bytearray(path.read_bytes())
    for place in range(60, len(content) - 20, 97):
        damaged = content.copy()
        damaged[place] ^= 4
        path.write_bytes(damaged)
        facts = read_facts(path)
        if not facts.fault:
            with pytest.raises(UnreadableImageError):
                read_image(path, (8, 8))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("nowhere", tmp_path / "link.png")
    for name in ("pipe.png", "link.png", "missing.png"):
        with pytest.raises(UnreadableImageError):
            read_facts(tmp_path / name)


@pytest.mark.parametrize(
    "name, image_format, is_wrong",
    [
        ("a.jpg", "JPEG", False),
        ("a.JPEG", "MPO", False),
        ("a.dib", "BMP", False),
        ("a.jpg", "PNG", True),
        ("a.png", "WEBP", True),
        ("a.jpg", "", False),
        ("a.unknown", "PNG", False),
    ],
)
def test_names_that_contradict_the_content(name, image_format, is_wrong):
    assert bool(find_wrong_name(name, image_format)) == is_wrong


def test_every_suffix_that_is_loaded_is_known():
    for suffix in SUFFIXES:
        assert find_wrong_name(f"a{suffix}", "no such format")


def test_faults_of_a_folder(image, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(3):
            image.rotate(7 * i).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a/0.png").rename(tmp_path / "a/0.jpg")
    (tmp_path / "a/1.png").rename(tmp_path / "a/1.txt")
    (tmp_path / "a/notes.txt").write_text("no picture")
    (tmp_path / "b/0.png").write_bytes(b"")
    (tmp_path / "b/1.png").write_bytes(b"no picture")
    found = find_file_faults(read_pictures(tmp_path))
    assert [(f.kind, f.paths, f.classes) for f in found] == [
        ("wrongly_named", (str(tmp_path / "a/0.jpg"),), ("a",)),
        ("unreadable", (str(tmp_path / "b/0.png"),), ("b",)),
        ("unreadable", (str(tmp_path / "b/1.png"),), ("b",)),
        ("wrongly_named", (str(tmp_path / "a/1.txt"),), ("a",)),
    ]
    assert "PNG" in found[0].detail and ".jpg" in found[0].detail
    assert "empty" in found[1].detail


def test_stray_pictures(image, tmp_path):
    image.save(tmp_path / "a", "PNG")
    (tmp_path / "b").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert "PNG" in find_stray_picture(str(tmp_path / "a"))
    assert find_stray_picture(str(tmp_path / "b")) == ""

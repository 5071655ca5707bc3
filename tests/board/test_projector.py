import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins import projector

from keras_transfer.board.projector import (
    count_points,
    discard_points,
    rotate_points,
    write_points,
    write_projector,
)

NAMES = ["before training", "after training"]
COLUMNS = {"class": "abcde", "right": [1] * 5}


def write(folder, columns, thumbnails=None):
    rng = np.random.default_rng(0)
    points = [rng.normal(size=(5, 7)) for _ in NAMES]
    for name, its_points in zip(NAMES, points, strict=True):
        assert count_points(folder, name) == 0
        write_points(folder, name, its_points)
        assert count_points(folder, name) == 5
    write_projector(folder, NAMES, columns, thumbnails, side=8)
    text = (folder / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector.ProjectorConfig())
    return points, config.embeddings


def test_points_are_read_back(tmp_path):
    points, found = write(tmp_path, COLUMNS)
    assert [embedding.tensor_name for embedding in found] == NAMES
    for embedding, expected in zip(found, points, strict=True):
        table = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t")
        np.testing.assert_allclose(table, expected, rtol=1e-3)
        assert not embedding.sprite.image_path


def test_what_is_known_of_examples_is_a_table(tmp_path):
    columns = {**COLUMNS, "class": ["a\tb", "c\nd", *"efg"]}
    _, [embedding, _] = write(tmp_path, columns)
    text = (tmp_path / embedding.metadata_path).read_text()
    assert text.splitlines()[:3] == ["class\tright", "a b\t1", "c d\t1"]


def test_what_is_killed_leaves_a_whole_file_or_none(tmp_path, monkeypatch):
    def be_killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", be_killed)
    with pytest.raises(KeyboardInterrupt):
        write_points(tmp_path, NAMES[0], np.zeros((5, 7)))
    assert count_points(tmp_path, NAMES[0]) == 0


def test_points_are_discarded_unless_they_are_shown(tmp_path):
    alone, shown = tmp_path / "alone", tmp_path / "shown"
    write_points(alone, NAMES[0], np.zeros((5, 7)))
    write(shown, COLUMNS)
    for folder in (alone, shown, tmp_path / "nothing"):
        discard_points(folder, NAMES[0])
    assert not alone.exists() and count_points(shown, NAMES[0]) == 5


def test_thumbnails_are_in_their_places(tmp_path):
    thumbnails = [np.full((4, 8, 3), 40 * n, "uint8") for n in range(5)]
    _, found = write(tmp_path, COLUMNS, thumbnails)
    for embedding in found:
        assert list(embedding.sprite.single_image_dim) == [8, 8]
    sheet = np.asarray(Image.open(tmp_path / found[0].sprite.image_path))
    assert sheet.shape == (24, 24, 3)
    for n in range(5):
        row, column = divmod(n, 3)
        place = sheet[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert (place[2:6] == 40 * n).all() and (place[:2] == 255).all()


def test_points_of_many_features_keep_their_distances():
    points = np.random.default_rng(0).normal(3, 1, size=(6, 40))
    assert rotate_points(points, 40) is points
    rotated = rotate_points(points, 39)
    assert rotated.shape == (6, 6)
    for part in (points, rotated):
        part -= part[:1]
    np.testing.assert_allclose(points @ points.T, rotated @ rotated.T)

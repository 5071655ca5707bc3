import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins import projector

from keras_transfer.board.projector import (
    has_points,
    rotate_points,
    write_points,
    write_projector,
)

NAMES = ["before training", "after training"]


def write(folder, columns, thumbnails=None):
    rng = np.random.default_rng(0)
    points = [rng.normal(size=(5, 7)) for _ in NAMES]
    for name, its_points in zip(NAMES, points, strict=True):
        assert not has_points(folder, name)
        write_points(folder, name, its_points)
        assert has_points(folder, name)
    write_projector(folder, NAMES, columns, thumbnails, side=8)
    text = (folder / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector.ProjectorConfig())
    return points, config.embeddings


def test_points_are_read_back(tmp_path):
    points, found = write(tmp_path, {"class": "abcde"})
    assert [embedding.tensor_name for embedding in found] == NAMES
    for embedding, expected in zip(found, points, strict=True):
        table = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t")
        np.testing.assert_allclose(table, expected, rtol=1e-3)
        assert not embedding.sprite.image_path


def test_a_single_column_has_no_heading(tmp_path):
    _, [embedding, _] = write(tmp_path, {"class": ["a\tb", "c\nd", *"efg"]})
    text = (tmp_path / embedding.metadata_path).read_text()
    assert text.splitlines() == ["a b", "c d", "e", "f", "g"]


def test_several_columns_have_one(tmp_path):
    _, [embedding, _] = write(tmp_path, {"class": "abcde", "right": [1] * 5})
    text = (tmp_path / embedding.metadata_path).read_text()
    assert text.splitlines()[:2] == ["class\tright", "a\t1"]


def test_thumbnails_are_in_their_places(tmp_path):
    thumbnails = [np.full((4, 8, 3), 40 * n, "uint8") for n in range(5)]
    _, found = write(tmp_path, {"class": "abcde"}, thumbnails)
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

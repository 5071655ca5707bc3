import os

import pytest

from keras_transfer.caching.engines.kept_file import keep_file, read_kept


def test_what_is_kept_is_read(tmp_path):
    path = str(tmp_path / "new/folder/file")
    keep_file(path, b"content")
    assert read_kept(path) == b"content"
    assert os.listdir(tmp_path / "new/folder") == ["file"]


def test_nothing_is_read_where_nothing_is(tmp_path):
    assert read_kept(str(tmp_path / "file")) is None


@pytest.mark.parametrize("position", [0, 63, 64, -1])
def test_every_changed_byte_is_noticed(tmp_path, position):
    path = tmp_path / "file"
    keep_file(str(path), b"content")
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert read_kept(str(path)) is None


def test_half_a_file_is_noticed(tmp_path):
    path = tmp_path / "file"
    keep_file(str(path), b"content")
    for size in (0, 30, 66):
        path.write_bytes(path.read_bytes()[:size])
        assert read_kept(str(path)) is None


@pytest.mark.parametrize("step", ["fsync", "replace", "makedirs"])
def test_a_full_disk_leaves_the_last_file(tmp_path, monkeypatch, step):
    path = str(tmp_path / "file")
    keep_file(path, b"old")

    def fail(*args, **options):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        keep_file(path, b"new")
    assert read_kept(path) == b"old"
    assert os.listdir(tmp_path) == ["file"]

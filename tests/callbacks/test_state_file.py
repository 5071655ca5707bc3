import os

import numpy as np
import pytest

from keras_transfer.callbacks.state_file import read_state, write_state

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.array(7, "int64"),
    np.zeros((0, 2), "float16"),
    np.array([1, 2], "uint32"),
]


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "new/folder/state")
    write_state(path, {"epoch": 3, "name": "größe"}, ARRAYS)
    header, arrays = read_state(path)
    assert header == {"epoch": 3, "name": "größe"}
    for expected, found in zip(ARRAYS, arrays, strict=True):
        assert expected.dtype == found.dtype
        np.testing.assert_array_equal(expected, found)


def test_no_file_no_state(tmp_path):
    assert read_state(str(tmp_path / "state")) is None


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_last_file(tmp_path, monkeypatch, step):
    path = str(tmp_path / "state")
    write_state(path, {"epoch": 1}, ARRAYS)

    def fail(*args):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match="no space"):
            write_state(path, {"epoch": 2}, ARRAYS)
    assert read_state(path)[0] == {"epoch": 1}
    write_state(path, {"epoch": 2}, ARRAYS)
    assert read_state(path)[0] == {"epoch": 2}


@pytest.mark.parametrize("position", [0, 40, -1])
def test_every_changed_byte_is_noticed(tmp_path, position):
    path = tmp_path / "state"
    write_state(str(path), {"epoch": 1}, ARRAYS)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged.*Received: .*state"):
        read_state(str(path))


def test_half_a_file_is_noticed(tmp_path):
    path = tmp_path / "state"
    write_state(str(path), {"epoch": 1}, ARRAYS)
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is damaged"):
            read_state(str(path))


def test_nothing_in_it_is_run(tmp_path):
    path = str(tmp_path / "state")
    write_state(path, {}, [np.array([print], object)])
    with pytest.raises(ValueError, match="allow_pickle"):
        read_state(path)

"""What a folder of features goes through: kills, damage, full disks."""

import concurrent.futures
import errno
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_transfer.caching import disk_room, feature_folder, fill_folder
from keras_transfer.caching.no_cut_error import NoRoomError
from tests.caching.filling_process import fill, make_examples


def expected(count=640):
    return 2 * make_examples(count)[0]


def check(folder, count=640, **options):
    """Fill, compare with the truth, and return how many were computed."""
    seen = []
    found = fill(folder, count, seen=seen, **options)
    np.testing.assert_array_equal(found, expected(count))
    # The first are a few that are compared with what is there.
    return sum(seen) - sum(size for size in seen[:2] if size < 3)


def files(folder):
    return sorted(pathlib.Path(folder).glob("*/*.features"))


def start(folder, delay, count=640):
    command = [sys.executable, "-m", "tests.caching.filling_process"]
    process = subprocess.Popen(
        [*command, str(folder), str(delay), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process.stdout as output:
        assert output.readline() == "ready\n"
    return process


def wait_for_growth(folder, size):
    for _ in range(1000):
        if sum(path.stat().st_size for path in files(folder)) > size:
            return
        time.sleep(0.01)
    raise AssertionError("nothing is written")


def test_nothing_is_computed_twice(tmp_path):
    assert check(tmp_path) == 640
    assert check(tmp_path) == 0
    # Others are added to those that are there.
    assert check(tmp_path, 700) == 700 - make_shared(640, 700)
    assert check(tmp_path) == 0


def make_shared(one, other):
    """Count the examples that two calls of `make_examples` share."""
    rows = [
        {(*x.tolist(), y) for x, y in zip(*make_examples(count), strict=True)}
        for count in (one, other)
    ]
    return len(rows[0] & rows[1])


def test_killed_while_it_fills(tmp_path):
    random.seed(0)
    left = 640
    for _ in range(5):
        size = sum(path.stat().st_size for path in files(tmp_path))
        process = start(tmp_path, 0.02)
        wait_for_growth(tmp_path, size)
        time.sleep(random.uniform(0, 0.1))
        process.kill()
        process.wait()
        # Torn, as by a machine that went down.
        newest = max(files(tmp_path), key=os.path.getmtime)
        os.truncate(newest, newest.stat().st_size - 5)
    left = check(tmp_path)
    assert 0 < left < 640
    assert check(tmp_path) == 0


def test_two_processes_at_once(tmp_path):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        processes = list(pool.map(lambda _: start(tmp_path, 0.1), range(2)))
    assert [process.wait() for process in processes] == [0, 0]
    assert len(files(tmp_path)) == 2
    assert check(tmp_path) == 0


def test_flipped_bytes_are_found(tmp_path):
    assert check(tmp_path) == 640
    [path] = files(tmp_path)
    whole = path.read_bytes()
    generator = random.Random(0)
    for _ in range(20):
        broken = bytearray(whole)
        for position in generator.sample(range(len(whole)), 3):
            broken[position] ^= 1 << generator.randrange(8)
        path.write_bytes(broken)
        for other in set(files(tmp_path)) - {path}:
            other.unlink()
        assert check(tmp_path) >= 32


@pytest.mark.parametrize("content", [b"", b"x", b"KTF1", bytes(1000)])
def test_files_of_others(content, tmp_path):
    check(tmp_path)
    [path] = files(tmp_path)
    path.with_name(f"other{feature_folder.SUFFIX}").write_bytes(content)
    path.with_name("other.txt").write_bytes(content)
    assert check(tmp_path) == 0
    path.write_bytes(content)
    assert check(tmp_path) == 640


def test_a_layer_whose_code_has_changed(tmp_path):
    fill(tmp_path, factor=3)
    assert check(tmp_path) == 640


def test_a_layer_whose_code_has_changed_shows_in_any_example(tmp_path):
    fill(tmp_path, factor=3, first=2)  # all but the first two
    assert check(tmp_path) == 640


def test_what_is_there_needs_no_room(tmp_path):
    check(tmp_path)
    assert check(tmp_path, disk_limit=0) == 0


def test_the_least_used_goes_first(tmp_path):
    kept = []
    for count in (100, 200, 300):
        check(tmp_path, count)
        kept += set(files(tmp_path)) - set(kept)
    for path, age in zip(kept, (30, 10, 20), strict=True):
        os.utime(path, (time.time() - age,) * 2)
    oldest, newest, middle = kept
    whole = sum(path.stat().st_size for path in kept)
    # Whatever they are called: not of a cache.
    others = [
        tmp_path / "notes.txt",
        tmp_path / "mine.features",
        tmp_path / "mine.engine",
        oldest.with_name("mine.features"),
        oldest.with_name("mine.engine"),
    ]
    for path in others:
        path.write_bytes(bytes(10**4))

    def make_room(needed, limit, keep=()):
        disk_room.make_room(str(tmp_path), needed, limit=limit, keep=keep)
        return [path for path in kept if path.exists()]

    with pytest.raises(NoRoomError, match="0.1 MB would be needed in"):
        make_room(10**5, 10**5 - 1)
    assert make_room(0, 0) == kept
    assert make_room(1, whole) == [newest, middle]
    assert make_room(whole, 2 * whole, [str(middle)]) == [newest, middle]
    limit = whole + middle.stat().st_size
    assert make_room(whole, limit, [str(middle)]) == [middle]
    assert all(path.exists() for path in others)


def test_what_is_used_is_not_what_goes(tmp_path):
    check(tmp_path)
    [path] = files(tmp_path)
    os.utime(path, (1, 1))
    check(tmp_path)
    assert path.stat().st_mtime > time.time() - 60


def test_a_full_disk(tmp_path, monkeypatch):
    usage = os.statvfs(tmp_path)
    assert usage.f_bavail
    with pytest.raises(NoRoomError, match="would be needed in .*all"):
        fill(tmp_path, disk_limit=100)
    written = []

    def write_a_part(file, rest):
        written.append(rest)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return file.write(rest[: len(rest) // 2])

    class Full:
        """A disk that takes two and a half frames."""

        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, rest):
            return write_a_part(self._file, rest)

    def open_full(path, mode, **options):
        file = open(path, mode, **options)
        return Full(file) if mode == "xb" else file

    monkeypatch.setattr(feature_folder, "open", open_full, raising=False)
    with pytest.raises(NoRoomError, match="No space left on device"):
        fill(tmp_path)
    assert not files(tmp_path)  # what others need is free again
    monkeypatch.undo()
    assert check(tmp_path) == 640


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoomError, match="cannot be kept in .*file"):
        fill(tmp_path / "file" / "folder")


def test_a_file_that_is_cut_while_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr(fill_folder, "_load", lambda table, cache: table)
    fill(tmp_path)
    [path] = files(tmp_path)
    table = []
    monkeypatch.setattr(
        fill_folder, "_load", lambda found, cache: table.append(found) or found
    )
    fill(tmp_path)
    os.truncate(path, 1000)
    with pytest.raises(OSError, match="has become shorter while it was"):
        table[0].rows.read(np.arange(640))
    os.remove(path)  # still open
    with pytest.raises(OSError, match="has become shorter while it was"):
        table[0].rows.read(np.arange(640))


def test_a_row_that_is_damaged_while_in_use(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(
        fill_folder, "_load", lambda found, cache: kept.append(found) or found
    )
    fill(tmp_path)
    [path] = files(tmp_path)
    data = bytearray(path.read_bytes())
    [table] = kept
    number, start = table.rows.places[7]
    data[start + 9] ^= 1
    path.write_bytes(data)
    table.rows.read(np.arange(7))
    with pytest.raises(OSError, match="was damaged while it was in use"):
        table.rows.read(np.arange(10))
    # The next time it is found before.
    assert check(tmp_path) >= 32

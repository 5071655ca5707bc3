"""No file changes sides when files are added, and no class is forgotten."""

import json
import math
import random
import string

import pytest

from keras_transfer.data.splits import (
    content_key,
    hash_fraction,
    merge_keys,
    remembered_split,
    stable_split,
)


def _keys(prefix, count):
    return [f"{prefix}{i}" for i in range(count)]


def test_hash_is_uniform_and_fixed_for_ever():
    # Splits made by an earlier release must come out the same.
    assert hash_fraction("a", 0) == pytest.approx(0.7417194198289921, abs=1e-15)
    values = [hash_fraction(key, 3) for key in _keys("k", 10_000)]
    assert all(0 <= value < 1 for value in values)
    for threshold in (0.05, 0.2, 0.5, 0.9):
        share = sum(value < threshold for value in values) / 10_000
        spread = math.sqrt(threshold * (1 - threshold) / 10_000)
        assert abs(share - threshold) < 4 * spread


def test_share_is_kept_in_every_class():
    classes = ["small"] * 200 + ["large"] * 3000
    sides, pins = stable_split(
        classes, _keys("k", 3200), validation_split=0.2, seed=0
    )
    assert abs(sum(sides[:200]) / 200 - 0.2) < 4 * math.sqrt(0.16 / 200)
    assert abs(sum(sides[200:]) / 3000 - 0.2) < 4 * math.sqrt(0.16 / 3000)
    assert pins == {}


def test_seeds_give_different_splits_and_the_same_seed_the_same():
    def split(seed):
        keys = _keys("k", 200)
        return stable_split(["a"] * 200, keys, validation_split=0.5, seed=seed)[
            0
        ]

    assert split(1) == split(1)
    assert 60 < sum(a != b for a, b in zip(split(1), split(2), strict=True))


def test_order_of_files_does_not_matter():
    classes = ["a", "b", "c"] * 5
    keys = _keys("k", 15)
    sides, _ = stable_split(classes, keys, validation_split=0.1, seed=0)
    mixed = list(range(15))
    random.Random(0).shuffle(mixed)
    again, _ = stable_split(
        [classes[i] for i in mixed],
        [keys[i] for i in mixed],
        validation_split=0.1,
        seed=0,
    )
    assert again == [sides[i] for i in mixed]


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_classes_of_two_or_more_are_on_both_sides(share, count):
    for seed in range(20):
        classes = ["a"] * count + ["b"] * count
        sides, _ = stable_split(
            classes, _keys("k", 2 * count), validation_split=share, seed=seed
        )
        assert set(sides[:count]) == set(sides[count:]) == {True, False}


def test_a_class_of_one_image_is_trained_on():
    for seed in range(20):
        sides, _ = stable_split(["a"], ["k"], validation_split=0.5, seed=seed)
        assert sides == [False]


def test_copies_are_never_on_both_sides():
    rng = random.Random(0)
    for seed in range(50):
        classes = [rng.choice("abc") for _ in range(30)]
        keys = [rng.choice(string.ascii_letters) for _ in range(30)]
        sides, _ = stable_split(classes, keys, validation_split=0.1, seed=seed)
        side_of = dict(zip(keys, sides, strict=True))
        assert sides == [side_of[key] for key in keys]


@pytest.mark.parametrize("memory", [True, False])
def test_adding_files_never_moves_one(tmp_path, memory):
    # Small classes, copies across classes, and new classes, many times over.
    for seed in range(100):
        rng = random.Random(seed)
        path = tmp_path / f"{seed}.json" if memory else None
        classes, keys, known = [], [], {}
        for _ in range(12):
            for _ in range(rng.randint(1, 3)):
                classes.append(rng.choice("abcd"))
                keys.append(f"k{rng.randint(0, 40)}")
            sides, _ = remembered_split(
                classes, keys, validation_split=0.2, seed=seed, path=path
            )
            now = dict(zip(keys, sides, strict=True))
            assert {key: now[key] for key in known} == known
            known = now
            if memory:
                homes = {k: set() for k in keys}
                for name, key in zip(classes, keys, strict=True):
                    homes[key].add(name)
                for name in set(classes):
                    own = {k for k in keys if homes[k] == {name}}
                    if len(own) >= 2:
                        members = {k for k in keys if name in homes[k]}
                        assert {now[k] for k in members} == {True, False}


def test_nothing_is_written_where_the_hash_suffices(tmp_path):
    path = tmp_path / "split.json"
    keys = _keys("k", 200)
    remembered_split(
        ["a", "b"] * 100, keys, validation_split=0.2, seed=0, path=path
    )
    assert list(tmp_path.iterdir()) == []


def test_one_file_remembers_several_splits(tmp_path):
    path = tmp_path / "split.json"
    classes, keys = ["a", "a", "b", "b"], _keys("k", 4)

    def split(share, seed):
        return remembered_split(
            classes, keys, validation_split=share, seed=seed, path=path
        )[0]

    first = {(s, n): split(s, n) for s in (0.01, 0.99) for n in (0, 1)}
    assert len(json.loads(path.read_text())["in_validation"]) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["split.json"]
    assert first == {(s, n): split(s, n) for s, n in first}


def test_corrections_that_cannot_be_remembered_are_not_made(tmp_path):
    path = tmp_path / "no such folder" / "split.json"
    arguments = dict(
        classes=["a"] * 3, keys=_keys("k", 3), validation_split=0.001, seed=0
    )
    with pytest.raises(FileNotFoundError):
        remembered_split(**arguments, path=path)
    sides = remembered_split(**arguments, path=path, must_write=False)
    assert sides == ([False] * 3, False)


def test_damaged_memory_is_refused(tmp_path):
    path = tmp_path / "split.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="damaged") as caught:
        remembered_split(["a"], ["k"], validation_split=0.2, seed=0, path=path)
    assert str(caught.value).endswith(f"split_file={path}")


def test_content_key_follows_bytes_and_not_names(tmp_path):
    for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (content_key(tmp_path / name) for name in "abc")
    assert a == b != c


def _components(keys, links):
    """What belongs together, by following links again and again."""
    sets = [{f"key {k}", *ls} for k, ls in zip(keys, links, strict=True)]
    for _ in sets:
        sets = [set().union(*(t for t in sets if t & s)) for s in sets]
    return sets


def test_merged_keys_are_those_of_what_belongs_together():
    rng = random.Random(0)
    for _ in range(50):
        keys = [f"k{rng.randrange(12)}" for _ in range(20)]
        links = [
            [f"l{rng.randrange(15)}" for _ in range(rng.randrange(3))]
            for _ in keys
        ]
        pinned = {f"k{rng.randrange(12)}" for _ in range(2)}
        expected = []
        for members in _components(keys, links):
            its_keys = {m[4:] for m in members if m.startswith("key ")}
            expected.append(min(its_keys & pinned or its_keys))
        assert merge_keys(keys, links, pinned) == expected


def test_links_leave_what_is_alone_where_it_was(tmp_path):
    classes, keys = ["a", "b"] * 100, _keys("k", 200)
    options = dict(validation_split=0.3, seed=0, path=None)
    plain, _ = remembered_split(classes, keys, **options)
    links = [[f"content {key}"] for key in keys]
    assert remembered_split(classes, keys, links=links, **options)[0] == plain
    for i in range(40, 60):
        links[i].append("group")
    linked, _ = remembered_split(classes, keys, links=links, **options)
    assert len(set(linked[40:60])) == 1
    assert linked[:40] + linked[60:] == plain[:40] + plain[60:]


def test_pinned_files_keep_their_side_when_they_get_a_group(tmp_path):
    path = tmp_path / "split.json"
    options = dict(validation_split=0.001, seed=0, path=path)
    classes, keys = ["a"] * 3 + ["b"] * 3, _keys("k", 6)
    before, written = remembered_split(classes, keys, **options)
    assert written and sum(before) == 2
    # A new file, whose key is less than all others, is a copy of one of them.
    pinned = before.index(True)
    links = [[] for _ in range(7)]
    links[pinned], links[6] = ["group"], ["group"]
    after, _ = remembered_split(
        [*classes, classes[pinned]], [*keys, "a"], links=links, **options
    )
    assert after[:6] == before and after[6]

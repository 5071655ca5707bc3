"""Splits files into training and validation, for good.

What is promised, and why it is just this. Three things are wanted: a file
never changes sides when files are added; every class is on both sides; and
nothing is stored. Only two can be had: without a memory, a file that never
moves must find its side from its own key alone, and then all the files of a
small class may fall on one side. So:

- A file goes to validation where the seeded hash of its key (its content, as
  a rule) falls below `validation_split`. This is done class by class with
  one threshold, so the expected share is the same in every class; the actual
  share of a class of `n` files differs from it by chance, with a standard
  deviation of `sqrt(split * (1 - split) / n)`. Exact shares would need a
  memory of every file.
- Files of equal keys are on the same side, in whatever classes they are.
- Files of one group, where groups are given, share a key: one that is pinned
  if there is one, else the least of their keys. So a file in no group, or in
  one of its own, stays where it was. What joins a group later may move to the
  group's side, or the whole group to another, unless it is pinned.
- Only a class that the hash leaves wholly on one side is corrected: the file
  whose hash is nearest to the threshold changes sides, or, in a class of one
  file, the file goes to training. The sides of all files of such a class are
  then pinned: written to a small JSON file and never changed again.
"""

import collections
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence


def content_key(path: str | os.PathLike) -> str:
    """Names a file by its bytes, so that copies have the same key."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_fraction(key: str, seed: int) -> float:
    """Maps a key to a number in [0, 1), spread evenly over keys and seeds."""
    data = f"{seed}:{key}".encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(data, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def stable_split(
    classes: Sequence[str],
    keys: Sequence[str],
    *,
    validation_split: float,
    seed: int,
    pins: Mapping[str, bool] | None = None,
    correct: bool = True,
) -> tuple[list[bool], dict[str, bool]]:
    """Decides for each file whether it is for validation.

    Passing the returned pins to the next call is what keeps every file on
    its side when files were added in between. A class with two keys that no
    other class has is then on both sides.

    Args:
        classes: The class of each file.
        keys: The key of each file. Files of equal keys stay together.
        validation_split: Float in (0, 1), the share for validation.
        seed: Integer that decides which files these are.
        pins: Sides decided earlier: `True` for validation. Defaults to none.
        correct: Whether to correct classes that are on one side only.
            Defaults to `True`.

    Returns:
        Tuple `(in_validation, pins)`: a list of booleans, one a file, and
        the pins to keep, which contain those passed.
    """
    pins = dict(pins or {})
    fractions = {key: hash_fraction(key, seed) for key in set(keys)}
    sides = {
        key: pins.get(key, fraction < validation_split)
        for key, fraction in fractions.items()
    }
    if correct:
        groups = collections.defaultdict(set)
        for name, key in zip(classes, keys, strict=True):
            groups[name].add(key)
        homes = collections.Counter(itertools.chain(*groups.values()))
        # A key shared with another class must stay: that class may have had
        # it on its side for long.
        movable = {k for k in sides if homes[k] == 1 and k not in pins}
        for group in groups.values():
            if len({sides[key] for key in group}) == 2:
                continue
            candidates = sorted(
                group & movable,
                key=lambda k: (abs(fractions[k] - validation_split), k),
            )
            if candidates:
                alone = len(group) == 1
                moved = candidates[0]
                sides[moved] = False if alone else not sides[moved]
            pins.update((key, sides[key]) for key in group)
    return [sides[key] for key in keys], pins


def merge_keys(
    keys: Sequence[str],
    links: Sequence[Iterable[str]],
    pinned: Collection[str] = (),
) -> list[str]:
    """Gives files that belong together the same key.

    Args:
        keys: The key of each file.
        links: The names of what each file shares with others: two files with
            a common name, or of equal keys, belong together.
        pinned: Keys that are preferred.

    Returns:
        For each file the least key, of those pinned if there are some, of all
        files that it belongs together with, over others too.
    """
    leader = {}

    def find(node):
        root = node
        while leader.setdefault(root, root) != root:
            root = leader[root]
        while leader[node] != root:
            leader[node], node = root, leader[node]
        return root

    for key, names in zip(keys, links, strict=True):
        for name in names:
            leader[find(("key", key))] = find(("link", name))
    best = {}
    for key in set(keys):
        root = find(("key", key))
        rank = key not in pinned, key
        best[root] = min(best.get(root, rank), rank)
    return [best[find(("key", key))][1] for key in keys]


def remembered_split(
    classes: Sequence[str],
    keys: Sequence[str],
    *,
    validation_split: float,
    seed: int,
    path: str | os.PathLike | None,
    must_write: bool = True,
    links: Sequence[Iterable[str]] | None = None,
) -> tuple[list[bool], bool]:
    """Splits with the pins in a JSON file, and adds new ones to it.

    Args:
        classes: The class of each file.
        keys: The key of each file.
        validation_split: Float in (0, 1), the share for validation.
        seed: Integer that decides which files these are.
        path: The JSON file, created when first needed. If `None`, the hash
            decides alone and no class is corrected.
        must_write: Whether to raise if the file cannot be written. If
            `False`, new corrections, which would be forgotten, are not made.
            Defaults to `True`.
        links: As for `merge_keys`. Defaults to `None`: keys alone decide.

    Returns:
        Tuple `(in_validation, written)`: a list of booleans, one a file, and
        whether pins were added to the JSON file.
    """
    saved = {} if path is None else _read_pins(path)
    name = f"validation_split={float(validation_split)} seed={seed}"
    pins = saved.get(name, {})
    if links:
        keys = merge_keys(keys, links, pins)
    split = functools.partial(
        stable_split,
        classes,
        keys,
        validation_split=validation_split,
        seed=seed,
    )
    if path is None:
        return split(correct=False)[0], False
    in_validation, new_pins = split(pins=pins)
    if new_pins != pins:
        try:
            _write_pins(path, {**saved, name: new_pins})
        except OSError:
            if must_write:
                raise
            return split(pins=pins, correct=False)[0], False
    return in_validation, new_pins != pins


def _read_pins(path: str | os.PathLike) -> dict[str, dict[str, bool]]:
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file)["in_validation"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "The file that remembers the split is damaged. Restore it, or "
            "delete it if some files may change sides. "
            f"Received: split_file={os.fspath(path)}"
        ) from error


def _write_pins(
    path: str | os.PathLike, pins: dict[str, dict[str, bool]]
) -> None:
    partial = f"{os.fspath(path)}.{os.getpid()}"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump({"in_validation": pins}, file, indent=1, sort_keys=True)
    os.replace(partial, path)

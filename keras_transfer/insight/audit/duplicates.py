"""Which pictures are copies of others, or parts of them."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from keras_transfer.data.image_decoding import (
    WORKERS,
    UnreadableImageError,
    read_image,
)
from keras_transfer.insight.audit.picture_table import PictureTable
from keras_transfer.insight.audit.same_picture import differ, find_part

# How many bits may differ, by the side of the hash. Of 16 x 16 bits, copies of
# drawings mostly differ in fewer than 20 and others in about 128; where a
# picture has no detail those bits are noise, and 8 x 8 tell.
_MOST_BITS = {8: 10, 16: 64}
_BLOCK = 1024

# A copy is below 1 by far; recoloured drawings begin at 2.
_MOST_DIFFERENCE = 1.8
_MOST_DIFFERENCE_OF_PARTS = 2.0

# Where pictures are cut out of others, their features remain neighbours.
_NEIGHBOURS, _LEAST_COSINE = 4, 0.6


@dataclasses.dataclass(frozen=True, eq=False)
class DuplicateGroups:
    """Which group each row of a `PictureTable` belongs to, in three senses.

    Each is an array of group numbers, one for each row. A row without a
    duplicate is a group of its own. Groups of `exact` lie within those of
    `near`, and these within those of `cropped`.

    Attributes:
        exact: Groups of pictures with the same pixels.
        near: Groups of one picture in several encodings and sizes, too.
        cropped: Groups of pictures and what was cut out of them, too.
    """

    exact: np.ndarray
    near: np.ndarray
    cropped: np.ndarray


def group_duplicates(
    table: PictureTable, features: np.ndarray | None = None
) -> DuplicateGroups:
    """Group pictures with their copies and parts.

    Copies are found by a perceptual hash of the low frequencies (pHash of
    ImageHash) and then compared place by place. Parts are looked for among the
    pictures with the most similar features.

    Args:
        table: The pictures.
        features: Features of the table's readable rows. Without them no parts
            are looked for.

    Raises:
        ImportError: If ImageHash is not installed.
    """
    rows = table.readable
    exact = _find_copies(table, rows)
    groups = _connect(len(table), exact)
    # One of each group of equal pictures; what has no contrast is equal to
    # too much.
    _, first = np.unique(groups[rows], return_index=True)
    has_contrast = table.pictures[rows].std(axis=(1, 2, 3)) > 2
    chosen = np.array([i for i in np.sort(first) if has_contrast[i]], int)
    some = rows[chosen]
    near = exact + _find_near(table, some)
    near_groups = _connect(len(table), near)
    parts = []
    if features is not None:
        parts = _find_parts(table, some, features[chosen], near_groups)
    cropped_groups = _connect(len(table), near + parts)
    return DuplicateGroups(groups, near_groups, cropped_groups)


def _connect(count, pairs) -> np.ndarray:
    first, second = np.array(pairs, int).reshape(-1, 2).T
    links = coo_array((np.ones(len(first)), (first, second)), (count, count))
    return connected_components(links, directed=False)[1]


def _find_copies(table, rows) -> list[tuple[int, int]]:
    first_with, pairs = {}, []
    for row in rows.tolist():
        first = first_with.setdefault(table.digests[row], row)
        if first != row:
            pairs.append((first, row))
    if not table.has_files:
        return pairs
    # The same pixels in other bytes: other metadata, another lossless format.
    looks = {}
    for row in first_with.values():
        look = (*table.sizes[row].tolist(), table.pictures[row].tobytes())
        first = looks.setdefault(look, row)
        if first != row and _have_same_pixels(table, first, row):
            pairs.append((first, row))
    return pairs


def _have_same_pixels(table, first, second) -> bool:
    size = tuple(table.sizes[first][::-1].tolist())
    try:
        a, b = (read_image(table.paths[row], size) for row in (first, second))
    except UnreadableImageError:
        return False
    return np.array_equal(a, b)


def _find_near(table, rows) -> list[tuple[int, int]]:
    candidates = set()
    for side, most in _MOST_BITS.items():
        candidates |= _list_similar(_hash(table.pictures[rows], side), most)
    return [
        (int(rows[i]), int(rows[j]))
        for i, j in sorted(candidates)
        if differ(
            table.pictures[rows[i]],
            table.pictures[rows[j]],
            int(table.sizes[rows[[i, j]]].min()),
        )
        < _MOST_DIFFERENCE
    ]


def _hash(pictures, side) -> np.ndarray:
    """Return the bits of each picture's perceptual hash, as 1 and -1."""
    imagehash = import_imagehash()

    def hash_one(picture):
        image = Image.fromarray(picture)
        return imagehash.phash(image, hash_size=side).hash.ravel()

    with ThreadPoolExecutor(WORKERS) as pool:
        bits = list(pool.map(hash_one, pictures))
    return 2 * np.array(bits, "float32").reshape(-1, side**2) - 1


def _list_similar(hashes, most) -> set[tuple[int, int]]:
    """List the pairs of hashes that differ in so many bits at most."""
    found = set()
    for start in range(0, len(hashes), _BLOCK):
        # The product is the number of equal bits less that of different ones.
        agreement = hashes[start : start + _BLOCK] @ hashes[start:].T
        pairs = np.argwhere(agreement >= hashes.shape[1] - 2 * most)
        pairs = pairs[pairs[:, 0] < pairs[:, 1]] + start
        found.update(map(tuple, pairs.tolist()))
    return found


def import_imagehash():
    """Import ImageHash.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import imagehash
    except ImportError as error:
        raise ImportError(
            "Duplicates are found by the hashes of ImageHash, which does not "
            f'import ({error}). Run `pip install "keras-transfer[audit]"`.',
            name="imagehash",
        ) from error
    return imagehash


def _find_parts(table, rows, features, groups) -> list[tuple[int, int]]:
    pairs = _list_neighbours(features)
    pairs = [
        (rows[i], rows[j])
        for i, j in pairs
        if groups[rows[i]] != groups[rows[j]]
    ]

    def is_part(pair):
        # Which is the whole may not be told by the sizes.
        return any(
            find_part(
                table.pictures[whole],
                table.pictures[part],
                table.sizes[whole],
                table.sizes[part],
            )
            < _MOST_DIFFERENCE_OF_PARTS
            for whole, part in (pair, pair[::-1])
        )

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(is_part, pairs))
    return [
        (int(i), int(j))
        for (i, j), yes in zip(pairs, found, strict=True)
        if yes
    ]


def _list_neighbours(features) -> list[tuple[int, int]]:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(norms, 1e-9)
    count = min(_NEIGHBOURS, len(unit) - 1)
    if count < 1:
        return []
    found = set()
    for start in range(0, len(unit), _BLOCK):
        cosines = unit[start : start + _BLOCK] @ unit.T
        own = np.arange(len(cosines))
        cosines[own, own + start] = -1
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        for i, near in enumerate(nearest):
            for j in near[cosines[i, near] >= _LEAST_COSINE].tolist():
                found.add((min(i + start, j), max(i + start, j)))
    return sorted(found)

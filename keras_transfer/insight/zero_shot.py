"""What a pretrained classifier's old head says of new classes."""

from collections.abc import Mapping, Sequence

import numpy as np


def map_classes(
    names: Sequence[str],
    source_names: Sequence[str] | None,
    outputs: int,
    class_map: Mapping | None = None,
) -> dict[int, list[int]]:
    """Find which classes of the source mean a class of the data.

    Args:
        names: The names of the data's classes.
        source_names: Those of the source's, or `None` if it has none.
        outputs: How many classes the source tells apart.
        class_map: As for `baseline`. Without it, equal names are the same,
            whatever the case, with `_` and `-` for spaces.

    Returns:
        By the number of a class of the data those of the source; classes that
        none fits are left out.

    Raises:
        ValueError: If the map names what does not exist.
    """
    places = {_fold(n): i for i, n in enumerate(source_names or ())}
    if class_map is None:
        class_map = {n: n for n in names if _fold(n) in places}
    mapped = {}
    for name, meaning in class_map.items():
        if name not in names:
            raise ValueError(
                "`class_map` must map class names of the data. "
                f"Received: class_map={class_map}, and the classes {names}"
            )
        several = isinstance(meaning, list | tuple | set | np.ndarray)
        numbers = [
            places.get(_fold(one)) if isinstance(one, str) else int(one)
            for one in (meaning if several else [meaning])
        ]
        if any(n is None or not 0 <= n < outputs for n in numbers):
            raise ValueError(
                f"`class_map` must map to names of the source's classes, or "
                f"numbers below {outputs}. Received: {name!r}: {meaning!r}"
            )
        mapped[names.index(name)] = numbers
    return mapped


def answer_zero_shot(
    probabilities: np.ndarray, mapped: Mapping[int, Sequence[int]]
) -> np.ndarray:
    """Answer by the summed probability of what means each class.

    Args:
        probabilities: What the source says, `(examples, outputs)`.
        mapped: From `map_classes`, not empty.

    Returns:
        A class for each example, of those that are mapped.
    """
    sums = [
        probabilities[:, numbers].sum(axis=1) for numbers in mapped.values()
    ]
    return np.array(list(mapped))[np.argmax(sums, axis=0)]


def _fold(name) -> str:
    return str(name).replace("_", " ").replace("-", " ").casefold().strip()

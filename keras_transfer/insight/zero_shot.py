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


def judge_zero_shot(
    probabilities: np.ndarray,
    labels: np.ndarray,
    mapped: Mapping[int, Sequence[int]],
) -> np.ndarray | None:
    """Tell which answers are right, by what means each class.

    The answer is the class with the highest summed probability of what means
    it.

    Args:
        probabilities: What the source says, `(examples, outputs)`.
        labels: The classes of the examples.
        mapped: From `map_classes`.

    Returns:
        1, 0, or NaN for an example of a class that is not mapped; `None`
        where fewer than two are.
    """
    if len(mapped) < 2:
        return None
    sums = [probabilities[:, n].sum(axis=1) for n in mapped.values()]
    answers = np.array(list(mapped))[np.argmax(sums, axis=0)]
    right = (answers == labels).astype("float64")
    right[~np.isin(labels, list(mapped))] = np.nan
    return right


def _fold(name) -> str:
    return str(name).replace("_", " ").replace("-", " ").casefold().strip()

"""New data with some of the old in each batch."""

import numbers
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_transfer.data.example_order import ExampleOrder
from keras_transfer.forgetting.numbered_examples import (
    check_same_spec,
    join_orders,
    number_examples,
)
from keras_transfer.forgetting.rehearsal_batches import count_old, mix_numbers

_BATCH_SIZE = 32


def rehearse(
    new: tf.data.Dataset | tuple,
    old: tf.data.Dataset | tuple,
    ratio: float = 0.5,
    *,
    memory: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Mix old examples into new data, so that a model does not forget them.

    Each batch has the same share of old examples (Robins 1995, "Catastrophic
    forgetting, rehearsal and pseudorehearsal"; Chaudhry et al. 2019, "On tiny
    episodic memories in continual learning", arXiv:1902.10486). A few of each
    class, over and over again, do much of what all would do.

    An epoch is one pass over the new data: each new example comes once. Old
    ones are drawn without replacement; when all were used they are shuffled
    and drawn again, across epochs. Both come in a new order in each epoch,
    which only the seed and the number of the epoch decide.

    Example:

    ```python
    train = kt.rehearse(new_train, old_train, ratio=0.25, seed=0)
    kt.fine_tune(model, train, validation)
    ```

    Args:
        new: A finite `tf.data.Dataset` of batches `(x, y)` or
            `(x, y, sample_weight)`, or such a tuple of arrays. Data sets of
            `load_image_folder` are read as they are needed. Others are read
            once, into memory.
        old: The same for the old task, with examples of the same shapes and
            dtypes; or what `choose_memory` returns.
        ratio: Float in (0, 1), the share of old examples:
            `round(ratio * batch_size)` of each batch are old. Defaults to
            0.5.
        memory: How many of the old examples to use at most, drawn at random
            once. `choose_memory` chooses better. Defaults to `None`: all.
        batch_size: Examples a batch, new and old. The last batch of an epoch
            may be smaller. Defaults to `None`: that of `new`, or 32.
        seed: Seed of the order and of `memory`, an integer of 0 or more.
            Defaults to 0.

    Returns:
        A `tf.data.Dataset` for `fit`, with the `class_names` of the data. It
        knows its length, and the order of its examples, so that `fine_tune`
        and `cache_features` can cache it.

    Raises:
        ValueError: If an argument is not as described, a batch would have no
            new or no old examples, or the two do not fit each other.
    """
    _require(
        isinstance(ratio, numbers.Real) and 0 < ratio < 1,
        "a number between 0 and 1",
        ratio=ratio,
    )
    _require(_is_whole(seed, 0), "an integer of 0 or more", seed=seed)
    for name, value in {"memory": memory, "batch_size": batch_size}.items():
        _require(
            value is None or _is_whole(value, 1),
            "an integer of 1 or more",
            **{name: value},
        )
    names = _find_names(new, old)
    batch_size = batch_size or _find_batch_size(new)
    old_each = count_old(ratio, batch_size)
    if not 0 < old_each < batch_size:
        raise ValueError(
            f"A batch must have new and old examples, and {old_each} of "
            f"{batch_size} would be old: change `ratio` or `batch_size`. "
            f"Received: ratio={ratio}, batch_size={batch_size}"
        )
    sources = number_examples(new, "new"), number_examples(old, "old")
    check_same_spec(*sources)
    new_order, old_order = (source.example_order for source in sources)
    if memory is not None:
        old_order = _keep_some(old_order, memory, seed)
    counts = len(new_order.numbers), len(old_order.numbers)
    batches = mix_numbers(*counts, ratio, batch_size, seed)
    dataset = join_orders(new_order, old_order, batches).make_dataset()
    dataset._sources = sources  # keeps what they hold
    if names is not None:
        dataset.class_names = names
    return dataset


def _is_whole(value, least) -> bool:
    return isinstance(value, numbers.Integral) and value >= least


def _require(valid, rule, **argument) -> None:
    if not valid:
        [(name, value)] = argument.items()
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def _find_names(new, old) -> Sequence | None:
    found = [getattr(data, "class_names", None) for data in (new, old)]
    known = [list(names) for names in found if names is not None]
    if len(known) == 2 and known[0] != known[1]:
        raise ValueError(
            "`new` and `old` must have the same classes in the same order, as "
            "labels are their numbers. "
            f"Received: new with {known[0]}, old with {known[1]}"
        )
    return known[0] if known else None


def _find_batch_size(new) -> int:
    if isinstance(new, tf.data.Dataset):
        order = getattr(new, "example_order", None)
        batches = new if order is None else order.batches
        # Asking for a batch would count as an epoch.
        while batches is not None:
            size = getattr(batches, "_batch_size", None)
            if size is not None:
                return int(size)
            batches = getattr(batches, "_input_dataset", None)
    return _BATCH_SIZE


def _keep_some(order, memory, seed) -> ExampleOrder:
    count = len(order.numbers)
    if memory >= count:
        return order
    random = np.random.default_rng([seed, 2])
    kept = np.sort(random.choice(count, memory, replace=False))
    digest = order.digest and (lambda: order.digest()[kept])
    is_array = isinstance(order.labels, np.ndarray)
    return ExampleOrder(
        order.batches,
        order.numbers[kept],
        order.fetch,
        digest,
        order.labels[kept] if is_array else None,
    )

"""Opens an engine: from its kept form, or from a new one that is kept."""

import contextlib
import os
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from keras_transfer.caching.engines import (
    litert_engine,
    openvino_engine,
    tensorflow_engine,
)
from keras_transfer.caching.engines.comparison import (
    LIMITS,
    measure_difference,
)
from keras_transfer.caching.engines.flat_function import trace_flat
from keras_transfer.caching.engines.kept_file import keep_file, read_kept
from keras_transfer.caching.engines.kept_forms import keep_form, read_form

ENGINES = {
    "openvino": openvino_engine,
    "tensorflow": tensorflow_engine,
    "litert": litert_engine,
}


def open_engine(
    name: str,
    function: Callable[..., dict],
    batch,
    sample,
    expected: dict[str, tf.Tensor],
    precision: str,
    key: str | None = None,
    folder: str | os.PathLike | None = None,
) -> tuple[Callable[..., dict], float]:
    """Make a function for an engine and see how much it differs.

    A kept form that is damaged, cannot be loaded or differs is made anew.

    Args:
        name: A key of `ENGINES`.
        function: From a batch of inputs to a dictionary of tensors.
        batch: Inputs, which tell structure, dtypes and shapes.
        sample: A few examples of them.
        expected: What the function gives for these.
        precision: A key of `LIMITS`.
        key: By what the converted form is kept in this process, if it is.
        folder: Where it is kept instead.

    Returns:
        A function as the given one, and its difference on the sample.

    Raises:
        ImportError: If the library of the engine is not installed.
    """
    module = ENGINES[name]
    file = f"{name}-{precision}-{module.get_version()}.engine"
    keep, read = (keep_file, read_kept) if folder else (keep_form, read_form)
    place = folder or key
    path = place and os.path.join(place, file)

    def load(converted):
        compute = module.load(converted, precision)

        def run(inputs):
            flat = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
            parts = [compute(part) for part in _split(flat, module.AT_ONCE)]
            tensors = [tf.concat(part, 0) for part in zip(*parts, strict=True)]
            return dict(zip(expected, tensors, strict=True))

        return run, measure_difference(run(sample), expected, precision)

    kept = path and read(path)
    if kept:
        with contextlib.suppress(Exception):
            run, difference = load(kept)
            if difference <= LIMITS[precision]:
                return run, difference
    converted = module.convert(trace_flat(function, batch, list(expected)))
    run, difference = load(converted)
    if path and difference <= LIMITS[precision]:
        keep(path, converted)
    return run, difference


def _split(tensors, size) -> Iterator[list]:
    """Split a batch into parts that stay in the processor's cache."""
    count = len(tensors[0])
    for start in range(0, max(count, 1), size or max(count, 1)):
        yield [tensor[start : start + (size or count)] for tensor in tensors]

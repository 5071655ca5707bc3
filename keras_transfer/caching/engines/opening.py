"""Opens an engine: from its kept form, or from a new one that is kept."""

import contextlib
import os
from collections.abc import Callable

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
    folder: str | os.PathLike | None,
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
        folder: Where the converted form is kept, if it is.

    Returns:
        A function as the given one, and its difference on the sample.

    Raises:
        ImportError: If the library of the engine is not installed.
    """
    module = ENGINES[name]
    file = f"{name}-{precision}-{module.get_version()}.engine"
    path = os.path.join(folder or "", file)

    def load(converted):
        compute = module.load(converted, precision)

        def run(inputs):
            flat = keras.tree.flatten(inputs)
            found = compute([tf.convert_to_tensor(x) for x in flat])
            tensors = [tf.convert_to_tensor(tensor) for tensor in found]
            return dict(zip(expected, tensors, strict=True))

        return run, measure_difference(run(sample), expected, precision)

    kept = read_kept(path) if folder else None
    if kept is not None:
        with contextlib.suppress(Exception):
            run, difference = load(kept)
            if difference <= LIMITS[precision]:
                return run, difference
    converted = module.convert(trace_flat(function, batch, list(expected)))
    run, difference = load(converted)
    if folder and difference <= LIMITS[precision]:
        keep_file(path, converted)
    return run, difference

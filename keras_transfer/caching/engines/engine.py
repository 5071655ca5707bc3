"""The fastest way to run a frozen prefix that gives the right answers."""

import os
import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_transfer.caching.engines.comparison import LIMITS
from keras_transfer.caching.engines.opening import ENGINES, open_engine
from keras_transfer.freezing.quiet_function import quiet_function

_AUTO = ("openvino", "tensorflow")
_CHECKED = 4


def make_engine(
    function: Callable[..., dict],
    batch,
    *,
    engine: str = "auto",
    precision: str = "float32",
    key: str | None = None,
    folder: str | os.PathLike | None = None,
) -> Callable[..., dict]:
    """Make a fast function of one that always gives the same.

    Its answers for the first examples of a batch are compared with those of
    the given function. In float32, each tensor may differ by 1e-5 of its
    largest magnitude; in bfloat16, its cosine must be above 0.99.

    Args:
        function: From a batch of inputs to a dictionary of tensors, without
            side effects. What it reads, such as weights, must not change.
        batch: Real inputs: a tensor, or a structure of tensors. Their first
            dimension counts the examples.
        engine: "openvino", "tensorflow" or "litert". "auto" takes the first
            of the first two that works. All are made for the CPU.
        precision: "float32", or with "openvino" also "bfloat16".
        key: A name for the function with its weights, to keep the converted
            form for the next time in this process.
        folder: Where to keep it instead. A folder is for one such function.

    Returns:
        A function that takes and gives what the given one does. It is to be
        called eagerly, from one thread. Where the engine does not serve, and
        for examples of another shape, it runs TensorFlow as it is.

    Raises:
        ValueError: If engine or precision are none of these.
        ImportError: If the library of the named engine is not installed.
    """
    _check_arguments(engine, precision)
    plain = quiet_function(function)
    if not _are_dense(batch):
        if engine != "auto":
            _warn(engine, "takes tensors of examples, none ragged or sparse")
        return plain
    # Eagerly: for so few examples, that is quicker than to trace.
    sample = keras.tree.map_structure(lambda x: x[:_CHECKED], batch)
    expected = function(sample)
    for name in _AUTO if engine == "auto" else (engine,):
        try:
            run, difference = open_engine(
                name,
                function,
                batch,
                sample,
                expected,
                precision,
                key,
                folder,
            )
        except Exception as error:
            if engine == "auto":
                continue
            if isinstance(error, ImportError):
                raise
            _warn(name, f"cannot run this model ({_shorten(error)})")
            return plain
        if difference > LIMITS[precision]:
            _warn(
                name,
                f"differs from TensorFlow by {difference:.1e}, where "
                f"{LIMITS[precision]:.0e} is allowed",
            )
            return plain
        return _guard(run, plain, batch)
    return plain


def _check_arguments(engine, precision) -> None:
    if engine not in ("auto", *ENGINES):
        names = ", ".join(f'"{name}"' for name in ("auto", *ENGINES))
        raise ValueError(
            f"`engine` must be one of {names}. Received: engine={engine!r}"
        )
    if precision not in LIMITS:
        names = " or ".join(f'"{name}"' for name in LIMITS)
        raise ValueError(
            f"`precision` must be {names}. Received: precision={precision!r}"
        )
    if precision != "float32" and engine != "openvino":
        raise ValueError(
            'Only `engine="openvino"` computes in another precision than '
            f'"float32". Received: engine={engine!r}, precision={precision!r}'
        )


def _are_dense(inputs) -> bool:
    return not any(
        isinstance(x, tf.__internal__.CompositeTensor) or not x.shape
        for x in keras.tree.flatten(inputs)
    )


def _guard(run, plain, batch) -> Callable[..., dict]:
    """Leave to TensorFlow what the engine was not made for."""

    def describe(inputs):
        tensors = keras.tree.flatten(inputs)
        return [(tuple(x.shape[1:]), tf.as_dtype(x.dtype)) for x in tensors]

    known = describe(batch)
    return lambda inputs: (run if describe(inputs) == known else plain)(inputs)


def _shorten(error) -> str:
    text = f"{type(error).__name__}: {error}"
    return f"{' '.join(text.split())[:200]}"


def _warn(name, reason) -> None:
    warnings.warn(
        f"`{name}` {reason}: TensorFlow runs the model as it is.",
        stacklevel=3,
    )

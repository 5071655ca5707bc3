"""Note where every source of random numbers stands, and go back there."""

import random

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context
from tensorflow.python.ops import stateful_random_ops

_SOURCES = ("python", "numpy", "keras", "tensorflow", "tensorflow_generator")


def capture_random_state() -> dict:
    """Note where every global source of random numbers stands.

    These are Python's `random`, NumPy's global generator, Keras's global
    seed generator and seed, TensorFlow's global seed with the seeds that it
    deals out to eager operations, and `tf.random.get_global_generator()`.
    Layers with seed generators of their own, such as dropout, keep them among
    their variables: those belong to the model's state, not to this one.

    What TensorFlow does not show cannot be noted: without a seed
    (`keras.utils.set_random_seed`) its own stateful operations, such as
    `tf.random.normal`, differ from run to run anyway; with one, an operation
    with an `op seed` of its own counts its calls in secret.

    Example:

    ```python
    state = capture_random_state()
    first = keras.random.normal((2,))
    restore_random_state(state)
    again = keras.random.normal((2,))  # the same numbers
    ```

    Returns:
        A dictionary of lists, integers, strings and `None`, fit for
        `json.dump`. It holds in another process, too.
    """
    return {
        "python": _encode_python(random.getstate()),
        "numpy": _encode(np.random.get_state(legacy=False)),
        "keras": {
            "seed": global_state.get_global_attribute(GLOBAL_RANDOM_SEED),
            "generator": _integers(_keras_generator_state()),
        },
        "tensorflow": _capture_tensorflow(),
        "tensorflow_generator": _capture_tensorflow_generator(),
    }


def restore_random_state(state: dict) -> None:
    """Put every global source of random numbers back where it was.

    Whatever is drawn from now on equals what was drawn after
    `capture_random_state`.

    Args:
        state: From `capture_random_state`, in this process or in another.

    Raises:
        ValueError: If the state is not one of `capture_random_state`.
    """
    if not isinstance(state, dict) or set(state) != set(_SOURCES):
        received = sorted(state) if isinstance(state, dict) else type(state)
        raise ValueError(
            "`state` must come from `capture_random_state`, with the keys "
            f"{list(_SOURCES)}. Received: state={received}"
        )
    _restore_tensorflow(state["tensorflow"])
    _restore_tensorflow_generator(state["tensorflow_generator"])
    _restore_keras(**state["keras"])
    np.random.set_state(_decode(state["numpy"]))
    random.setstate(_decode_python(state["python"]))


def _encode_python(state: tuple) -> list:
    version, words, gauss = state
    return [version, list(words), None if gauss is None else gauss.hex()]


def _decode_python(state: list) -> tuple:
    version, words, gauss = state
    return (
        version,
        tuple(words),
        None if gauss is None else float.fromhex(gauss),
    )


def _encode(value):
    """Write a state of NumPy's without arrays and floats."""
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "values": value.tolist()}
    # As text, a float keeps all its bits in every JSON library.
    return value.hex() if isinstance(value, float) else value


def _decode(value):
    if isinstance(value, dict):
        if set(value) == {"dtype", "values"}:
            return np.array(value["values"], value["dtype"])
        return {
            key: float.fromhex(item) if key == "gauss" else _decode(item)
            for key, item in value.items()
        }
    return value


def _integers(values) -> list[int] | None:
    if values is None:
        return None
    return [int(value) for value in keras.ops.convert_to_numpy(values)]


def _keras_generator_state():
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    return None if generator is None else generator.state


def _restore_keras(seed: int | None, generator: list[int] | None) -> None:
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    if generator is None:
        # Keras makes it when it is first needed, from Python's `random`.
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
        return
    variable = _keras_generator_state()
    if variable is None:
        made = keras.random.SeedGenerator(0, name=GLOBAL_SEED_GENERATOR)
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, made)
        variable = made.state
    # The same variable, as functions that were traced before hold on to it.
    variable.assign(generator)


def _capture_tensorflow() -> dict:
    seed = context.global_seed()
    generator = getattr(context.context(), "_rng", None)
    if seed is None or generator is None:
        return {"seed": None, "generator": None}
    return {
        "seed": int(np.asarray(seed)),
        "generator": _encode_python(generator.getstate()),
    }


def _restore_tensorflow(state: dict) -> None:
    # Setting the seed also makes operations forget how often they were
    # called: right where they were, too much where nothing was drawn.
    if _capture_tensorflow() == state:
        return
    tf.random.set_seed(state["seed"])
    if state["generator"] is not None:
        generator = context.context()._rng
        generator.setstate(_decode_python(state["generator"]))


def _capture_tensorflow_generator() -> dict | None:
    generator = stateful_random_ops.global_generator
    if generator is None:
        return None
    return {
        "algorithm": int(generator.algorithm),
        "state": _integers(generator.state),
    }


def _restore_tensorflow_generator(state: dict | None) -> None:
    if state is None:
        stateful_random_ops.global_generator = None
    elif _capture_tensorflow_generator() == state:
        return
    else:
        _set_tensorflow_generator(**state)


def _set_tensorflow_generator(algorithm: int, state: list[int]) -> None:
    generator = stateful_random_ops.global_generator
    if generator is not None and int(generator.algorithm) == algorithm:
        generator.reset(state)
        return
    generator = tf.random.Generator.from_state(state, algorithm)
    tf.random.set_global_generator(generator)

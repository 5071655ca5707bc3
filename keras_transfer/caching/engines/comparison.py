"""How much the answers of an engine differ from those of TensorFlow."""

import numpy as np
import tensorflow as tf

# The largest difference that is taken: in float32, of the largest magnitude
# of the tensor; in bfloat16, one minus the cosine. For the real weights of
# EfficientNet-Lite0 it is 3e-3.
LIMITS = {"float32": 1e-5, "bfloat16": 1e-2}


def measure_difference(
    found: dict[str, tf.Tensor], expected: dict[str, tf.Tensor], precision: str
) -> float:
    """Measure the largest difference between answers.

    Args:
        found: The answers of an engine.
        expected: Those of TensorFlow, with the same names.
        precision: "float32", to compare the values, or "bfloat16", to compare
            the directions.

    Returns:
        A number on the scale of `LIMITS`, which is infinite where shapes,
        dtypes, or values that are no floating-point numbers differ.
    """
    return max(
        _compare(found[name], expected[name], precision) for name in expected
    )


def _compare(found, expected, precision) -> float:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return np.inf
    is_floating = expected.dtype.is_floating
    found, expected = found.numpy(), expected.numpy()
    if not is_floating:
        return 0.0 if np.array_equal(found, expected) else np.inf
    found, expected = found.astype("float64"), expected.astype("float64")
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return np.inf
    found, expected = found[finite], expected[finite]
    if not np.isfinite(found).all():
        return np.inf
    if np.array_equal(found, expected):
        return 0.0
    if precision == "bfloat16":
        size = np.linalg.norm(found) * np.linalg.norm(expected)
        return float(1 - found @ expected / size) if size else np.inf
    scale = np.abs(expected).max()
    return float(np.abs(found - expected).max() / scale) if scale else np.inf

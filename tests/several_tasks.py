"""A tiny model for several tasks, and pictures for it."""

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.builders.multitask import build_multitask
from tests.networks import tiny_backbone

TASKS = {
    "colour": ["red", "green", "blue"],
    "dark": "binary",
    "shade": "regression",
    "tags": ("multi_label", ["left", "right"]),
}


def build(tasks=None, **options):
    """Build it, the same each time."""
    keras.utils.set_random_seed(0)
    return build_multitask(tiny_backbone(), tasks or TASKS, **options)


def examples(count=48, missing=0.4, seed=0):
    """Squares of three colours, and labels of all tasks, some missing."""
    rng = np.random.default_rng(seed)
    colours = np.arange(count) % 3
    shades = rng.uniform(0, 1, count)
    x = (40 + 120 * np.eye(3)[colours]) * (0.3 + 0.7 * shades[:, None])
    x = x[:, None, None] + rng.normal(0, 10, (count, 8, 8, 3))
    tags = rng.integers(0, 2, (count, 2))
    x[..., :4, :] += 60 * tags[:, 0, None, None, None]
    x[..., 4:, :] += 60 * tags[:, 1, None, None, None]

    def drop(labels, sign):
        return np.where(rng.uniform(size=labels.shape) < missing, sign, labels)

    return x.clip(0, 255).astype("uint8"), {
        "colour": drop(colours, -1),
        "dark": drop((shades < 0.5).astype("float32"), np.nan),
        "shade": drop(shades.astype("float32"), np.nan),
        "tags": drop(tags, -1),
    }


def dataset(*args, **options):
    """Return batches of 16 of the examples."""
    return tf.data.Dataset.from_tensor_slices(examples(*args, **options)).batch(
        16
    )

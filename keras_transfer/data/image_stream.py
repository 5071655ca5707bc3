"""Batches of images, from memory and from disk."""

import functools
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from keras_transfer.data import image_decoding
from keras_transfer.data.example_order import ExampleOrder


def stream_images(
    order: tf.data.Dataset,
    *,
    indices: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    paths: list[str],
    read: Callable[[str], np.ndarray],
    kept: np.ndarray,
    digests: np.ndarray,
    batch_size: int,
) -> tf.data.Dataset:
    """Turn indices into batches of images and labels.

    Args:
        order: Indices of images, in the order of each epoch.
        indices: The same in a fixed order.
        rows: For each image its row in `kept`; it is not there if the row is
            beyond the end.
        labels: For each image its class, `int32`.
        paths: For each image its file.
        read: Reads a file as `uint8` pixels `(height, width, 3)`.
        kept: Decoded images `(rows, height, width, 3)`, `uint8`.
        digests: For each image a digest of it and its class.
        batch_size: Images a batch; the last one may be smaller.

    Returns:
        A `tf.data.Dataset` of `float32` images in [0, 255] and labels.
    """
    image_shape = kept.shape[1:]
    fetch = functools.partial(
        _fetch,
        rows=rows,
        labels=labels,
        paths=paths,
        read=read,
        # TensorFlow never lets go of a function it was given: the dataset
        # holds the images, the function only knows where they are.
        kept=weakref.ref(kept),
    )

    def to_tensors(indices):
        images, numbers = tf.numpy_function(
            fetch, [indices], [tf.uint8, tf.int32]
        )
        images.set_shape((None, *image_shape))
        numbers.set_shape((None,))
        return tf.cast(images, "float32"), numbers

    batches = order.batch(batch_size)
    dataset = ExampleOrder(
        batches,
        indices,
        to_tensors,
        digest=lambda: digests[indices],
        labels=labels[indices],
    ).make_dataset()
    dataset._kept_images = kept
    return dataset


def _fetch(indices, rows, labels, paths, read, kept):
    """Take images from memory, and those that are not there from disk."""
    kept = kept()
    if kept is None:
        raise RuntimeError("The dataset that held these images is gone.")
    rows = rows[indices]
    if rows.max() < len(kept):
        return kept[rows], labels[indices]
    images = np.empty((len(rows), *kept.shape[1:]), "uint8")

    def fill(i):
        if rows[i] < len(kept):
            images[i] = kept[rows[i]]
            return
        path = paths[indices[i]]
        try:
            images[i] = read(path)
        except image_decoding.UnreadableImageError as error:
            raise RuntimeError(
                f"{path} could be read when loaded, but not now: {error}"
            ) from error

    with ThreadPoolExecutor(image_decoding.WORKERS) as pool:
        list(pool.map(fill, range(len(rows))))
    return images, labels[indices]

"""Data that a model has cached, in place of the data itself."""

import dataclasses

import keras
import tensorflow as tf

from keras_transfer.caching.cut import Cut
from keras_transfer.caching.feature_table import FeatureTable


@dataclasses.dataclass(frozen=True, eq=False)
class CachedData:
    """The features of one data set at the cut of a model.

    Attributes:
        data: The data set itself.
        weights: Digest of the prefix's weights that they were computed with.
        table: The `FeatureTable`.
        dataset: The table as a data set, in the order of `data`.
    """

    data: object
    weights: str
    table: FeatureTable
    dataset: tf.data.Dataset


def find_cached_data(cut: Cut, data) -> CachedData | None:
    """Return what a cut has cached of some data, if it is still right.

    Args:
        cut: A `Cut`.
        data: A data set.

    Returns:
        A `CachedData`, or `None` if the data is not cached, or the prefix has
        other weights now.
    """
    for cached in cut.cached:
        if cached.data is data and cached.weights == cut.digest_weights():
            return cached
    return None


def find_cached(model: keras.Model, data):
    """Return what a model should be given for some data.

    Args:
        model: A Keras model.
        data: A data set.

    Returns:
        The cached features, as a data set for the same model, if they are
        what the model would compute now; the data itself otherwise.
    """
    cut = getattr(model, "_cut", None)
    cached = cut and find_cached_data(cut, data)
    return cached.dataset if cached else data

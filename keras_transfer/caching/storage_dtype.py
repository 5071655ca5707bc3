"""In what precision features are kept."""

import keras
import tensorflow as tf

from keras_transfer.caching.no_cut_error import NoRoomError


def narrow(features, dtype: str):
    """Cast features to what they are kept in, where that is shorter.

    Args:
        features: A structure of tensors. Integers stay as they are.
        dtype: A floating dtype.

    Raises:
        NoRoomError: If a value is beyond the range of the dtype.
    """
    dtype = tf.as_dtype(dtype)

    def cast(tensor):
        if not tensor.dtype.is_floating or tensor.dtype.size <= dtype.size:
            return tensor
        narrowed = tf.cast(tensor, dtype)
        if tf.reduce_any(tf.math.is_finite(tensor) != _is_finite(narrowed)):
            raise NoRoomError(f"features are beyond the range of {dtype.name}")
        return narrowed

    return keras.tree.map_structure(cast, features)


def _is_finite(tensor):
    return tf.math.is_finite(tf.cast(tensor, "float32"))

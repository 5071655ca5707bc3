"""The statistics of BatchNorm, computed anew for the weights as they are."""

import contextlib
import numbers
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.example_order import fetch_batches, find_example_order
from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.freezing.quiet_function import quiet_function

_BATCH_SIZE = 32
# In standard deviations of a channel.
_TOLERANCE = 1e-4


def recompute_batch_norm(
    model: keras.Model,
    data,
    *,
    layers: Sequence[keras.layers.BatchNormalization] | None = None,
    passes: int | None = None,
) -> None:
    """Set BatchNorm's statistics to the mean and variance of all the data.

    Weights that were averaged have never seen data, and the mean of two
    variances is the variance of neither. Afterwards each layer holds the
    mean and the variance of what enters it, over all examples, as if these
    were one batch in training mode. Dropout and augmentation layers do
    nothing meanwhile, and no weight moves.

    The first pass is that of stochastic weight averaging (Izmailov et al.
    2018, arXiv:1803.05407, section 3.2): layers normalize each batch by its
    own statistics, which is only nearly right for what comes after them. In
    each further pass they use what they were set to, so that one more layer
    in depth is exact; it ends when nothing moves any more, which takes a few.

    Example:

    ```python
    model.set_weights(mean_of_the_last_epochs)
    kt.recompute_batch_norm(model, train)
    ```

    Args:
        model: A Keras model. Its statistics change in place.
        data: A finite `tf.data.Dataset` or `keras.utils.PyDataset` of batches
            `(x, y)`, or such a tuple of arrays. Data sets of ours are read in
            an order of its own, which does not count as an epoch.
        layers: The layers to set. Defaults to `None`: the BatchNorm layers
            that are trainable, as in `fit`.
        passes: How many times to go through the data at most. Defaults to
            `None`: as often as there are layers, if need be.

    Raises:
        ValueError: If there are no such layers or no examples, the data never
            ends, or a layer uses batch renormalization.
    """
    if passes is not None and (
        not isinstance(passes, numbers.Integral) or passes < 1
    ):
        raise ValueError(
            "`passes` must be an integer of 1 or more, or None. "
            f"Received: passes={passes}"
        )
    if layers is None:
        layers = [x for x in list_batch_norms(model) if x.trainable]
    prepare_recomputing(model, layers)(data, passes)


def list_batch_norms(model: keras.Model) -> list:
    """List the BatchNorm layers of a model, inside other layers too."""
    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    return list(dict.fromkeys(found))


def prepare_recomputing(model: keras.Model, layers: Sequence) -> Callable:
    """Make what recomputes statistics, for repeated use.

    Args:
        model: As for `recompute_batch_norm`.
        layers: The layers to set.

    Returns:
        A function of the data and of the most passes, or `None`.

    Raises:
        ValueError: As `recompute_batch_norm`.
    """
    layers = list(layers)
    if not layers:
        raise ValueError(
            "The model has no BatchNorm layer that trains, so none has "
            "statistics to set; pass those that are frozen as `layers`. "
            f"Received: model={model.name}"
        )
    for layer in layers:
        if layer.renorm:
            raise ValueError(
                "Batch renormalization keeps other statistics as well. "
                f"Received: a layer {layer.name!r} with renorm=True"
            )

    def measure(x, uses_batch):
        with _observe(layers, uses_batch) as found:
            model(x, training=False)
        return found

    if not model.run_eagerly:
        measure = quiet_function(measure)

    def recompute(data, passes=None):
        data = _in_mixed_order(data)
        most = len(layers) if passes is None else passes
        for number in range(most):
            batches, totals = _go_through(data, measure, number == 0)
            moves = list(map(_set_statistics, layers, totals))
            # A single batch has left nothing to be exact about.
            if batches == 1 or (number and max(moves) < _TOLERANCE):
                break

    return recompute


@contextlib.contextmanager
def _observe(layers, uses_batch) -> Iterator[list]:
    """Keep the count, mean and variance of what layers are called with."""
    found = [[] for _ in layers]
    own = [vars(layer).get("call") for layer in layers]
    for layer, calls in zip(layers, found, strict=True):
        vars(layer)["call"] = _make_call(layer, calls, uses_batch)
    try:
        yield found
    finally:
        for layer, call in zip(layers, own, strict=True):
            del vars(layer)["call"]
            if call is not None:
                vars(layer)["call"] = call


def _make_call(layer, calls, uses_batch) -> Callable:
    def call(inputs, training=None, mask=None):
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = keras.ops.cast(inputs, dtype)
        kept = [layer.moving_mean, layer.moving_variance]
        moments = [
            tf.reshape(part, layer.moving_mean.shape)
            for part in layer._moments(inputs, mask)
        ]
        calls.append((_count(layer, inputs, mask), *moments))
        mean, variance = (
            tf.where(uses_batch, new, keras.ops.cast(old, dtype))
            for new, old in zip(moments, kept, strict=True)
        )
        outputs = keras.ops.batch_normalization(
            inputs,
            mean,
            variance,
            axis=layer.axis,
            offset=layer.beta,
            scale=layer.gamma,
            epsilon=layer.epsilon,
        )
        return keras.ops.cast(outputs, layer.compute_dtype)

    return call


def _count(layer, inputs, mask):
    """Count the values of each channel, without those that are masked."""
    if mask is None:
        channels = layer.moving_mean.shape[0]
        return tf.cast(tf.size(inputs, "int64") // channels, "float64")
    mask = tf.cast(tf.broadcast_to(mask[..., None], tf.shape(inputs)), "bool")
    return tf.reduce_sum(tf.cast(mask, "float64"), layer._reduction_axes)


def _in_mixed_order(data):
    """Mix what may be sorted by class: batches should be like the whole."""
    if isinstance(data, tuple):
        data = batch_arrays(data, _BATCH_SIZE)
    if isinstance(data, keras.utils.PyDataset):
        is_endless = data.num_batches is None
    elif isinstance(data, tf.data.Dataset):
        is_endless = int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
    else:
        raise ValueError(
            "`data` must be a tf.data.Dataset or keras.utils.PyDataset of "
            "batches (x, y), or a tuple of arrays (x, y). "
            f"Received: data={type(data).__name__}"
        )
    if is_endless:
        raise ValueError(
            "`data` never ends: use `data.take(steps)`. "
            f"Received: data={data!r}"
        )
    order = find_example_order(data)
    if order is None:
        return data
    numbers = np.random.default_rng(0).permutation(order.numbers)
    numbers = tf.data.Dataset.from_tensor_slices(numbers)
    return fetch_batches(numbers.batch(_BATCH_SIZE), order.fetch)


def _go_through(data, measure, uses_batch) -> tuple[int, list]:
    """Return the number of batches, and moments of all that came to layers."""
    batches, totals = 0, None
    for x, _ in iterate_batches(data):
        found = measure(x, tf.constant(uses_batch))
        totals = totals or [None] * len(found)
        for number, calls in enumerate(found):
            for moments in calls:
                totals[number] = _pool(totals[number], moments)
        batches += 1
    if totals is None:
        raise ValueError(f"There are no examples. Received: data={data!r}")
    return batches, totals


def _pool(total, moments):
    """Add the moments of some values to those of others.

    As in Chan et al. 1979, "Updating formulae and a pairwise algorithm for
    computing sample variances": nothing is lost where means are large.
    """
    count, mean, variance = (
        keras.ops.convert_to_numpy(part).astype("float64") for part in moments
    )
    if total is None:
        return count, mean, variance
    before, its_mean, its_variance = total
    both = before + count
    # Masked batches may hold none.
    share = count / np.maximum(both, 1)
    apart = mean - its_mean
    spread = apart**2 * share * (1 - share)
    variance = its_variance + (variance - its_variance) * share + spread
    return both, its_mean + apart * share, variance


def _set_statistics(layer, total) -> float:
    """Return how far they moved, in standard deviations."""
    if total is None:  # the model does not call it
        return 0.0
    _, mean, variance = total
    old = [
        keras.ops.convert_to_numpy(part).astype("float64")
        for part in (layer.moving_mean, layer.moving_variance)
    ]
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    scale = variance + layer.epsilon
    moves = [
        np.abs(mean - old[0]) / np.sqrt(scale),
        np.abs(variance - old[1]) / scale,
    ]
    return float(np.max(moves))

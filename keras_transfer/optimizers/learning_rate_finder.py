"""Find a learning rate by trying ever higher ones."""

import contextlib
import math
import numbers
import random
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters import get_data_adapter

from keras_transfer.data.random_state import (
    capture_random_state,
    restore_random_state,
)
from keras_transfer.optimizers.learning_rate_suggestions import (
    LearningRateCurve,
)
from keras_transfer.optimizers.trial import trial


def find_learning_rate(
    model: keras.Model,
    x,
    y=None,
    *,
    sample_weight=None,
    batch_size: int = 32,
    min_learning_rate: float = 1e-7,
    max_learning_rate: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.8,
    divergence: float = 4.0,
) -> LearningRateCurve:
    """Train for some steps at ever higher learning rates: the range test.

    The rate rises exponentially from step to step. While it is too low the
    loss stays where it is, then it falls, and then the rate is too high and
    the loss explodes. A good rate lies where the loss falls fast. The test
    stops early when the loss explodes.

    Afterwards everything is as it was, to the bit, also when the test was
    interrupted: weights, BatchNorm statistics, dropout seeds, the optimizer
    and its state, metrics, compiled functions, and Python's, NumPy's, Keras's
    and TensorFlow's random state. Training goes on as if there had been no
    test. Three things cannot be put back: a model that was not built yet is
    built, with the weights that `fit` would have given it; a
    `tf.data.Dataset` that shuffles has counted the passes made through it,
    and so shuffles in another order next time; and whatever else the data or
    the model do outside of Keras.

    The paper: [Cyclical Learning Rates for Training Neural
    Networks](https://arxiv.org/abs/1506.01186) (Smith, 2017), section 3.3.

    Example:

    ```python
    model.compile("adam", "sparse_categorical_crossentropy")
    curve = kt.find_learning_rate(model, train)
    curve.plot()
    model.optimizer.learning_rate = curve.suggestion
    model.fit(train, epochs=5)
    ```

    Args:
        model: A compiled `keras.Model`. Its optimizer is used as it is
            configured and with the state that it has, as a copy and at the
            rates of the test. Only weights that are trainable now move.
        x: Inputs: an array, or a list or dictionary of them, with labels in
            `y`; a tuple of arrays `(x, y)` or `(x, y, sample_weight)`; a
            `tf.data.Dataset` or a `keras.utils.PyDataset` of batches. Arrays
            are shuffled. All is read again from the start when it is shorter
            than the test.
        y: Labels, where `x` is inputs only. Defaults to `None`.
        sample_weight: A weight for each example, or `None`. Defaults to
            `None`.
        batch_size: Number of examples in a step, for arrays. Defaults to 32.
        min_learning_rate: Rate of the first step. Defaults to 1e-7.
        max_learning_rate: Rate of the last step. Defaults to 10.
        steps: Number of steps, at least 2. Defaults to 100.
        smoothing: Share of the past, in [0, 1), in the exponential moving
            average of the loss, which is corrected for its start. Defaults to
            0.8, an average over about 5 steps.
        divergence: The test ends when the smoothed loss is more than so many
            times its minimum. (Where that is below 0: when it has risen by
            `divergence - 1` times the minimum's size.) Defaults to 4.

    Returns:
        A `LearningRateCurve` with `suggestion`, `plot()`, `learning_rates`,
        `losses` and `smoothed_losses`. A loss that is not finite ends the
        test and is left out.

    Raises:
        ValueError: If the model is not compiled or nothing in it trains, an
            argument is out of its range, the data is empty or of another
            kind, or the first loss is not finite.
    """
    _check_model(model)
    _check_ranges(min_learning_rate, max_learning_rate, steps)
    _check_numbers(batch_size, smoothing, divergence)
    data = _as_data(x, y, sample_weight)
    rates = np.geomspace(min_learning_rate, max_learning_rate, steps)
    _build(model, data, batch_size)
    if not model.trainable_variables:
        raise ValueError(
            "Nothing in the model trains, so no learning rate matters. "
            f"Received: model={model.name} without trainable weights"
        )
    losses, smoothed = [], []
    average, lowest = 0.0, math.inf
    with (
        trial(model) as attempt,
        contextlib.closing(_batches(model, data, batch_size)) as batches,
    ):
        for count, (rate, batch) in enumerate(
            zip(rates, batches, strict=False), start=1
        ):
            loss = attempt.step(batch, rate)
            if not math.isfinite(loss):
                break
            average = smoothing * average + (1 - smoothing) * loss
            losses.append(loss)
            smoothed.append(average / (1 - smoothing**count))
            lowest = min(lowest, smoothed[-1])
            if smoothed[-1] > lowest + (divergence - 1) * abs(lowest):
                break
    if not losses:
        raise ValueError(
            "The loss of the first step must be a finite number, as no weight "
            "has moved yet. Check the data for NaN, and that the labels fit "
            f"the loss. Received: loss={loss}"
        )
    curve = rates[: len(losses)], np.array(losses), np.array(smoothed)
    for values in curve:
        values.flags.writeable = False
    return LearningRateCurve(*curve)


def _check_model(model) -> None:
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise ValueError(
            "The model must be compiled, with the optimizer whose learning "
            'rate is sought: `model.compile("adam", loss)`. '
            f"Received: model={getattr(model, 'name', model)}"
        )


def _check_ranges(low, high, steps) -> None:
    if not 0 < low < high < math.inf:
        raise ValueError(
            "`min_learning_rate` must be more than 0 and less than "
            "`max_learning_rate`. Received: "
            f"min_learning_rate={low}, max_learning_rate={high}"
        )
    if not isinstance(steps, numbers.Integral) or steps < 2:
        raise ValueError(
            f"`steps` must be an integer of 2 or more. Received: steps={steps}"
        )


def _check_numbers(batch_size, smoothing, divergence) -> None:
    if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(
            "`batch_size` must be an integer of 1 or more. "
            f"Received: batch_size={batch_size}"
        )
    if not 0 <= smoothing < 1:
        raise ValueError(
            f"`smoothing` must be in [0, 1). Received: smoothing={smoothing}"
        )
    if not divergence > 1:
        raise ValueError(
            "`divergence` must be more than 1. "
            f"Received: divergence={divergence}"
        )


def _as_data(x, y, sample_weight):
    """Return a data set as it is, or a tuple of arrays."""
    if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "A data set holds the labels and weights itself. "
                f"Received: x={type(x)} together with `y` or `sample_weight`"
            )
        return x
    if y is None and isinstance(x, tuple) and len(x) in (2, 3):
        x, y, given = (*x, None)[:3]
        sample_weight = given if sample_weight is None else sample_weight
    leaves = keras.tree.flatten((x, y, sample_weight))
    arrays = [leaf for leaf in leaves if leaf is not None]
    if not arrays or not all(hasattr(leaf, "shape") for leaf in arrays):
        raise ValueError(
            "`x` must be arrays, a tuple of arrays (x, y), a tf.data.Dataset "
            f"or a keras.utils.PyDataset. Received: x={type(x)}"
        )
    if not all(len(leaf.shape) and leaf.shape[0] for leaf in arrays):
        raise _empty(arrays[0])
    return x, y, sample_weight


def _empty(data) -> ValueError:
    shape = getattr(data, "shape", type(data).__name__)
    return ValueError(
        f"The data must hold one batch or more. Received: x={shape}"
    )


def _build(model: keras.Model, data, batch_size: int) -> None:
    """Build the model, as the first step of `fit` would."""
    # A model with a `train_step` of its own may have no `call`.
    callable_as_whole = type(model).call is not keras.Model.call
    if not callable_as_whole or all(x.built for x in model._flatten_layers()):
        return
    random_state = capture_random_state()
    with contextlib.closing(_batches(model, data, batch_size)) as batches:
        x = keras.utils.unpack_x_y_sample_weight(next(batches))[0]
    restore_random_state(random_state)
    model(x, training=False)


def _batches(model: keras.Model, data, batch_size: int) -> Iterator:
    """Give batches, over and over again."""
    if isinstance(data, keras.utils.PyDataset):
        # Read here and now: Keras's own reader calls `on_epoch_end`, which
        # reorders the user's data, and reads ahead, which draws on.
        yield from _py_dataset_batches(data)
    if isinstance(data, tuple):
        data = get_data_adapter(
            *data, batch_size=batch_size, shuffle=True
        ).get_tf_dataset()
    strategy = model.distribute_strategy
    distributed = strategy.experimental_distribute_dataset(data)
    while True:
        batch = None
        for batch in distributed:
            yield batch
        if batch is None:
            raise _empty(data)


def _py_dataset_batches(data: keras.utils.PyDataset) -> Iterator:
    index = 0
    while data.num_batches is None:
        yield data[index]
        index += 1
    while data.num_batches:
        order = list(range(data.num_batches))
        random.shuffle(order)
        for index in order:
            yield data[index]
    raise _empty(data)

"""The diagonal of the Fisher information of a classifier."""

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.forgetting.likelihood import Likelihood
from keras_transfer.forgetting.weight_penalty import full_dtype
from keras_transfer.freezing.quiet_function import quiet_function


def fisher_information(
    model: keras.Model,
    variables: Sequence[keras.Variable],
    batches: Iterable[tuple],
    likelihood: Likelihood,
    *,
    labels: str,
    seed: int = 0,
) -> list[np.ndarray]:
    """Measure how much each weight matters for what a classifier says.

    The mean, over examples, of the squared derivative of the log-likelihood
    of one example's labels: of the model's own answers, as the Fisher
    information is defined, or of the true ones. Gradients are taken of one
    example at a time (the square of the gradient of a batch is another
    thing), in inference mode, and are added up where they arise: it takes the
    memory of the result and one gradient.

    Args:
        model: The classifier. Nothing in it changes.
        variables: The weights.
        batches: Batches `(x, y)`.
        likelihood: What its outputs mean.
        labels: `"expected"`, the expected value over all answers, by a
            backward pass for each class; `"sampled"`, of an answer that is
            drawn for each example; or `"true"`, with the labels in `batches`.
        seed: Seed of the answers that are drawn.

    Returns:
        For each variable an array of its shape, float32 (or float64 for
        weights in that), at least 0.

    Raises:
        ValueError: If it is not finite.
    """
    sums = [
        tf.Variable(tf.zeros(v.shape, full_dtype(v)), trainable=False)
        for v in variables
    ]

    def choose_scores(outputs, y, number):
        if labels == "expected":
            return likelihood.root_scores(outputs)
        if labels == "true":
            answers = likelihood.mark(y, outputs.shape[0])
        else:
            key = [tf.cast(part, "int64") for part in (seed, number)]
            answers = likelihood.draw(outputs, tf.stack(key))
        answers = tf.cast(answers, outputs.dtype)
        return likelihood.log_likelihood(outputs, answers)[None]

    def add_batch(first, batch):
        def add_example(row):
            x, *y = tf.nest.map_structure(lambda a: a[row : row + 1], batch)
            _add_squared_gradients(
                lambda: choose_scores(
                    _read_outputs(model, x), *(y or [None]), first + row
                ),
                variables,
                sums,
            )

        _repeat(add_example, tf.shape(tf.nest.flatten(batch)[0])[0])

    if not model.run_eagerly:
        add_batch = quiet_function(add_batch)
    count = 0
    for x, y in batches:
        batch = (x, y) if labels == "true" else (x,)
        batch = keras.tree.map_structure(tf.convert_to_tensor, batch)
        add_batch(tf.constant(count), batch)
        count += len(keras.tree.flatten(x)[0])
    means = [keras.ops.convert_to_numpy(total) / count for total in sums]
    if not all(np.isfinite(mean).all() for mean in means):
        raise ValueError(
            "Gradients of the log-likelihood must be finite: look for "
            "examples, or weights, with NaN or very large values. Received: "
            f"model={model.name}"
        )
    return means


def _read_outputs(model, x) -> tf.Tensor:
    """Return the outputs for the only example of a batch."""
    outputs = model(x, training=False)[0]
    is_wide = outputs.dtype in (tf.float32, tf.float64)
    return outputs if is_wide else tf.cast(outputs, "float32")


def _add_squared_gradients(compute: Callable, variables, sums) -> None:
    """Add the squared gradients of several scores to sums.

    Args:
        compute: Returns the scores, `(scores,)`.
        variables: What to differentiate by.
        sums: For each of them, a variable.
    """
    values = [variable.value for variable in variables]
    with tf.GradientTape(
        persistent=True, watch_accessed_variables=False
    ) as tape:
        tape.watch(values)
        scores = compute()
    count = scores.shape[0]

    def add(which):
        gradients = tape.gradient(
            scores,
            values,
            output_gradients=tf.one_hot(which, count, dtype=scores.dtype),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        for total, gradient in zip(sums, gradients, strict=True):
            gradient = tf.cast(_as_dense(gradient), total.dtype)
            total.assign_add(tf.square(gradient))

    if count == 1:
        add(0)
    else:
        _repeat(add, count)


def _as_dense(gradient) -> tf.Tensor:
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    # A row that is read twice has both parts in one gradient.
    return tf.math.unsorted_segment_sum(
        gradient.values, gradient.indices, gradient.dense_shape[0]
    )


def _repeat(function: Callable, count) -> None:
    """Call a function with 0, 1, ... in a graph, one after another."""

    def step(number):
        function(number)
        return number + 1

    tf.while_loop(
        lambda number: number < count,
        step,
        [tf.constant(0)],
        parallel_iterations=1,
    )

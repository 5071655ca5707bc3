"""Make a classifier as sure as it is right."""

import dataclasses

import keras
import numpy as np

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.builders.output_layer import find_output_layer
from keras_transfer.caching.answers import collect_answers, gives_logits
from keras_transfer.caching.unrolled_graph import unroll_graph
from keras_transfer.callbacks.linear_head import mark_classes
from keras_transfer.insight.temperature import (
    apply_temperature,
    calibration_error,
    find_logits,
    fit_temperature,
    held_out_temperatures,
    negative_log_likelihood,
)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How sure a classifier is, and how sure it should be.

    Attributes:
        temperature: What its logits are to be divided by. Above 1, it is too
            sure of itself.
        error_before: Its expected calibration error: by how much the
            probability of its answers differs from how often they are right,
            in [0, 1].
        error_after: The same with temperatures that were found on other
            examples, in five folds.
        loss_before: Its mean crossentropy.
        loss_after: The same with temperatures that were found on others.
        examples: How many examples it was measured on.
    """

    temperature: float
    error_before: float
    error_after: float
    loss_before: float
    loss_after: float
    examples: int

    def __str__(self) -> str:
        return (
            f"Calibration error {self.error_before:.3f}; at temperature "
            f"{self.temperature:.2f} {self.error_after:.3f} (on "
            f"{self.examples:,} examples, each with the temperature of others)."
        )


def calibrate(model: keras.Model, data) -> Calibration:
    """Divide the logits of a classifier by the temperature that suits data.

    Its answers stay what they are, and their probabilities come closer to how
    often they are right. The weights of its last layer are divided, so that
    `predict`, files and exports all have it. Use data that it was not trained
    on.

    Guo et al. 2017, "On Calibration of Modern Neural Networks",
    arXiv:1706.04599.

    Example:

    ```python
    result = kt.fine_tune(model, train, validation)
    print(kt.calibrate(model, validation))
    model.save("photos.keras")
    ```

    Args:
        model: A classifier that ends in a `Dense` layer, and softmax or
            sigmoids; or logits, compiled with a loss `from_logits`.
        data: Validation data: a `tf.data.Dataset` or
            `keras.utils.PyDataset` of batches `(x, y)`, or a tuple of arrays.

    Returns:
        A `Calibration`, as it was before and is now.

    Raises:
        ValueError: If the model ends in something else, or data and model do
            not fit together. The model is left as it was.
    """
    output = find_output_layer(model)
    if output is not None and len(output.parts) > 1:  # of `extend_classes`
        layers, activation = output.parts, output.activation
    else:
        dense, activation = find_last_dense(model)
        layers = [dense]
    exclusive = find_exclusive(model, activation)
    answers = collect_answers(model, data).get("")
    if answers is None:
        raise ValueError(
            "There must be labelled examples for a single output. "
            f"Received: data={data!r}"
        )
    found = measure_calibration(
        *answers, exclusive=exclusive, from_logits=activation == "linear"
    )
    for layer in layers:
        for variable in layer.weights:
            variable.assign(variable / found.temperature)
    return found


def measure_calibration(
    labels: np.ndarray,
    outputs: np.ndarray,
    *,
    exclusive: bool,
    from_logits: bool = False,
) -> Calibration:
    """Measure how sure a classifier is, and should be.

    Args:
        labels: Numbers of classes, or 0 and 1 for each class.
        outputs: What it returned, `(examples, classes)`.
        exclusive: Whether an example has one class. One output means two.
        from_logits: Whether outputs are logits. Defaults to `False`.

    Returns:
        A `Calibration`.

    Raises:
        ValueError: If labels do not fit, or outputs are not finite.
    """
    labels, logits = np.asarray(labels), np.asarray(outputs, "float64")
    marks = mark_classes(labels, logits.shape[1], exclusive)
    if not np.isfinite(logits).all():
        raise ValueError(
            "The outputs of the model must be finite. Received: "
            f"{(~np.isfinite(logits)).sum()} outputs that are not"
        )
    if not from_logits:
        logits = find_logits(logits, exclusive=exclusive)
    held_out = held_out_temperatures(logits, marks, exclusive=exclusive)
    errors, losses = zip(
        *(
            (
                calibration_error(
                    apply_temperature(logits, t, exclusive=exclusive),
                    marks,
                    exclusive=exclusive,
                ),
                negative_log_likelihood(logits / t, marks, exclusive=exclusive),
            )
            for t in (1.0, held_out)
        ),
        strict=True,
    )
    temperature = fit_temperature(logits, marks, exclusive=exclusive)
    return Calibration(temperature, *errors, *losses, len(logits))


def find_exclusive(model: keras.Model, activation: str) -> bool:
    """Tell whether the classes of a model exclude each other.

    Args:
        model: The model.
        activation: What it ends in, as `find_last_dense` says.

    Raises:
        ValueError: If it gives logits, and its loss does not tell.
    """
    if activation != "linear":
        return activation == "softmax"
    loss = keras.losses.get(getattr(model, "loss", None))
    name = getattr(loss, "name", "")
    if gives_logits(model) and "crossentropy" in name:
        return "categorical" in name
    raise ValueError(
        "A model that ends in logits must be compiled with a crossentropy "
        f"with `from_logits=True`. Received: loss={loss}"
    )


def find_last_dense(model: keras.Model) -> tuple[keras.layers.Dense, str]:
    """Find the layer that gives the logits of a classifier.

    Args:
        model: A functional or sequential model with one output.

    Returns:
        The layer, and what comes after it: `"softmax"`, `"sigmoid"` or
        `"linear"`.

    Raises:
        ValueError: If the model does not end so.
    """
    graph = functional_graph(model)
    steps = unroll_graph(graph).steps if graph else []
    names = set()
    for step in reversed(steps):
        layer = step.operation
        names.add(_activation_name(layer))
        if isinstance(layer, keras.layers.Dense):
            names.discard("linear")
            uses = sum(other.operation is layer for other in steps)
            if uses == 1 and len(layer.weights) == 1 + layer.use_bias:
                if names <= {"softmax"} or names <= {"sigmoid"}:
                    return layer, (names or {"linear"}).pop()
        if not isinstance(
            layer, keras.layers.Activation | keras.layers.Softmax
        ):
            break
    raise ValueError(
        "The model must end in a `Dense` layer (without LoRA, and used once) "
        "and softmax or sigmoids, as `build_classifier` makes it. "
        f"Received: model={model.name}"
    )


def _activation_name(layer) -> str:
    if isinstance(layer, keras.layers.Softmax):
        return "softmax" if layer.axis == -1 else "softmax along an axis"
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", "linear")

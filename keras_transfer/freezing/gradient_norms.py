"""Which layer groups the task pulls at hardest."""

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.adapted_variables import adapted_variables
from keras_transfer.freezing.quiet_function import quiet_function
from keras_transfer.freezing.weight_movement import is_learned


def relative_gradient_norms(model: keras.Model, data) -> dict[str, float]:
    """Measure the gradient of each layer group, relative to its weights.

    Lee et al. 2022, "Surgical Fine-Tuning Improves Adaptation to Distribution
    Shifts", arXiv:2210.11466, section 5 (Auto-RGN): the norm of the gradient
    of the loss over the norm of the weights, here of the whole group and
    averaged over batches. Nothing in the model changes.

    Args:
        model: A compiled model.
        data: Batches of `(x, y)` or `(x, y, sample_weight)`: anything that
            can be iterated over.

    Returns:
        The ratio of each group that holds weights, by its name.

    Raises:
        ValueError: If there are no batches.
    """
    adapted = adapted_variables(model)
    groups = {
        group.name: [
            variable.value
            for variable in group.variables
            if is_learned(variable) and id(variable) not in adapted
        ]
        for group in layer_groups(model)
    }
    groups = {name: values for name, values in groups.items() if values}
    watched = [value for values in groups.values() for value in values]

    @quiet_function
    def differentiate(x, y, sample_weight):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            loss = model._compute_loss(
                x, y, model(x, training=False), sample_weight, training=False
            )
        gradients = tape.gradient(
            loss, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return [tf.norm(gradient) for gradient in gradients]

    norms = [
        differentiate(*keras.utils.unpack_x_y_sample_weight(batch))
        for batch in data
    ]
    if not norms:
        raise ValueError(f"There are no batches. Received: data={data!r}")
    squares = iter(np.square(np.array(norms, "float64")).mean(axis=0))
    ratios = {}
    for name, values in groups.items():
        gradient = sum(next(squares) for _ in values)
        weights = sum(float(tf.norm(value)) ** 2 for value in values)
        ratios[name] = float(np.sqrt(gradient / max(weights, 1e-12)))
    return ratios

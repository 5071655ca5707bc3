"""Learned weights of tasks."""

import keras
from keras import ops
from keras.src.losses.loss import scale_loss_for_distribution


@keras.saving.register_keras_serializable("keras_transfer")
class TaskBalance(keras.layers.Layer):
    """Holds a log variance for each task, which weighs its loss.

    Kendall, Gal & Cipolla 2018, "Multi-Task Learning Using Uncertainty to
    Weigh Losses for Scene Geometry and Semantics", arXiv:1705.07115: outputs
    are taken as those of a model with noise whose variance exp(s_k) is
    learned for each task k. Its negative log likelihood is, up to constants
    and with the approximation of their equation 10,

        sum_k  c_k exp(-s_k) L_k + s_k / 2,

    where L_k is the loss of the task, c_k = 1/2 for a regression with squared
    errors (equation 7) and c_k = 1 for crossentropies. It is least at
    exp(s_k) = 2 c_k L_k: a task that is hard, or measured in large units,
    gets a small weight c_k exp(-s_k). A task without any label in a batch
    adds nothing there, neither loss nor s_k / 2.

    As a layer it passes on what it is given. It stands before the heads, and
    so it is trained, frozen and saved with them.

    Args:
        factors: c_k of each task.
        **kwargs: As for `keras.layers.Layer`.

    Attributes:
        log_variances: s_k of each task, `(tasks,)`; 0 at first.
    """

    def __init__(self, factors, **kwargs):
        super().__init__(**kwargs)
        self.factors = [float(factor) for factor in factors]

    def build(self, input_shape):
        self.log_variances = self.add_weight(
            shape=(len(self.factors),),
            initializer="zeros",
            name="log_variances",
        )

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def weigh(self, losses, has_labels):
        """Add up the losses of tasks.

        Args:
            losses: L_k, `(tasks,)`.
            has_labels: Whether there is any label of each, booleans
                `(tasks,)`.

        Returns:
            The sum, a scalar.
        """
        spread = ops.convert_to_tensor(self.log_variances)
        terms = self._find_weights(spread) * losses
        # Keras adds up what several replicas give.
        terms += scale_loss_for_distribution(spread / 2)
        return ops.sum(ops.where(has_labels, terms, 0.0))

    def read_weights(self) -> list[float]:
        """Return c_k exp(-s_k) of each task, as it is now."""
        weights = self._find_weights(self.log_variances)
        return ops.convert_to_numpy(weights).tolist()

    def _find_weights(self, spread):
        return ops.convert_to_tensor(self.factors) * ops.exp(-spread)

    def get_config(self):
        return {**super().get_config(), "factors": self.factors}

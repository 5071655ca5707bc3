"""A loss in which a missing label counts nothing."""

import keras
from keras.src.losses.loss import reduce_weighted_values

from keras_transfer.builders.missing_labels import line_up_labels


@keras.saving.register_keras_serializable("keras_transfer")
class MaskedLoss(keras.losses.Loss):
    """The mean of another loss over the labels that are there.

    With labels y_i, their loss l_i, weights w_i (1 without sample weights)
    and m_i = 1 where the label is there, else 0, that is

        L = sum_i w_i m_i l_i / sum_i m_i,

    and 0 where there is none. As ever in Keras, weights are not in the
    divisor. The gradient of the loss with respect to the output of an example
    without a label is exactly 0.

    Args:
        loss: A Keras loss or its name, or a function of labels and outputs
            that returns a number for each row of them.
        kind: As of a `Task`; it decides which labels are missing.
        name: Defaults to that of the loss.
    """

    def __init__(self, loss, kind: str, name: str | None = None, **kwargs):
        loss = keras.losses.get(loss)
        known = getattr(loss, "name", None) or getattr(loss, "__name__", None)
        super().__init__(name=name or known, **kwargs)
        self.loss, self.kind = loss, kind

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            labels, outputs, present, weight = line_up_labels(
                y_true, y_pred, self.kind, sample_weight
            )
            return reduce_weighted_values(
                self._compute(labels, outputs),
                sample_weight=weight,
                mask=present,
                reduction=self.reduction,
                dtype=self.dtype,
            )

    def _compute(self, labels, outputs):
        """Return the loss of each row."""
        if isinstance(self.loss, keras.losses.Loss):
            return self.loss.call(labels, outputs)
        return self.loss(labels, outputs)

    def get_config(self):
        loss = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": loss, "kind": self.kind}

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})

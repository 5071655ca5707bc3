"""A metric in which a missing label counts nothing."""

import keras
from keras import ops

from keras_transfer.builders.missing_labels import line_up_labels


@keras.saving.register_keras_serializable("keras_transfer")
class MaskedMetric(keras.metrics.Metric):
    """Another metric, of the labels that are there.

    It is that of all labels since the last reset, however they fall into
    batches; of none, it is what the other one says of nothing, 0 as a rule.

    Args:
        metric: A Keras metric that takes sample weights.
        kind: As of a `Task`; it decides which labels are missing. Of a task
            of several labels, the metric is shown these one by one.
        name: Defaults to that of the metric.
        dtype: As for `keras.metrics.Metric`.
    """

    def __init__(
        self, metric: keras.metrics.Metric, kind: str, name=None, dtype=None
    ):
        super().__init__(name=name or metric.name, dtype=dtype)
        self.metric, self.kind = metric, kind
        if hasattr(metric, "_direction"):
            # By which Keras's callbacks know what is better.
            self._direction = metric._direction

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, outputs, present, weight = line_up_labels(
            y_true, y_pred, self.kind, sample_weight
        )
        present = ops.cast(present, self.dtype)
        if weight is not None:
            present *= ops.cast(weight, self.dtype)
        self.metric.update_state(labels, outputs, sample_weight=present)

    def result(self):
        return self.metric.result()

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        metric = keras.saving.serialize_keras_object(self.metric)
        return {**super().get_config(), "metric": metric, "kind": self.kind}

    @classmethod
    def from_config(cls, config):
        metric = keras.saving.deserialize_keras_object(config["metric"])
        return cls(**{**config, "metric": metric})

"""A classifier that a teacher watches while it trains."""

import keras
from keras.src.utils import tracking

from keras_transfer.builders.classifier import Classifier
from keras_transfer.forgetting.distillation import Distillation
from keras_transfer.freezing.freezable_model import FreezableModel
from keras_transfer.optimizers.copying import copy_optimizer


@keras.saving.register_keras_serializable("keras_transfer")
class DistilledClassifier(Classifier):
    """A `Classifier` with more to its graph in training.

    What is called, saved or exported is the classifier alone, and a file is
    that of a plain `Classifier`.

    Args:
        inputs: As for `keras.Model`.
        outputs: The output of the classifier.
        taught: What runs in training in place of it: the same output, after
            it has passed the distillation.
        distillation: The layer that it has passed.
        **kwargs: As for `Classifier`.
    """

    def __init__(
        self, inputs, outputs, *, taught, distillation: Distillation, **kwargs
    ):
        super().__init__(inputs, outputs, **kwargs)
        # Its loss is one of the model's, and its head trains with it.
        self.distillation = distillation
        self._hold_training_graph(FreezableModel(inputs, taught))

    @tracking.no_automatic_dependency_tracking
    def _hold_training_graph(self, graph):
        self.training_graph = graph

    @property
    def layers_beside_head(self) -> tuple:
        """What trains with the head, for `layer_groups`."""
        return (self.distillation,)

    def get_config(self):
        return self._make_plain().get_config()

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return Classifier.from_config(config, custom_objects)

    def save(self, filepath, *args, **kwargs):
        plain = self._make_plain()
        if self.compiled:
            settings = dict(self._compile_config.config)
            optimizer = copy_optimizer(self.optimizer)
            optimizer.learning_rate = float(self.optimizer.learning_rate)
            plain.compile(**{**settings, "optimizer": optimizer})
            optimizer.build(plain.trainable_variables)
        plain.save(filepath, *args, **kwargs)

    def _make_plain(self) -> Classifier:
        return Classifier(
            self.input,
            self.output,
            class_names=self.class_names,
            name=self.name,
        )

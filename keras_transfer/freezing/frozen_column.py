"""A network that answers as it does now for good."""

import keras
from keras.src import backend
from keras.src.utils import tracking


@keras.saving.register_keras_serializable("keras_transfer")
class FrozenColumn(keras.layers.Layer):
    """A network inside another one, none of whose weights ever trains.

    They are weights of this layer that are not made to train, as the moving
    averages of BatchNorm are: nothing that sets `trainable` on it, or on a
    model around it, reaches them. It always runs in inference mode, and no
    losses come from it. Made by `build_progressive`.

    Args:
        column: A functional model, of one or several inputs, with a list of
            outputs: the answer of the network, then features of it. The layer
            takes it over: none of its weights trains afterwards.
        class_names: What the classes of the answer are called, or `None`.
        **kwargs: As for `keras.layers.Layer`.

    Attributes:
        column: The functional model.
        class_names: As given.
        trainable: Always `False`; another value is not heeded.
    """

    def __init__(self, column, *, class_names=None, **kwargs):
        # The column converts its inputs itself, each to the dtype of its own.
        super().__init__(autocast=False, **kwargs)
        self.class_names = class_names and list(class_names)
        self._take_over(column)
        for weight in column.weights:
            self._track_variable(weight)

    @tracking.no_automatic_dependency_tracking
    def _take_over(self, column) -> None:
        # Not among the layers of this one, whose flags are set from outside.
        self.column = column
        for layer in column._flatten_layers():
            layer._trainable = False
            # In the order in which a layer saves them.
            layer._non_trainable_variables[:0] = layer._trainable_variables
            layer._trainable_variables.clear()
        for variable in column.variables:
            variable.trainable = False

    @property
    def trainable(self) -> bool:
        return False

    @trainable.setter
    def trainable(self, value):
        pass

    def call(self, inputs):
        outputs = self.column(inputs, training=False)
        # Of activity regularizers, which would pile up where nobody reads.
        self.column._clear_losses()
        for tensor in outputs:
            # It is the new column that says which steps count.
            backend.set_keras_mask(tensor, None)
        return outputs

    def finalize_state(self):
        """Let layers such as `Normalization` use weights just assigned."""
        for layer in self.column._flatten_layers():
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()

    def compute_output_spec(self, inputs):
        return [
            keras.KerasTensor(tensor.shape, tensor.dtype)
            for tensor in self.column.compute_output_spec(inputs)
        ]

    # A file has the weights once: those of `column`, by its layers.
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass

    def get_config(self):
        return {
            **super().get_config(),
            "column": keras.saving.serialize_keras_object(self.column),
            "class_names": self.class_names and list(self.class_names),
        }

    @classmethod
    def from_config(cls, config):
        column = keras.saving.deserialize_keras_object(config.pop("column"))
        return cls(column, **config)

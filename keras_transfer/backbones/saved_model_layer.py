"""A layer whose weights are a SavedModel's, and which Keras can save."""

import os
import re

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

from keras_transfer.backbones.hub_blueprint import Blueprint
from keras_transfer.backbones.hub_handle import (
    HandleError,
    find_saved_model,
    keep_copy,
)
from keras_transfer.backbones.hub_module import make_unique
from keras_transfer.backbones.hub_opening import (
    OpenModule,
    open_into,
    open_module,
)


class SavedModelLayer(keras.layers.Layer):
    """Holds a SavedModel, and carries it along in `.keras` files.

    Keras rebuilds a saved model from its configuration, its optimizer
    included, before it reads the weights and, last, the assets. So the layer
    writes a blueprint into its build configuration and is rebuilt from that,
    with variables that are the right ones but for their values. The SavedModel
    comes with the assets; it is loaded into those same variables, which the
    optimizer knows by then.

    Args:
        handle: As for `HubLayer`.
        signature: As for `HubLayer`.
        output_key: As for `HubLayer`.
        **kwargs: As for `keras.layers.Layer`.
    """

    def __init__(
        self,
        handle: str | os.PathLike,
        signature: str | None,
        output_key: str | None,
        **kwargs,
    ):
        # Inputs are cast to what the SavedModel expects: by `HubModule`.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(handle, str | os.PathLike):
            raise ValueError(
                "`handle` must be a string or a path. "
                f"Received: handle={handle!r}"
            )
        self.handle = os.fspath(handle)
        self.signature = signature
        self.output_key = output_key
        # A SavedModel may hold what XLA cannot compile: strings, tables.
        self.supports_jit = False
        self._fingerprint = None
        self._unavailable = ""
        self._opened = None
        self._loaded = None
        self._blueprint = None
        self._named = ()

    @property
    def named_variables(self) -> list[tuple[str, keras.Variable]]:
        """The variables with the names that the SavedModel gives them."""
        return list(self._named)

    @property
    def saved_input_shape(self) -> tuple | None:
        """The shape of an input, if the SavedModel takes a single tensor."""
        specs = self._opened.module.input_specs if self._opened else []
        shapes = [x.shape for spec in specs[:1] for x in tf.nest.flatten(spec)]
        if len(shapes) != 1 or not shapes[0].rank:
            return None
        return tuple(shapes[0][1:])

    @property
    def compute_dtype(self):
        return self._input_dtype or super().compute_dtype

    @property
    def variable_dtype(self):
        # Keras autocasts where the two differ, which strings do not survive.
        return self._input_dtype or super().variable_dtype

    @property
    def _input_dtype(self) -> str | None:
        return self._blueprint.input_dtype if self._blueprint else None

    def build(self, input_shape=None):
        if self._blueprint is not None:
            self._wrap(self._blueprint.make_variables())
            return
        folder = find_saved_model(self.handle, self._fingerprint)
        self._use(open_module(folder, self.signature, self.output_key))
        self._wrap(self._opened.module.variables)

    def get_build_config(self):
        return self._blueprint and self._blueprint.to_config()

    def build_from_config(self, config):
        if not _keras_reads_a_file():
            try:
                self.build(None)
                return
            except HandleError as error:
                self._unavailable = str(error)
        self._blueprint = Blueprint.from_config(config)
        self.build(None)

    def save_assets(self, inner_path):
        if self._opened is None:
            raise ValueError(self._why_missing())
        self._opened.save(os.path.join(inner_path, "saved_model"))

    def load_assets(self, inner_path):
        weights = [weight for _, weight in self._named]
        values = [weight.numpy() for weight in weights]
        opened = open_into(
            [weight.value for weight in weights],
            self._blueprint,
            keep_copy(os.path.join(inner_path, "saved_model")),
            self.signature,
            self.output_key,
        )
        found = opened.module.variables
        for weight, variable, value in zip(weights, found, values, strict=True):
            # Another one for the TF1 format only, which nobody trains.
            weight._value = variable
            weight.assign(value)
        self._use(opened)

    def _use(self, opened: OpenModule) -> None:
        self._opened = opened
        self._blueprint = opened.blueprint
        self._fingerprint = opened.folder.fingerprint
        # As an attribute, so that its lookup tables are found for export.
        self._loaded = opened.loaded

    def _wrap(self, variables: list[tf.Variable]) -> None:
        """Make the SavedModel's very variables the layer's weights."""
        specs = self._blueprint.variables
        names = make_unique(
            re.sub(r"[^A-Za-z0-9.]+", "_", spec.name).strip("_") or "variable"
            for spec in specs
        )
        named = []
        for spec, name, variable in zip(specs, names, variables, strict=True):
            weight = keras.Variable(
                variable, trainable=spec.trainable, autocast=False, name=name
            )
            self._track_variable(weight)
            named.append((spec.name, weight))
        self._named = tuple(named)

    def get_config(self):
        return {
            **super().get_config(),
            "handle": self.handle,
            "signature": self.signature,
            "output_key": self.output_key,
            "fingerprint": self._fingerprint,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        fingerprint = config.pop("fingerprint", None)
        layer = super().from_config(config)
        layer._fingerprint = fingerprint
        return layer

    def stand_in(self, inputs):
        """Serve the construction of a model while the SavedModel is missing.

        Args:
            inputs: A tensor or a nest of tensors.

        Returns:
            A nest of tensors with the right shapes, which must not be used.

        Raises:
            ValueError: If this is no construction but a computation.
        """
        outputs = None
        if not tf.executing_eagerly():
            outputs = self._blueprint.stand_in(inputs, self._why_missing())
        if outputs is None:
            raise ValueError(self._why_missing())
        return outputs

    def _why_missing(self) -> str:
        return (
            f"Layer {self.name} has no SavedModel: it was rebuilt from a "
            "configuration alone. Load a `.keras` file, which holds it, with "
            "`keras.models.load_model`, or make the handle reachable. "
            f"{self._unavailable} Received: handle={self.handle!r}"
        )

    def compute_output_spec(self, inputs, training=None):
        return keras.Operation.compute_output_spec(
            self, inputs, training=training
        )

    def compute_output_shape(self, input_shape):
        inputs = keras.tree.map_shape_structure(
            lambda shape: keras.KerasTensor(shape, self.compute_dtype),
            input_shape,
        )
        outputs = self.compute_output_spec(inputs)
        return keras.tree.map_structure(lambda x: x.shape, outputs)


def _keras_reads_a_file() -> bool:
    """Say whether `load_model` is at work and will bring the assets."""
    # Only then does Keras share objects. Should a later version do it some
    # other way, the handle is looked at needlessly, but nothing breaks.
    key = "shared_objects/id_to_obj_map"
    return global_state.get_global_attribute(key) is not None

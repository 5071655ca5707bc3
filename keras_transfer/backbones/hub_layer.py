"""A Keras 3 layer around a SavedModel from TF Hub."""

import os
import re

import keras
import tensorflow as tf

from keras_transfer.backbones.saved_model_layer import SavedModelLayer

_BATCH_NORM_RULES = ("train", "statistics", "frozen")


@keras.saving.register_keras_serializable("keras_transfer")
class HubLayer(SavedModelLayer):
    """Uses a SavedModel, from TF Hub or elsewhere, as a Keras 3 layer.

    This is `hub.KerasLayer` for Keras 3. The layer's weights are the
    SavedModel's own variables: they train, freeze and save like those of any
    layer. Reusable SavedModels, which can be called, can be trained. Those
    with signatures only, and the TF1 Hub format, are for inference.

    **Training.** What a SavedModel does in training (dropout, BatchNorm on
    batch statistics), it does when the layer is called with `training=True`,
    one of its variables is trainable, and `batch_norm` is not `"frozen"`: it
    has one switch for all of that. Its regularization losses count while one
    of its variables is trainable.

    **Saving.** A `.keras` file holds the SavedModel, so that it loads where
    the handle is out of reach, and trains on. A SavedModel is a program: load
    only files that you trust.

    **Dtypes** were fixed when the SavedModel was saved: `dtype` and mixed
    precision change nothing inside. Inputs are cast to what it expects;
    outputs keep its dtype, and the next layer casts them.

    Example:

    ```python
    model = keras.Sequential([
        keras.Input((224, 224, 3)),
        kt.HubLayer("https://tfhub.dev/google/imagenet/…/feature_vector/5"),
        keras.layers.Dense(10, activation="softmax"),
    ])
    ```

    Args:
        handle: A folder with a SavedModel, the URL of a `.tar.gz` of one, or
            the address of a model at tfhub.dev or kaggle.com. Downloads are
            kept in the folder that the environment variable `TFHUB_CACHE_DIR`
            names.
        trainable: Whether the SavedModel trains, or a regular expression:
            the variables train in whose names it is found (`re.search` in
            the names of `named_variables`). Setting the attribute to `False`
            freezes all, and to `True` returns to what was chosen here, or
            unfreezes all. Defaults to `False`.
        batch_norm: `"train"` or `"statistics"`: the SavedModel is told when
            it trains. `"frozen"`: it always computes as in inference, also
            while its variables train. Defaults to `"train"`, as in
            `hub.KerasLayer`.
        signature: The signature to call, instead of the SavedModel itself.
        output_key: Which output to return where they are a dict; needed for a
            signature with several.
        output_shape: The shape of the output without the batch, for a
            SavedModel that does not tell it.
        load: Pass `False` to load the SavedModel only when the layer is
            built.
        **kwargs: As for `keras.layers.Layer`.

    Raises:
        ValueError: If the handle cannot be resolved or loaded, if the
            SavedModel cannot be used or trained in the way asked for, or if
            no variable's name matches.
    """

    def __init__(
        self,
        handle: str | os.PathLike,
        *,
        trainable: bool | str = False,
        batch_norm: str = "train",
        signature: str | None = None,
        output_key: str | None = None,
        output_shape: tuple | None = None,
        load: bool = True,
        **kwargs,
    ):
        super().__init__(
            handle,
            signature,
            output_key,
            trainable=trainable is not False,
            **kwargs,
        )
        self.batch_norm = _check_batch_norm(batch_norm)
        self.saved_output_shape = output_shape and tuple(output_shape)
        self._pattern = _check_pattern(trainable)
        # The names of what trains, if it is not for `trainable` to say.
        self._choice = None
        if load:
            self.build(None)

    @keras.layers.Layer.trainable.setter
    def trainable(self, value):
        self._trainable = bool(value)
        self._choice = None
        self._set_flags()

    def train_variables(
        self, variables: list[keras.Variable], *, batch_norm: str = "frozen"
    ) -> None:
        """Train some of the layer's variables and freeze the others.

        It is saved with the layer. Setting `trainable` to `False` and then to
        `True` returns to what was chosen at construction.

        Args:
            variables: Variables of this layer. Those that no gradient trains
                (BatchNorm's moving averages) are passed over.
            batch_norm: As in the constructor. Defaults to `"frozen"`.

        Raises:
            ValueError: If a variable is not this layer's, or if the
                SavedModel cannot be trained.
        """
        names = {id(weight): name for name, weight in self._named}
        foreign = [v.path for v in variables if id(v) not in names]
        if foreign:
            raise ValueError(
                f"`variables` must be weights of layer {self.name}. "
                f"Received others: {foreign}"
            )
        if variables:
            self._refuse_if_inference_only()
        self.batch_norm = _check_batch_norm(batch_norm)
        chosen = {names[id(variable)] for variable in variables}
        self._choice = frozenset(chosen & self._trainable_names())
        self._trainable = bool(self._choice)
        self._set_flags()

    def build(self, input_shape=None):
        super().build(input_shape)
        self._set_flags()
        if self._trainable:
            self._refuse_if_inference_only()
            self._refuse_if_nothing_matches()

    def call(self, inputs, training=None):
        if self._opened is None:
            return self.stand_in(inputs)
        module = self._opened.module
        if self._trainable and module.signature:
            self._refuse_if_inference_only()
        trains = bool(self.trainable_variables)
        outputs = module(
            inputs,
            training=bool(training) and trains and self.batch_norm != "frozen",
        )
        if self.saved_output_shape is not None:
            batch = tf.nest.flatten(inputs)[0].shape[:1]
            outputs.set_shape(batch.concatenate(self.saved_output_shape))
        if any(x.shape.rank is None for x in tf.nest.flatten(outputs)):
            raise ValueError(
                "The SavedModel does not tell the shape of its output. Pass "
                "it, without the batch: `output_shape=(1280,)`. "
                f"Received: output_shape={self.saved_output_shape}"
            )
        if trains:
            for loss in module.regularization_losses:
                self.add_loss(loss())
        self._blueprint.remember(inputs, outputs)
        return outputs

    def _set_flags(self) -> None:
        chosen = self._usual_choice() if self._choice is None else self._choice
        for name, weight in self._named:
            weight.trainable = self._trainable and name in chosen

    def _usual_choice(self) -> set[str]:
        """Name what trains if `trainable` is all there is to say."""
        names = self._trainable_names()
        if self._pattern is None:
            return names
        return {name for name in names if re.search(self._pattern, name)}

    def _trainable_names(self) -> set[str]:
        specs = self._blueprint.variables if self._blueprint else ()
        return {spec.name for spec in specs if spec.trainable}

    def _refuse_if_inference_only(self) -> None:
        reason = self._opened and self._opened.module.why_not_trainable()
        if reason:
            raise ValueError(
                f"This SavedModel cannot be trained: {reason}. Leave the "
                "layer frozen (`layer.trainable = False`) and train what "
                f"comes after it. Received: handle={self.handle!r}, "
                f"trainable={self._pattern or True!r}"
            )

    def _refuse_if_nothing_matches(self) -> None:
        if self._pattern is not None and not self._usual_choice():
            names = sorted(self._trainable_names())
            raise ValueError(
                "`trainable` is found in the name of no trainable variable. "
                f"There are {len(names)}, such as {names[:8]}. "
                f"Received: trainable={self._pattern!r}"
            )

    def get_config(self):
        config = super().get_config()
        if self._pattern is not None:
            config["trainable"] = self._pattern
        return {
            **config,
            "batch_norm": self.batch_norm,
            "output_shape": self.saved_output_shape,
            "trained": self._unusual_choice(),
        }

    def _unusual_choice(self) -> list[str] | None:
        """Name what trains, unless `trainable` in the config says it all."""
        if not self._named:
            return None if self._choice is None else sorted(self._choice)
        trains = {name for name, weight in self._named if weight.trainable}
        said = self._trainable or self._pattern is not None
        usual = self._usual_choice() if said else set()
        return None if trains == usual else sorted(trains)

    @classmethod
    def from_config(cls, config):
        config = {**config, "load": False}
        trained = config.pop("trained", None)
        layer = super().from_config(config)
        if trained is not None:
            layer._choice = frozenset(trained)
            layer._trainable = bool(trained)
        return layer


def _check_pattern(trainable) -> str | None:
    if isinstance(trainable, bool):
        return None
    try:
        re.compile(trainable)
    except (TypeError, re.error) as error:
        raise ValueError(
            "`trainable` must be a bool or a regular expression for names of "
            f"variables ({error}). Received: trainable={trainable!r}"
        ) from error
    return trainable


def _check_batch_norm(batch_norm: str) -> str:
    if batch_norm not in _BATCH_NORM_RULES:
        raise ValueError(
            f"`batch_norm` must be one of {_BATCH_NORM_RULES}. "
            f"Received: batch_norm={batch_norm!r}"
        )
    return batch_norm

"""A second model like the first."""

import warnings

import keras
from keras.src.utils import tracking

from keras_transfer.freezing.adapted_variables import reread_adapted


def copy_model(model: keras.Model) -> keras.Model:
    """Make a model like another, that shares nothing with it.

    What trains, random states and the compilation are those of the model; the
    optimizer has the same settings and begins anew.

    Args:
        model: A built Keras model. It is left as it is.

    Returns:
        A model of the same class, with the same weights. It is not compiled
        where its loss or metrics cannot be copied, with a warning.

    Raises:
        ValueError: If the model cannot be built from its configuration.
    """
    if not model.built or not model.weights:
        raise ValueError(
            "The model must be built, and have weights: call it once. "
            f"Received: model={model.name}"
        )
    with keras.saving.custom_object_scope(_own_objects(model)):
        try:
            config = keras.saving.serialize_keras_object(model)
            compilation = config.pop("compile_config", None)
            # It is the user's own code, from this very process.
            twin = keras.saving.deserialize_keras_object(
                config, safe_mode=False
            )
            _copy_state(model, twin)
        except (NotImplementedError, TypeError, ValueError) as error:
            raise ValueError(
                "The model cannot be copied, as it cannot be built from its "
                f"configuration: {error}. Give it `get_config` and "
                f"`from_config`. Received: model={model.name}"
            ) from error
        if compilation:
            _compile_alike(twin, compilation)
    return twin


def _own_objects(model) -> dict:
    """Name the classes and functions that Keras may not know."""
    found = [type(layer) for layer in model._flatten_layers()]
    if model.compiled and hasattr(model, "_compile_config"):
        for part in keras.tree.flatten(model._compile_config.config):
            found.append(part if hasattr(part, "__name__") else type(part))
    return {
        part.__name__: part
        for part in found
        if not str(part.__module__).startswith(("keras.", "builtins"))
    }


def _copy_state(model, twin) -> None:
    for new, old in zip(twin.weights, model.weights, strict=True):
        new.assign(old)
        new.trainable = old.trainable
    reread_adapted(twin)
    layers = [x._flatten_layers() for x in (twin, model)]
    for new, old in zip(*layers, strict=True):
        # Not by the setter, which would carry on to what the layer holds.
        new._trainable = old._trainable
        pairs = zip(new._seed_generators, old._seed_generators, strict=True)
        for generator, its_own in pairs:
            generator.state.assign(its_own.state)
    names = getattr(model, "class_names", None)
    if names is not None and getattr(twin, "class_names", None) is None:
        _set_names(twin, names)


@tracking.no_automatic_dependency_tracking
def _set_names(model, names) -> None:
    model.class_names = names


def _compile_alike(twin, compilation) -> None:
    try:
        twin.compile_from_config(compilation)
    except Exception as error:  # it is about any code of the user's
        warnings.warn(
            "The new model is not compiled, as its loss or metrics cannot be "
            f"copied ({error}): compile it.",
            stacklevel=4,
        )

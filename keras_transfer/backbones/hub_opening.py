"""Open a SavedModel, with new variables or with those that a layer has."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_transfer.backbones.hub_blueprint import Blueprint
from keras_transfer.backbones.hub_handle import (
    HandleError,
    SavedModelFolder,
    load_saved_model,
)
from keras_transfer.backbones.hub_module import HubModule


@dataclasses.dataclass(frozen=True)
class OpenModule:
    """A SavedModel in use.

    Attributes:
        folder: Where it lies.
        loaded: What TensorFlow loaded.
        module: How to call it.
        blueprint: How to rebuild a layer around it.
    """

    folder: SavedModelFolder
    loaded: Any
    module: HubModule
    blueprint: Blueprint

    def save(self, target: str) -> None:
        """Write the SavedModel into a folder."""
        if self.folder.is_intact():
            self.folder.copy_to(target)
        else:
            # Whoever passed the folder has removed or changed it since.
            signatures = dict(getattr(self.loaded, "signatures", {}))
            tf.saved_model.save(self.loaded, target, signatures=signatures)


def open_module(
    folder: SavedModelFolder,
    signature: str | None,
    output_key: str | None,
    existing: dict[int, tf.Variable] | None = None,
) -> OpenModule:
    """Load a SavedModel.

    Args:
        folder: Where it lies.
        signature: As for `HubModule`.
        output_key: As for `HubModule`.
        existing: As for `load_saved_model`.

    Returns:
        An `OpenModule`.
    """
    loaded, created = load_saved_model(folder, existing)
    module = HubModule(loaded, signature, output_key)
    return OpenModule(folder, loaded, module, Blueprint.draw(module, created))


def open_into(
    variables: list[tf.Variable],
    blueprint: Blueprint,
    folder: SavedModelFolder,
    signature: str | None,
    output_key: str | None,
) -> OpenModule:
    """Load a SavedModel into variables that were made from its blueprint.

    Args:
        variables: The variables, in the blueprint's order. They take on the
            SavedModel's values.
        blueprint: The blueprint.
        folder: Where the SavedModel lies.
        signature: As for `HubModule`.
        output_key: As for `HubModule`.

    Returns:
        An `OpenModule`. Its variables are the given ones, save those of the
        TF1 format, which TensorFlow does not let us provide.

    Raises:
        HandleError: If the blueprint is not of this SavedModel.
    """
    arguments = (folder, signature, output_key)
    opened = open_module(*arguments, _at_positions(blueprint, variables))
    if not _holds(opened, variables):
        # Another version of TensorFlow may create them in another order.
        fresh = open_module(*arguments).blueprint
        if _identities(fresh) != _identities(blueprint):
            raise HandleError(
                "This SavedModel is not the one that the layer was built "
                f"from. Expected the variables {_identities(blueprint)}. "
                f"Received: {_identities(fresh)}"
            )
        blueprint = dataclasses.replace(fresh, calls=blueprint.calls)
        if {spec.position for spec in fresh.variables} != {None}:
            opened = open_module(*arguments, _at_positions(fresh, variables))
    # The new one knows no calls yet.
    return dataclasses.replace(opened, blueprint=blueprint)


def _at_positions(blueprint: Blueprint, variables: list[tf.Variable]) -> dict:
    positions = [spec.position for spec in blueprint.variables]
    return dict(zip(positions, variables, strict=True))


def _holds(opened: OpenModule, variables: list[tf.Variable]) -> bool:
    found = opened.module.variables
    return list(map(id, found)) == list(map(id, variables))


def _identities(blueprint: Blueprint) -> list:
    return [(spec.name, spec.shape) for spec in blueprint.variables]

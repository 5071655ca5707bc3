"""What a hub layer writes down to be rebuilt before its SavedModel is there."""

import dataclasses
import json
from typing import NamedTuple

import tensorflow as tf

from keras_transfer.backbones.hub_module import HubModule

_MAX_CALLS = 100


class VariableSpec(NamedTuple):
    """A variable: `position` is its place in the order of creation."""

    name: str
    shape: list[int]
    dtype: str
    trainable: bool
    position: int | None


@dataclasses.dataclass
class Blueprint:
    """A SavedModel's variables, and the shapes it has returned so far.

    Attributes:
        variables: A `VariableSpec` for each variable.
        input_dtype: The dtype of its inputs, if they all have the same.
        calls: For nests of inputs, described as JSON, the description of the
            outputs. The size of the batch is not part of it.
    """

    variables: list[VariableSpec]
    input_dtype: str | None
    calls: dict[str, dict] = dataclasses.field(default_factory=dict)

    @classmethod
    def draw(cls, module: HubModule, created: list[tf.Variable]) -> "Blueprint":
        """Describe a SavedModel that was loaded."""
        positions = {id(v): n for n, v in enumerate(created)}
        rows = zip(
            module.names, module.variables, module.trainable, strict=True
        )
        variables = [
            VariableSpec(
                name,
                variable.shape.as_list(),
                variable.dtype.name,
                trainable,
                positions.get(id(variable)),
            )
            for name, variable, trainable in rows
        ]
        dtypes = {
            x.dtype.name
            for spec in module.input_specs
            for x in tf.nest.flatten(spec)
        }
        return cls(variables, dtypes.pop() if len(dtypes) == 1 else None)

    def make_variables(self) -> list[tf.Variable]:
        """Create variables of zeros, for the SavedModel to be loaded into."""
        with tf.name_scope(""):
            return [
                tf.Variable(
                    tf.zeros(spec.shape, spec.dtype),
                    trainable=spec.trainable,
                    name=spec.name,
                )
                for spec in self.variables
            ]

    def remember(self, inputs, outputs) -> None:
        """Note what shapes a call has returned."""
        batch = _batch(inputs)
        if len(self.calls) < _MAX_CALLS:
            key = _key(_describe(inputs, batch))
            self.calls.setdefault(key, _describe(outputs, batch))

    def stand_in(self, inputs, message: str):
        """Return tensors like those of a remembered call, for tracing only.

        Args:
            inputs: A nest of tensors in a graph.
            message: The error, should the graph ever run.

        Returns:
            A nest of tensors, or `None` if there was no such call.
        """
        batch = _batch(inputs)
        outputs = self.calls.get(_key(_describe(inputs, batch)))
        if outputs is None:
            return None
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return _revive(outputs, batch)

    def to_config(self) -> dict:
        """Return the blueprint as lists and dicts that JSON can hold."""
        return {
            "variables": [list(spec) for spec in self.variables],
            "input_dtype": self.input_dtype,
            "calls": json.dumps(self.calls),
        }

    @classmethod
    def from_config(cls, config: dict) -> "Blueprint":
        """Undo `to_config`."""
        return cls(
            [VariableSpec(*spec) for spec in config["variables"]],
            config["input_dtype"],
            json.loads(config["calls"]),
        )


def _key(description: dict) -> str:
    return json.dumps(description, sort_keys=True)


def _batch(inputs) -> int | None:
    shape = tf.nest.flatten(inputs)[0].shape
    return shape[0] if shape.rank else None


def _describe(nest, batch: int | None) -> dict:
    if isinstance(nest, dict):
        return {"dict": {k: _describe(v, batch) for k, v in nest.items()}}
    if isinstance(nest, list | tuple):
        return {"list": [_describe(v, batch) for v in nest]}
    shape = nest.shape.as_list()
    if shape and shape[0] in (batch, None):
        shape[0] = "batch"
    return {"tensor": [shape, nest.dtype.name]}


def _revive(description: dict, batch: int | None):
    [(kind, content)] = description.items()
    if kind == "dict":
        return {k: _revive(v, batch) for k, v in content.items()}
    if kind == "list":
        return [_revive(v, batch) for v in content]
    shape, dtype = content
    shape = [batch if size == "batch" else size for size in shape]
    zeros = tf.zeros([size or 1 for size in shape], dtype)
    return tf.compat.v1.placeholder_with_default(zeros, shape)

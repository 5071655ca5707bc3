"""A loaded SavedModel as a function of tensors with known variables."""

import collections
import itertools
from collections.abc import Callable, Iterable

import tensorflow as tf

_SIGNATURES = ("serving_default", "default")


class HubModule:
    """What a layer needs to know of a loaded SavedModel, and how to call it.

    A reusable SavedModel is called by its `__call__`; another by one of its
    signatures, for inference only.

    Args:
        loaded: What `tf.saved_model.load` returned.
        signature: The signature to call. `None`: `__call__` or, where there
            is none, `"serving_default"`, `"default"` or the only signature.
        output_key: The output to return, where outputs are a dict. `None`:
            the dict or, for a signature, its only output.

    Attributes:
        variables: The `tf.Variable`s, each once, in the SavedModel's order.
        names: Their names, made unique, without `":0"`.
        trainable: For each of them whether it can be trained.
        regularization_losses: Functions without arguments.
        input_specs: The inputs it accepts, as nests of `tf.TensorSpec`.
    """

    def __init__(
        self,
        loaded,
        signature: str | None = None,
        output_key: str | None = None,
    ):
        signatures = dict(getattr(loaded, "signatures", {}))
        if signature is None and callable(loaded):
            function = loaded.__call__
        else:
            signature = _pick_signature(signatures, signature)
            function = signatures[signature]
            output_key = _pick_output(function, output_key)
        self.signature = signature
        self._function = function
        self._output_key = output_key
        traces = getattr(function, "concrete_functions", [function])
        self.input_specs = _input_specs(traces)
        self._takes_training = (
            signature is None
            and "training" in function.function_type.parameters
        )
        self.regularization_losses = list(
            getattr(loaded, "regularization_losses", [])
        )
        captured = [v for trace in traces for v in trace.graph.variables]
        self._find_variables(loaded, captured)

    def _find_variables(self, loaded, captured: list[tf.Variable]) -> None:
        listed = getattr(loaded, "variables", None)
        trainable = getattr(loaded, "trainable_variables", None)
        if self.signature:
            trainable = []
        elif trainable is None:
            trainable = [v for v in listed or captured if v.trainable]
        # The captured ones that are not listed are state, too, without which
        # a copy would compute something else.
        self.variables = _unique([*(listed or ()), *trainable, *captured])
        ids = set(map(id, trainable))
        self.trainable = [id(v) in ids for v in self.variables]
        self.names = _names(loaded, self.variables)

    def why_not_trainable(self) -> str | None:
        """Say why it cannot be trained, or return `None` if it can."""
        if self.signature:
            return (
                f"it is called by its signature {self.signature!r}, and "
                "signatures (as well as the TF1 Hub format) are for inference "
                "only: they know no training mode and no trainable variables"
            )
        if not any(self.trainable):
            return "it has no trainable variables"
        return None

    def __call__(self, inputs, *, training: bool):
        """Compute the outputs.

        Args:
            inputs: A tensor or a nest of tensors.
            training: Whether to compute as in training, if the SavedModel
                makes a difference.

        Returns:
            A tensor or a nest of tensors.

        Raises:
            ValueError: If the SavedModel does not accept these inputs.
        """
        kwargs = {"training": training} if self._takes_training else {}
        if self.signature:
            inputs = self._by_name(inputs)
        inputs = _cast(inputs, self.input_specs)
        args = (inputs,)
        if self.signature:
            args, kwargs = (), inputs
        try:
            outputs = self._function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            mode = f" with training={training}" if self._takes_training else ""
            raise ValueError(
                "The SavedModel does not accept these inputs. It was saved for "
                f"{_alternatives(self.input_specs)}. "
                f"Received: inputs={_describe(inputs)}{mode}"
            ) from error
        if self._output_key is None:
            return outputs
        if not isinstance(outputs, dict) or self._output_key not in outputs:
            keys = sorted(outputs) if isinstance(outputs, dict) else "no dict"
            raise ValueError(
                f"The SavedModel has no such output; its outputs are {keys}. "
                f"Received: output_key={self._output_key!r}"
            )
        return outputs[self._output_key]

    def _by_name(self, inputs) -> dict:
        names = sorted(self._function.structured_input_signature[1])
        if not isinstance(inputs, dict) and len(names) == 1:
            inputs = {names[0]: inputs}
        if not isinstance(inputs, dict) or sorted(inputs) != names:
            received = sorted(inputs) if isinstance(inputs, dict) else inputs
            raise ValueError(
                f"The signature {self.signature!r} takes a dict of inputs "
                f"with the keys {names}. Received: inputs={received}"
            )
        return inputs


def make_unique(names: Iterable[str]) -> list[str]:
    """Append `_1`, `_2` … to names that occurred before."""
    unique = {}
    for name in names:
        numbered = (f"{name}_{n}" for n in itertools.count(1))
        candidates = itertools.chain([name], numbered)
        unique[next(c for c in candidates if c not in unique)] = None
    return list(unique)


def _input_specs(traces) -> list:
    specs = []
    for trace in traces:
        positional, named = trace.structured_input_signature
        spec = positional[0] if positional else named
        if spec not in specs:
            specs.append(spec)
    return specs


def _pick_signature(signatures: dict, signature: str | None) -> str:
    wanted = [signature] if signature else [*_SIGNATURES, *signatures]
    known = [name for name in wanted if name in signatures]
    if not known or (
        signature is None and known[0] not in _SIGNATURES and len(known) > 1
    ):
        raise ValueError(
            "The SavedModel cannot be called by itself; choose one of its "
            f"signatures with `signature=`. They are: {sorted(signatures)}. "
            f"Received: signature={signature!r}"
        )
    return known[0]


def _pick_output(function: Callable, output_key: str | None) -> str:
    keys = sorted(function.structured_outputs)
    if output_key is None and (len(keys) == 1 or "default" in keys):
        return "default" if "default" in keys else keys[0]
    if output_key not in keys:
        raise ValueError(
            "Choose one of the signature's outputs with `output_key=`. They "
            f"are: {keys}. Received: output_key={output_key!r}"
        )
    return output_key


def _unique(variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    return list({id(v): v for v in variables}.values())


def _names(loaded, variables: list[tf.Variable]) -> list[str]:
    """Name variables; by their place in the object where names repeat."""
    names = [v.name.removesuffix(":0") for v in variables]
    repeated = {name for name, n in collections.Counter(names).items() if n > 1}
    paths = _object_paths(loaded) if repeated else {}
    names = [
        paths.get(id(v), name) if name in repeated else name
        for v, name in zip(variables, names, strict=True)
    ]
    return make_unique(names)


def _object_paths(loaded) -> dict[int, str]:
    """Map each variable's id to the attributes that lead to it."""
    found = {}
    queue = collections.deque([("", loaded)])
    while queue:
        path, node = queue.popleft()
        if id(node) in found:
            continue
        # With the node, lest another one is given its id.
        found[id(node)] = (path, node)
        for name, child in tf.train.TrackableView.children(node).items():
            queue.append((f"{path}/{name}".lstrip("/"), child))
    return {key: path for key, (path, _) in found.items()}


def _cast(inputs, specs: list):
    """Cast numbers to the dtypes that the SavedModel was saved with."""
    fitting = []
    for spec in specs:
        try:
            tf.nest.assert_same_structure(inputs, spec)
        except (TypeError, ValueError):
            continue
        fitting.append(spec)
    dtypes = [x.dtype for x in tf.nest.flatten(inputs)]
    for spec in fitting:
        if [s.dtype for s in tf.nest.flatten(spec)] == dtypes:
            return inputs
    if not fitting:
        return inputs
    return tf.nest.map_structure(_cast_tensor, inputs, fitting[0])


def _cast_tensor(tensor, spec):
    for dtype in (tensor.dtype, spec.dtype):
        if not (dtype.is_floating or dtype.is_integer):
            return tensor
    return tf.cast(tensor, spec.dtype)


def _describe(nest) -> str:
    def describe(x):
        shape = tuple(x.shape) if x.shape.rank else ""
        return f"{x.dtype.name}{shape}"

    return str(tf.nest.map_structure(describe, nest))


def _alternatives(specs: list) -> str:
    return " or ".join(dict.fromkeys(map(_describe, specs)))

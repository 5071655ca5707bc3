"""Give a trained classifier more classes."""

import math
from collections.abc import Sequence
from numbers import Integral

import keras
import numpy as np

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.builders.classifier import Classifier
from keras_transfer.builders.heads import count_classes
from keras_transfer.builders.output_layer import find_output_layer

_RARE = 0.01


def extend_classes(
    model: keras.Model, names: int | Sequence[str]
) -> Classifier:
    """Put new classes beside those that a classifier knows.

    The output layer becomes several `Dense` layers side by side, whose logits
    are joined before the softmax or the sigmoids: one with the weights that
    it had, and one for the new classes. So the logits of the old classes are
    the same to the bit until something trains, which a single, wider layer
    does not promise.

    With a softmax, the logit of a new class starts as the mean of the old
    ones, by the mean of their weights. Whatever the input, the answer stays
    the one of before, and with k new classes beside n each old one keeps at
    least n / (n + k) of its probability (Hewitt 2021, "Initializing new word
    embeddings for pretrained language models"). With sigmoids, the old
    probabilities stay as they are, and that of a new class starts at 0.01
    (Lin et al. 2017, arXiv:1708.02002, section 4.1).

    All that comes before the output layer is shared with the old model, its
    weights and what of it is trainable: hidden layers of a head, too. The
    weights of the output layer are copied, so that training the new head
    leaves the old model alone. The call itself changes nothing of it.

    Example:

    ```python
    birds = keras.models.load_model("birds.keras")
    more = kt.extend_classes(birds, ["owl", "stork"])
    memory = kt.choose_memory(birds, old_train, per_class=20)
    kt.fine_tune(more, kt.rehearse(new_train, memory), strategy="extraction")
    ```

    Args:
        model: A functional or sequential classifier that ends in a `Dense`
            layer and softmax or sigmoids. It may have been extended before.
        names: Names of the new classes. For a model without `class_names`
            also their number; with names, its old classes are then called
            `"0"`, `"1"` and so on.

    Returns:
        A new uncompiled model with the `class_names` of the old one, and then
        the new ones; or without any. From the same inputs to float32
        probabilities `(batch, classes)`.

    Raises:
        ValueError: If the names are not as described or not new, or the model
            is: one without a graph, with several outputs or a single sigmoid,
            or that ends in logits, LoRA or a layer of another kind.
    """
    output = find_output_layer(model)
    _check_output(model, output)
    old = sum(part.units for part in output.parts)
    names, new = _join_names(model, old, names)
    features, logits = output.features, f"{output.name}_logits"
    columns = []
    for number, part in enumerate(output.parts, 1):
        twin = _make_dense(part, part.units, f"{logits}_{number}")
        columns.append(twin(features))
        twin.set_weights(part.get_weights())
    added = _make_dense(part, new, f"{logits}_{number + 1}", use_bias=True)
    columns.append(added(features))
    _start(added, output)
    # Under a policy of half precision, it would round what is float32.
    joined = keras.layers.Concatenate(dtype="float32", name=logits)(columns)
    outputs = keras.layers.Activation(
        output.activation, dtype="float32", name=output.name
    )(joined)
    return Classifier(
        functional_graph(model).input,
        outputs,
        class_names=names,
        name=model.name,
    )


def _check_output(model, output) -> None:
    if output is None or len(output.features.shape) != 2:
        raise ValueError(
            "Expected a functional or sequential model with one output, that "
            "ends in a `Dense` layer (without LoRA) and softmax or sigmoids, "
            "as `kt.build_classifier` makes it; on logits, put a "
            f"`keras.layers.Softmax()` first. Received: model={model!r}"
        )
    if output.activation == "sigmoid" and output.parts[0].units == 1:
        raise ValueError(
            "A single sigmoid tells two classes apart, and has no place for a "
            "third: train a new head, `kt.replace_head(model, names)`. "
            f"Received: model={model.name}, with the output {output.name!r}"
        )


def _join_names(model, old: int, new) -> tuple[list[str] | None, int]:
    """Return the names of all classes, if they have some, and how many."""
    known = getattr(model, "class_names", None)
    if isinstance(new, Integral) and known is not None:
        raise ValueError(
            "The classes of this model have names: pass a list of names for "
            f"the new ones, too. Received: names={new!r}"
        )
    try:
        count, added = count_classes(new)
    except ValueError as error:
        raise ValueError(
            "`names` must be a list of different names, or a number of "
            f"classes. Received: names={new!r}"
        ) from error
    if added is None:
        return None, count
    known = [str(n) for n in range(old)] if known is None else list(known)
    if both := sorted(set(known) & set(added)):
        raise ValueError(
            f"The model has these classes already: {both}. Leave them out. "
            f"Received: names={new!r}"
        )
    return [*known, *added], count


def _make_dense(like, units: int, name: str, use_bias=None):
    """Make a layer of logits with the settings of another."""
    return keras.layers.Dense(
        units,
        use_bias=like.use_bias if use_bias is None else use_bias,
        kernel_initializer=like.kernel_initializer,
        bias_initializer=like.bias_initializer,
        kernel_regularizer=like.kernel_regularizer,
        bias_regularizer=like.bias_regularizer,
        kernel_constraint=like.kernel_constraint,
        bias_constraint=like.bias_constraint,
        dtype=like.dtype_policy,
        name=name,
    )


def _start(added, output) -> None:
    """Let new classes begin as the docstring of `extend_classes` says."""
    kernel, bias = 0.0, math.log(_RARE / (1 - _RARE))
    if output.activation == "softmax":
        old = [_read_columns(part) for part in output.parts]
        mean = np.concatenate(old, axis=1).mean(axis=1, keepdims=True)
        kernel, bias = mean[:-1], mean[-1]
    for variable, value in zip(added.weights, (kernel, bias), strict=True):
        variable.assign(np.broadcast_to(value, variable.shape))


def _read_columns(part) -> np.ndarray:
    """Return the kernel with the bias below it, a column a class."""
    kernel = np.asarray(keras.ops.convert_to_numpy(part.kernel), "float64")
    bias = np.zeros(part.units)
    if part.use_bias:
        bias = np.asarray(keras.ops.convert_to_numpy(part.bias), "float64")
    return np.vstack([kernel, bias])

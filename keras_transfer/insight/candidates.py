"""Networks to choose from, in whatever form they come."""

from collections.abc import Iterable, Mapping

import keras

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.graph import functional_graph
from keras_transfer.backbones.loading import load_backbone
from keras_transfer.backbones.own_model import head_input

Candidate = str | Backbone | keras.Model


def name_candidates(
    candidates: Iterable[Candidate] | Mapping[str, Candidate],
) -> dict[str, Candidate]:
    """Give each candidate a name of its own.

    Args:
        candidates: As for `rank_backbones`.

    Returns:
        The candidates by name, in their order.

    Raises:
        ValueError: If there are none, or this is no list and no dict.
    """
    if isinstance(candidates, Candidate) or not isinstance(
        candidates, Iterable
    ):
        raise ValueError(
            "`candidates` must be a list, or a dict by name. "
            f"Received: candidates={candidates!r}"
        )
    if isinstance(candidates, Mapping):
        named = {str(name): value for name, value in candidates.items()}
    else:
        named = {}
        for candidate in candidates:
            plain = getattr(candidate, "name", None) or str(candidate)
            name, number = plain, 1
            while name in named:
                number += 1
                name = f"{plain} ({number})"
            named[name] = candidate
    if not named:
        raise ValueError(
            "There must be a candidate or more. "
            f"Received: candidates={candidates!r}"
        )
    return named


def open_candidate(candidate: Candidate, shape: tuple) -> Backbone:
    """Load a candidate for inputs of a shape.

    Args:
        candidate: What `load_backbone` takes, or a `Backbone`.
        shape: Shape of one input.

    Returns:
        A `Backbone`.

    Raises:
        ValueError: If it takes inputs of another shape, or as `load_backbone`.
    """
    if isinstance(candidate, Backbone):
        backbone = candidate
    elif isinstance(candidate, keras.Model) and functional_graph(candidate):
        backbone = load_backbone(candidate)
    else:
        backbone = load_backbone(candidate, input_shape=shape)
    expected = backbone.input_shape
    if len(expected) != len(shape) or any(
        side not in (None, given)
        for side, given in zip(expected, shape, strict=True)
    ):
        raise ValueError(
            f"It takes inputs of shape {expected}. "
            f"Received: data of shape {shape}"
        )
    return backbone


def pool_candidate(candidate: Candidate, backbone: Backbone) -> Backbone:
    """Let a candidate give one vector for each example.

    Args:
        candidate: What was opened.
        backbone: The backbone that it was opened as.

    Returns:
        A `Backbone` whose features are those of `backbone`, averaged over
        height, width and steps; and after them, if the candidate is a model
        with a softmax head, the probabilities of its old classes.
    """
    entry = backbone.model.output
    axes = tuple(range(1, len(entry.shape) - 1))
    vectors = keras.ops.mean(entry, axis=axes) if axes else entry
    if _has_softmax(candidate) and head_input(candidate) is entry:
        parts = [
            keras.ops.cast(part, "float32")
            for part in (vectors, candidate.output)
        ]
        vectors = keras.ops.concatenate(parts, axis=-1)
    network = keras.Model(backbone.model.input, vectors)
    return Backbone(network, backbone.preprocess, backbone.source)


def _has_softmax(candidate) -> bool:
    if not isinstance(candidate, keras.Model) or not functional_graph(
        candidate
    ):
        return False
    last = candidate.output._keras_history.operation
    is_softmax = (
        isinstance(last, keras.layers.Softmax)
        or getattr(last, "activation", None) is keras.activations.softmax
    )
    return is_softmax and len(candidate.output.shape) == 2

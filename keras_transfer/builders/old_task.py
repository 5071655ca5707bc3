"""Answer an old task from a progressive network."""

import keras

from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.builders.classifier import Classifier
from keras_transfer.freezing.frozen_column import FrozenColumn


def old_task(model: keras.Model, number: int = 1) -> Classifier:
    """Return the classifier that a progressive network was built on.

    Its answers are those that it gave then, to the bit, whatever has been
    trained since, and when the network comes from a file as well.

    Example:

    ```python
    model = keras.models.load_model("fishes.keras")
    birds = kt.old_task(model)
    kt.decode_predictions(birds, birds.predict(images))
    ```

    Args:
        model: From `build_progressive`, or loaded from its file.
        number: Which of its old tasks, in the order in which they were
            learned. Defaults to 1, the first.

    Returns:
        A functional `keras.Model` with the `class_names` of the old one. Its
        weights are those of the frozen column: it cannot be trained.

    Raises:
        ValueError: If the model has no such column.
    """
    graph = functional_graph(model)
    columns = [
        node
        for node in (ordered_nodes(graph) if graph is not None else ())
        if isinstance(node.operation, FrozenColumn)
    ]
    if not columns:
        raise ValueError(
            "`model` must come from `kt.build_progressive`. "
            f"Received: model={model!r}"
        )
    if number not in range(1, len(columns) + 1):
        raise ValueError(
            f"`number` must be one of those of {len(columns)} old tasks, from "
            f"1 on. Received: number={number!r}"
        )
    column = columns[number - 1]
    return Classifier(
        graph.input,
        column.outputs[0],
        class_names=column.operation.class_names,
        name=f"{model.name}_task_{number}",
    )

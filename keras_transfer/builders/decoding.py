"""Name what a classifier predicts."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.builders.task import Task


def decode_predictions(
    model: keras.Model, predictions: np.ndarray | Mapping, top: int = 5
) -> list[list[tuple[str, float]]] | dict[str, list]:
    """Name the most probable classes, as `keras.applications` does.

    Example:

    ```python
    model = keras.models.load_model("flowers.keras")
    kt.decode_predictions(model, model.predict(images), top=1)
    # [[('tulip', 0.93)], [('rose', 0.61)]]

    model = keras.models.load_model("several_tasks.keras")
    kt.decode_predictions(model, model.predict(images), top=1)
    # {'species': [[('cat', 0.93)]], 'age': [0.31]}
    ```

    Args:
        model: A classifier of ours; it carries the names of its classes.
        predictions: What it predicted, `(batch, classes)`. A single column
            is the probability of the second of two classes. Or a dictionary
            of such, of a model from `build_multitask`.
        top: How many classes to name for each example. Defaults to 5.

    Returns:
        For each example a list of `(name, probability)`, the most probable
        first. Classes without names are called by their number. Of several
        tasks, that for each task that has classes, and a list of numbers for
        a regression.

    Raises:
        ValueError: If the predictions are not those of such a model.
    """
    if isinstance(model, MultitaskModel):
        names = [task.name for task in model.tasks]
        if not isinstance(predictions, Mapping) or set(predictions) - {*names}:
            raise ValueError(
                "Expected a dictionary of predictions by the name of a task: "
                f"{', '.join(names)}. Received: predictions={predictions!r}"
            )
        return {
            task.name: _decode_task(task, predictions[task.name], top)
            for task in model.tasks
            if task.name in predictions
        }
    return _decode(getattr(model, "class_names", None), predictions, top)


def _decode_task(task: Task, predictions, top: int) -> list:
    if task.kind == "regression":
        return np.asarray(predictions, float).reshape(-1).tolist()
    return _decode(task.class_names, predictions, top)


def _decode(names, predictions, top: int) -> list[list[tuple[str, float]]]:
    predictions = np.asarray(predictions)
    if predictions.ndim == 2 and predictions.shape[1] == 1:
        if names is None or len(names) == 2:
            predictions = np.hstack([1 - predictions, predictions])
    names = names or [str(n) for n in range(predictions.shape[-1])]
    if predictions.ndim != 2 or predictions.shape[1] != len(names):
        raise ValueError(
            f"Expected predictions of shape (batch, {len(names)}). "
            f"Received: predictions of shape {predictions.shape}"
        )
    order = np.argsort(-predictions, axis=1, kind="stable")[:, :top]
    return [
        [(names[n], float(row[n])) for n in best]
        for row, best in zip(predictions, order, strict=True)
    ]

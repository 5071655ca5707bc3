"""Name what a classifier predicts."""

import keras
import numpy as np


def decode_predictions(
    model: keras.Model, predictions: np.ndarray, top: int = 5
) -> list[list[tuple[str, float]]]:
    """Name the most probable classes, as `keras.applications` does.

    Example:

    ```python
    model = keras.models.load_model("flowers.keras")
    kt.decode_predictions(model, model.predict(images), top=1)
    # [[('tulip', 0.93)], [('rose', 0.61)]]
    ```

    Args:
        model: A classifier of ours; it carries the names of its classes.
        predictions: What it predicted, `(batch, classes)`. A single column
            is the probability of the second of two classes.
        top: How many classes to name for each example. Defaults to 5.

    Returns:
        For each example a list of `(name, probability)`, the most probable
        first. Classes without names are called by their number.

    Raises:
        ValueError: If the predictions are not those of such a model.
    """
    predictions = np.asarray(predictions)
    names = getattr(model, "class_names", None)
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

"""How good a classifier is with the weights that it has now."""

from collections.abc import Callable

import keras
import numpy as np

from keras_transfer.caching.answers import (
    collect_answers,
    make_predict,
    tally_answers,
)
from keras_transfer.data.example_order import without_epoch
from keras_transfer.data.labelled_batches import check_labelled_data


def make_score(model: keras.Model) -> Callable:
    """Make a function that scores a classifier, for repeated use.

    Args:
        model: A Keras model with one output. Its loss, if it is compiled,
            tells what outputs mean.

    Returns:
        A function from data, as for `iterate_batches`, to a tuple
        `(accuracy, loss)` with the weights of the moment. The accuracy is the
        share of right labels; the loss is without penalties and sample
        weights, and `None` if the model is not compiled with one. It raises a
        `ValueError` if this is no classifier, or the data has no end or no
        examples.
    """
    predict = make_predict(model)

    def score(data):
        check_labelled_data(data)
        answers = collect_answers(model, without_epoch(data), predict).get("")
        counts = None if answers is None else tally_answers(model, *answers)
        if counts is None:
            raise ValueError(
                "Weights are compared by the accuracy of a classifier with one "
                "output, on data with labels. "
                f"Received: model={model.name}, data={data!r}"
            )
        right = np.trace(counts, axis1=-2, axis2=-1).sum()
        loss = None
        if model.compiled and model._compile_loss is not None:
            loss = float(model._compile_loss(*answers))
        return float(right / counts.sum()), loss

    return score

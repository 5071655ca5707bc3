"""The moving averages of an optimizer whose variables come and go."""

import keras
from keras.src.utils import tracking

from keras_transfer.freezing.optimizer_variables import (
    known_variables,
    optimizer_chain,
)


def narrow_averages(model: keras.Model) -> None:
    """Let an optimizer's moving averages follow what trains, nothing else.

    With `use_ema=True`, Keras averages all variables that the optimizer was
    built for, and at the end of `fit` hands the averages to the trainable
    ones *in order*: to the wrong ones, if some are frozen. The average of a
    variable that starts to train starts with its value.

    Args:
        model: A compiled model, its optimizer built.
    """
    optimizer = optimizer_chain(model.optimizer)[-1]
    if not optimizer.use_ema:
        return
    pairs = _pair_averages(model, optimizer)
    followed = {id(v) for v in optimizer._trainable_variables}
    trained = [pairs[id(v)] for v in model.trainable_weights]
    for variable, average in trained:
        if id(variable) not in followed:
            average.assign(variable)
    _set_pairs(optimizer, trained)


def _pair_averages(model, optimizer) -> dict:
    """Map a variable's id to the variable and its average."""
    variables = known_variables(optimizer, model.weights)
    # The first slots that an optimizer makes.
    averages = [v for v in optimizer._variables if v.name.endswith("_average")]
    return {
        id(variable): (variable, average)
        for variable, average in zip(variables, averages, strict=False)
    }


@tracking.no_automatic_dependency_tracking
def _set_pairs(optimizer, pairs) -> None:
    variables, averages = zip(*pairs, strict=True) if pairs else ((), ())
    optimizer._trainable_variables = list(variables)
    optimizer._model_variables_moving_average = list(averages)

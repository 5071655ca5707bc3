"""Try weights between those before and those after fine-tuning."""

from collections.abc import Sequence

import keras

from keras_transfer.forgetting.interpolate_weights import (
    check_alpha,
    prepare_interpolation,
)
from keras_transfer.forgetting.score_weights import make_score
from keras_transfer.forgetting.weight_sweep import WeightSweep

_ALPHAS = tuple(n / 10 for n in range(11))


def sweep_weights(
    before: keras.Model | list,
    after: keras.Model | list,
    validation_data,
    *,
    alphas: Sequence[float] = _ALPHAS,
    old_data=None,
    train_data=None,
) -> WeightSweep:
    """Find out how far to go from the weights before to those after.

    It scores the models that `interpolate_weights` makes, as in figure 1 of
    Wortsman et al. 2022, arXiv:2109.01903. The best of many alphas on little
    data is the luckiest: what it scores there is more than it will elsewhere.

    Example:

    ```python
    sweep = kt.sweep_weights(before, model, validation, old_data=old)
    print(sweep)
    sweep.plot().savefig("between.png")
    model = sweep.model
    ```

    Args:
        before: As for `interpolate_weights`.
        after: As for `interpolate_weights`.
        validation_data: A `tf.data.Dataset` or `keras.utils.PyDataset` of
            batches `(x, y)`, or such a tuple of arrays.
        alphas: Floats in [0, 1]. Defaults to 0, 0.1, ... 1.
        old_data: Data of the task before, with the same classes. Defaults to
            `None`.
        train_data: As for `interpolate_weights`, gone through for each alpha
            if BatchNorm was not frozen. Defaults to `None`.

    Returns:
        A `WeightSweep`, with `rows`, `best`, `model` and `plot()`.

    Raises:
        ValueError: As `interpolate_weights`; or if there are no alphas, the
            model is no classifier or the data has no examples.
    """
    alphas = list(alphas)
    for alpha in alphas:
        check_alpha(alpha)
    if not alphas:
        raise ValueError(
            f"`alphas` must hold one number or more. Received: alphas={alphas}"
        )
    alphas = sorted(set(map(float, alphas)))
    model, move = prepare_interpolation(before, after, train_data)
    score = make_score(model)
    rows, best, weights = [], None, None
    for alpha in alphas:
        move(alpha)
        accuracy, loss = score(validation_data)
        row = {"alpha": alpha, "accuracy": accuracy, "loss": loss}
        if old_data is not None:
            row["old_accuracy"], row["old_loss"] = score(old_data)
        rows.append(row)
        # The first of equals stays.
        if best is None or row["accuracy"] > best["accuracy"]:
            best, weights = row, model.get_weights()
    model.set_weights(weights)
    return WeightSweep(rows, best["alpha"], model)

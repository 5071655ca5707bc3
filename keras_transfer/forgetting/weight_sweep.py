"""What `sweep_weights` returns: a table, a picture and a model."""

import dataclasses

import keras

from keras_transfer.forgetting.text_table import write_table

_COLUMNS = {
    "alpha": "alpha",
    "accuracy": "accuracy",
    "loss": "loss",
    "old_accuracy": "old accuracy",
    "old_loss": "old loss",
}


@dataclasses.dataclass(frozen=True, eq=False)
class WeightSweep:
    """Models between two others, and how good they are.

    It prints as a table: `print(sweep)`. For pandas:
    `pandas.DataFrame(sweep.rows)`.

    Attributes:
        rows: A list of dicts, one for each alpha in rising order, with the
            keys `"alpha"`, `"accuracy"` (in [0, 1], on validation data) and
            `"loss"` (`None` if the model has none); and with old data
            `"old_accuracy"` and `"old_loss"`.
        best: The alpha of the highest accuracy on validation data; of equals
            the smallest, which has forgotten least.
        model: The model of that alpha.
    """

    rows: list[dict]
    best: float
    model: keras.Model

    def plot(self):
        """Draw accuracy over alpha; with old data, new against old accuracy.

        No display is needed and matplotlib's backend stays as it is.

        Example:

        ```python
        sweep.plot().savefig("between.png")
        ```

        Returns:
            A `matplotlib.figure.Figure` of 800 by 450 pixels.
        """
        from keras_transfer.forgetting.sweep_figure import draw_sweep

        return draw_sweep(self.rows, self.best)

    def __str__(self) -> str:
        best = f"Best on validation data: alpha={self.best:g}."
        return f"{write_table(self.rows, _COLUMNS)}\n{best}"

    __repr__ = __str__

"""What `soup_weights` returns: a table and a model."""

import dataclasses

import keras

from keras_transfer.forgetting.text_table import write_table

_COLUMNS = {
    "model": "model",
    "accuracy": "accuracy",
    "together": "together",
    "joined": "joined",
}


@dataclasses.dataclass(frozen=True, eq=False)
class WeightSoup:
    """The average of several models, and how it came about.

    It prints as a table: `print(soup)`.

    Attributes:
        rows: A list of dicts, one for each model in the order in which they
            were tried, with the keys `"model"` (its number in the list that
            was given), `"accuracy"` (its own, on validation data),
            `"together"` (that of the average with it) and `"joined"` (whether
            it is in the average).
        chosen: The numbers of the models in the average.
        accuracy: That of the average on validation data, in [0, 1].
        model: The average, a new model.
    """

    rows: list[dict]
    chosen: list[int]
    accuracy: float
    model: keras.Model

    def __str__(self) -> str:
        rows = [
            row | {"joined": "yes" if row["joined"] else "no"}
            for row in self.rows
        ]
        count = f"{len(self.chosen)} of {len(rows)} models"
        last = f"The mean of {count}: accuracy {self.accuracy:.3f}."
        return f"{write_table(rows, _COLUMNS)}\n{last}"

    __repr__ = __str__

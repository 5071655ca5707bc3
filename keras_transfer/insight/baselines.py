"""What was measured before any training."""

import dataclasses

import numpy as np

from keras_transfer.insight.bootstrap import (
    bootstrap_interval,
    luck_of_the_best,
)

MOST_FREQUENT = "most frequent class of training"
NEIGHBOURS = "nearest neighbours"
REGRESSION = "logistic regression"
RANDOM_NEIGHBOURS = "nearest neighbours, random weights"
RANDOM_REGRESSION = "logistic regression, random weights"
PIXELS = "logistic regression, pixels"
ZERO_SHOT = "zero-shot, the source's own head"
SCRATCH = "the same model, trained from scratch"
_WITH_SOURCE = (NEIGHBOURS, REGRESSION, ZERO_SHOT)


@dataclasses.dataclass(frozen=True, eq=False)
class Baselines:
    """Accuracies that need no training of the network.

    Attributes:
        right: For each baseline, by its name, whether it was right about each
            example: 1, 0, or NaN where it has no answer.
        measured_on: `"validation"`, or `"held-out folds of the training"`.
        seconds: How long it all took.
        fitted_on: How many training examples they learned from; `None` for
            all there are.
    """

    right: dict[str, np.ndarray]
    measured_on: str
    seconds: float
    fitted_on: int | None = None

    @property
    def rows(self) -> list[dict]:
        """For each baseline a dict, fit for `pandas.DataFrame`.

        Keys are `"baseline"`, `"accuracy"`, `"low"` and `"high"` (the ends of
        its 95 % interval, by bootstrap) and `"examples"`.
        """
        rows = []
        for name, right in self.right.items():
            right = right[~np.isnan(right)] > 0
            low, high = bootstrap_interval(right)
            rows.append(
                {
                    "baseline": name,
                    "accuracy": float(right.mean()),
                    "low": low,
                    "high": high,
                    "examples": len(right),
                }
            )
        return rows

    @property
    def best_without_source(self) -> str:
        """The name of the best of those that know nothing of the source."""
        others = self._without_source
        return max(others, key=lambda name: np.nanmean(others[name]))

    @property
    def luck_of_the_best(self) -> float:
        """By how much that one, as the best of several, flatters itself."""
        return luck_of_the_best(list(self._without_source.values()))

    @property
    def _without_source(self) -> dict[str, np.ndarray]:
        return {
            name: right
            for name, right in self.right.items()
            if name not in _WITH_SOURCE
        }

    def gain(
        self, name: str = REGRESSION, than: str | None = None
    ) -> tuple[float, float, float]:
        """Compute by how much one is better than another.

        Args:
            name: The name of a baseline. Defaults to the logistic regression
                on the backbone's features.
            than: The name of another one. Defaults to the best of those that
                know nothing of the source.

        Returns:
            The difference of the accuracies on the examples that both
            answer, and the ends of its 95 % interval.
        """
        first, second = (
            self.right[n] for n in (name, than or self.best_without_source)
        )
        both = first - second
        both = both[~np.isnan(both)]
        return float(both.mean()), *bootstrap_interval(both)

    @property
    def verdict(self) -> str:
        """A sentence on whether what the source knows helps."""
        other = self.best_without_source
        gain, low, high = self.gain()
        interval = f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"
        if low > 0:
            return (
                f"The source helps: {interval} over the best without it "
                f"({other})."
            )
        if high + self.luck_of_the_best < 0:
            return (
                f"Negative transfer: the source's features do worse than "
                f"{other}, by {interval}. Are images preprocessed as it "
                "expects, and is there a source closer to them?"
            )
        return (
            f"Whether the source helps is not clear: {interval} over the best "
            f"without it ({other})."
        )

    def __str__(self) -> str:
        rows = self.rows
        width = max(len(row["baseline"]) for row in rows)
        lines = [f"On {self.measured_on} data, with 95 % intervals:"]
        lines += [
            f"{row['baseline']:{width}}   {row['accuracy']:.3f}   "
            f"{row['low']:.3f} to {row['high']:.3f}"
            for row in rows
        ]
        return "\n".join([*lines, "", self.verdict])

    __repr__ = __str__

"""What the curve of a learning-rate range test suggests."""

import dataclasses

import numpy as np

_COLORS = ("#d55e00", "#009e73", "#cc79a7")


def valley(learning_rates, losses) -> float:
    """Suggest a rate two thirds into the longest valley.

    The valley is the longest run of ever lower losses. Losses in between may
    be higher, so that noise does not end it, but do not count: the valley is
    as many steps long as the run has losses, and ends where the run ends. Of
    runs that are equally long it is the one that ends lowest. Two thirds into
    it, on the logarithmic scale, the loss falls fast and the rate is still
    far from where the loss explodes. After fastai's `valley`.

    Example:

    ```python
    valley([1e-4, 1e-3, 1e-2, 1e-1], [1.0, 0.8, 0.5, 0.2])  # 0.01
    ```

    Args:
        learning_rates: Rates, rising and evenly spaced on a logarithmic scale.
        losses: The loss at each rate, smoothed. From the first value on that
            is not finite they are left out.

    Returns:
        One of the rates.

    Raises:
        ValueError: If the loss never falls.
    """
    rates, losses = _check(learning_rates, losses)
    # For each end: how many losses the longest run down to it has.
    lengths = []
    for end, loss in enumerate(losses):
        before = [lengths[i] for i in range(end) if losses[i] > loss]
        lengths.append(1 + max(before, default=0))
    length = max(lengths)
    if length < 2:
        raise _never_fell(losses)
    ends = [i for i, count in enumerate(lengths) if count == length]
    end = min(ends, key=lambda i: losses[i])
    return float(rates[end - round((length - 1) / 3)])


def steepest(learning_rates, losses) -> float:
    """Suggest the rate at which the loss falls fastest.

    The slope is that over the logarithm of the rate, between points a tenth
    of the curve apart. It follows noise more than `valley` does.

    Example:

    ```python
    steepest([1e-4, 1e-3, 1e-2, 1e-1], [1.0, 0.9, 0.2, 0.3])  # 0.001
    ```

    Args:
        learning_rates: Rates, rising.
        losses: The loss at each rate, smoothed. From the first value on that
            is not finite they are left out.

    Returns:
        One of the rates.

    Raises:
        ValueError: If the loss never falls.
    """
    rates, losses = _check(learning_rates, losses)
    if len(losses) < 2:
        raise _never_fell(losses)
    # Neighbours differ by noise more than by the rate.
    width = min(max(2, 2 * round(len(losses) / 20)), len(losses) - 1)
    slopes = (losses[width:] - losses[:-width]) / np.log(
        rates[width:] / rates[:-width]
    )
    if not slopes.min() < 0:
        raise _never_fell(losses)
    return float(rates[slopes.argmin() + width // 2])


def minimum_over_10(learning_rates, losses) -> float:
    """Suggest a tenth of the rate at which the loss is lowest.

    At the minimum itself the rate is too high already: the loss stops to fall
    because it is about to explode.

    Example:

    ```python
    minimum_over_10([1e-3, 1e-2, 1e-1, 1.0], [1.0, 0.9, 0.3, 2.0])  # 0.01
    ```

    Args:
        learning_rates: Rates, rising.
        losses: The loss at each rate, smoothed. From the first value on that
            is not finite they are left out.

    Returns:
        A tenth of one of the rates.

    Raises:
        ValueError: If the loss never falls.
    """
    rates, losses = _check(learning_rates, losses)
    lowest = losses.argmin()
    if lowest == 0:
        raise _never_fell(losses)
    return float(rates[lowest] / 10)


@dataclasses.dataclass(frozen=True, eq=False)
class LearningRateCurve:
    """The loss at ever higher learning rates, from `find_learning_rate`.

    Attributes:
        learning_rates: Float array, the rate of each step that was taken.
        losses: Float array, the loss of each step's batch.
        smoothed_losses: Float array, their exponential moving average.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed_losses: np.ndarray

    @property
    def suggestion(self) -> float:
        """The rate that `valley` suggests.

        Raises:
            ValueError: If the loss never falls.
        """
        return valley(self.learning_rates, self.smoothed_losses)

    def plot(self, axes=None):
        """Draw the curve, with the suggestions marked.

        No display is needed and matplotlib's backend stays as it is. Losses
        far above where the curve starts are cut off.

        Example:

        ```python
        curve.plot().savefig("learning_rates.png")
        ```

        Args:
            axes: `matplotlib.axes.Axes` to draw on. By default those of a
                new figure.

        Returns:
            The `matplotlib.figure.Figure` that holds the axes.
        """
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(7, 4.5), layout="constrained").add_subplot()
        rates, smoothed = self.learning_rates, self.smoothed_losses
        axes.set_xscale("log")
        axes.plot(rates, self.losses, color="0.8", label="loss of the batch")
        axes.plot(rates, smoothed, color="#0072b2", label="smoothed")
        suggestions = (valley, steepest, minimum_over_10)
        for suggest, color in zip(suggestions, _COLORS, strict=True):
            self._mark(axes, suggest, color)
        lowest = smoothed.argmin()
        bottom, top = smoothed[lowest], smoothed[: lowest + 1].max()
        if top > bottom:
            room = top - bottom
            axes.set_ylim(bottom - 0.15 * room, top + 0.5 * room)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        return axes.get_figure()

    def _mark(self, axes, suggest, color: str) -> None:
        rates, smoothed = self.learning_rates, self.smoothed_losses
        try:
            rate = suggest(rates, smoothed)
        except ValueError:
            return
        height = np.interp(np.log(rate), np.log(rates), smoothed)
        label = f"{suggest.__name__.replace('_', ' ')}: {rate:.1e}"
        axes.plot([rate], [height], "o", color=color, label=label)


def _check(learning_rates, losses) -> tuple[np.ndarray, np.ndarray]:
    rates = np.asarray(learning_rates, "float64")
    losses = np.asarray(losses, "float64")
    if rates.shape != losses.shape or rates.ndim != 1 or not rates.size:
        raise ValueError(
            "Rates and losses must be two lists of the same length, of one "
            f"value or more. Received: learning_rates of shape {rates.shape}, "
            f"losses of shape {losses.shape}"
        )
    if not (rates[0] > 0 and np.all(np.diff(rates) > 0)):
        raise ValueError(
            f"Rates must be positive and rise. Received: learning_rates={rates}"
        )
    broken = ~np.isfinite(losses)
    count = int(broken.argmax()) if broken.any() else len(losses)
    if not count:
        raise ValueError(
            f"The first loss must be a finite number. Received: losses={losses}"
        )
    return rates[:count], losses[:count]


def _never_fell(losses: np.ndarray) -> ValueError:
    return ValueError(
        "The loss never fell, so no learning rate is better than another. It "
        "should fall over some rates before it explodes: start lower "
        "(`min_learning_rate`), take more `steps`, and check that labels fit "
        f"the loss and that what should train does. Received: {len(losses)} "
        f"losses from {losses[0]:.6g} to {losses[-1]:.6g}, "
        f"the lowest {losses.min():.6g}"
    )

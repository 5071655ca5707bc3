"""How fast an epoch goes."""

import time

import keras


class EpochSpeed:
    """Takes the time of epochs, and counts their examples."""

    def __init__(self):
        self._before = time.perf_counter()
        self._start = self._trained = None

    def begin_epoch(self) -> None:
        """Note that an epoch begins, when metrics have been reset."""
        self._start, self._trained = time.perf_counter(), None

    def end_training(self, model: keras.Model) -> None:
        """Note that all steps of the epoch are done, if they are not yet.

        Validation begins to count anew what was counted in training.
        """
        if self._start is not None and self._trained is None:
            seconds = time.perf_counter() - self._start
            self._trained = seconds, _count_examples(model)

    def measure(self, model: keras.Model) -> dict[str, float]:
        """Measure the epoch that ends.

        Returns:
            By its tag: the seconds since the last epoch ended, or the first
            began, with all that was done; the examples a second in the steps
            of training; and how many were taken from a cache.
        """
        self.end_training(model)
        now = time.perf_counter()
        found = {"speed/seconds": now - self._before}
        self._before, self._start = now, None
        seconds, count = self._trained
        if count:
            is_cached = getattr(model, "_cut", None) is not None
            found["speed/examples_per_second"] = count / seconds
            found["speed/cached_examples"] = count if is_cached else 0.0
        return found


def _count_examples(model) -> float | None:
    # Keras 3.15 weights the mean of the loss with the examples, if the model
    # lets it keep one, and resets it with the other metrics.
    tracker = getattr(model, "_loss_tracker", None)
    if not any(metric is tracker for metric in model.metrics):
        return None
    return float(keras.ops.convert_to_numpy(tracker.count))

"""How far the weights of each layer group have gone."""

from collections.abc import Mapping, Sequence, Set

import keras
import numpy as np


class WeightMovement:
    """Compares weights with what they were at first, and at the last look.

    Args:
        groups: The variables of each group, by its name. Statistics, such as
            those of BatchNorm, and integers are left out.
        before: What has compared the same model before it got other weights,
            or lost some: those that stay are held against their first values.
            Optional.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[keras.Variable]],
        before: "WeightMovement | None" = None,
    ):
        self._groups = {
            name: [v for v in variables if is_learned(v)]
            for name, variables in groups.items()
        }
        self._first = {
            name: self._read(name)
            for name, variables in self._groups.items()
            if variables
        }
        self._last = dict(self._first)
        if before is not None:
            self._take_first_from(before)
        self._drift = dict.fromkeys(self._first, 0.0)
        self._live = set(self._first)

    def _take_first_from(self, before) -> None:
        known = {
            id(variable): value
            for name, values in before._first.items()
            for variable, value in zip(
                before._groups[name], values, strict=True
            )
        }
        for name, values in self._first.items():
            self._first[name] = [
                known.get(id(variable), value)
                for variable, value in zip(
                    self._groups[name], values, strict=True
                )
            ]

    def begin(self) -> None:
        """Take the weights as they are now for those of the last look."""
        self._live = set(self._first)
        for name in self._live:
            self._last[name] = self._read(name)

    def measure(self, live: Set[str]) -> dict[str, tuple[float, float]]:
        """Measure all groups.

        Args:
            live: Names of groups that may have changed, beside those that
                could at the last look.

        Returns:
            For each group its drift `‖w - w₀‖ / ‖w₀‖`, where `w₀` are its
            first weights, and in the same way how far it went since the last
            look, in weights of then. A group that was nothing but zeros has
            gone infinitely far, or not at all.
        """
        updates = dict.fromkeys(self._first, 0.0)
        for name in self._first.keys() & (self._live | live):
            last, now = self._last[name], self._read(name)
            updates[name] = _compare(now, last)
            self._drift[name] = _compare(now, self._first[name])
            self._last[name] = now
        self._live = set(live)
        return {name: (self._drift[name], updates[name]) for name in updates}

    def _read(self, name) -> list[np.ndarray]:
        return [_to_numpy(v) for v in self._groups[name]]


def is_learned(variable: keras.Variable) -> bool:
    """Tell weights from statistics, such as BatchNorm's moving averages."""
    is_float = keras.backend.is_float_dtype(variable.dtype)
    return is_float and "moving_" not in variable.name


def _to_numpy(variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable.value)


def _compare(now, before) -> float:
    distance = _norm([a - b for a, b in zip(now, before, strict=True)])
    size = _norm(before)
    return distance / size if size else np.inf if distance else 0.0


def _norm(arrays) -> float:
    squares = [np.square(a, dtype="float32").sum() for a in arrays]
    return float(np.sqrt(np.sum(squares, dtype="float64")))

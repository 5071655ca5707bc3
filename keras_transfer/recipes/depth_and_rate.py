"""Choose what trains below the head, and how fast, when it is due."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.insight.source_distance import distance_beside_noise
from keras_transfer.recipes.choose_depth import (
    choose_option,
    needs_lower_rate,
    weigh_depths,
)
from keras_transfer.recipes.rate_trials import (
    USUAL_RATE,
    choose_learning_rate,
)

_LOOKED_AT = 32  # examples


class DepthAndRate:
    """Chooses for a phase after the head what `recommend` would.

    Args:
        batches: Batches of training data for trials.
        validation_data: Batches of data on which trials are judged.
        steps: Length of a trial; 0 to go by experience alone.
        per_class: Training examples of a class.
    """

    def __init__(
        self,
        batches: Sequence,
        validation_data: Sequence,
        *,
        steps: int,
        per_class: float,
    ):
        self._batches = batches
        self._validation_data = validation_data
        self._steps = steps
        self._per_class = per_class
        self._chosen = None

    def choose_depth(self, model: keras.Model) -> str:
        """Choose what trains, as `train` of a `Phase`.

        Args:
            model: A compiled classifier, its head trained; it is left so.

        Returns:
            `"head"`, `"top:N"` or `"all"`; the latter without trials where
            there is nothing to choose, or several replicas train.
        """
        replicas = model.distribute_strategy.num_replicas_in_sync
        if replicas > 1 or len(layer_groups(model)) < 3:
            return "all"
        options, _ = weigh_depths(
            model,
            batches=self._batches,
            validation_data=self._validation_data,
            steps=self._steps,
            per_class=self._per_class,
            distance=distance_beside_noise(model, self._take_few()),
        )
        self._chosen = choose_option(options)
        return self._chosen.train

    def choose_rate(self, model: keras.Model) -> float:
        """Choose how fast, as `learning_rate` of a `Phase`.

        Args:
            model: A compiled classifier, what trains in it set.

        Returns:
            The usual rate; where it did harm in the trial, the best of a few.
        """
        if self._chosen is None or not needs_lower_rate(self._chosen):
            return USUAL_RATE
        return choose_learning_rate(
            model,
            batches=self._batches,
            validation_data=self._validation_data,
            steps=self._steps,
        )

    def _take_few(self) -> np.ndarray:
        few, count = [], 0
        for x, *_ in self._batches:
            few.append(ops.convert_to_numpy(x))
            count += len(few[-1])
            if count >= _LOOKED_AT:
                break
        return np.concatenate(few)[:_LOOKED_AT]

"""What the layer groups of a model do, in numbers."""

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.callbacks.gradient_gauge import GradientGauge
from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.freezing.weight_movement import WeightMovement


class GroupScalars:
    """Measures the layer groups of a model that is being trained.

    Args:
        model: The model, with the weights that drift is measured from, of
            which a copy is kept.
        before: What has measured the model before its weights were others,
            as with `kt.add_lora`: drift goes on from there. Optional.

    Raises:
        ValueError: If the model has no groups.
    """

    def __init__(
        self, model: keras.Model, before: "GroupScalars | None" = None
    ):
        self._model = model
        self._weights = list(model.weights)
        self._groups = {
            group.name: group.variables for group in layer_groups(model)
        }
        self._movement = WeightMovement(
            self._groups, before and before._movement
        )
        self._gauge = None
        if model.distribute_strategy.num_replicas_in_sync == 1:
            self._gauge = GradientGauge(self._groups)

    def are_of(self, model: keras.Model) -> bool:
        """Tell whether these are the groups of a model as it is now."""
        # `add_lora` adds some, and `merge_lora` takes them away.
        now, then = ([id(w) for w in x] for x in (model.weights, self._weights))
        return model is self._model and now == then

    def begin(self) -> None:
        """Look on from now, in a `fit` that begins."""
        if self._gauge:
            self._gauge.attach(self._model)

    def end(self) -> None:
        """Leave the optimizer as it was."""
        if self._gauge:
            self._gauge.detach(self._model)

    def begin_epochs(self) -> None:
        """Take note of the weights before the first step of a `fit`."""
        self._movement.begin()

    def measure(self) -> dict[str, float]:
        """Measure what was done since the last call.

        Returns:
            By its tag, for each group: the learning rate, 0 where it does not
            train; its drift from the first weights, as a share of their norm;
            and where it trains, in the same way, the update since the last
            call, and the norm of its gradient in a step.
        """
        trained = {id(weight) for weight in self._model.trainable_weights}
        live = {
            name
            for name, variables in self._groups.items()
            if any(id(variable) in trained for variable in variables)
        }
        found = {}
        for name, rate in self._find_rates().items():
            found[f"learning_rate/{name}"] = rate if name in live else 0.0
        for name, (drift, update) in self._movement.measure(live).items():
            found[f"drift/{name}"] = drift
            if name in live:
                found[f"update/{name}"] = update
        if self._gauge:
            for name, norm in self._gauge.read().items():
                found[f"gradient/{name}"] = norm
        return found

    def _find_rates(self) -> dict[str, float]:
        chain = optimizer_chain(self._model.optimizer)
        rate = float(keras.ops.convert_to_numpy(chain[-1].learning_rate))
        rates = dict.fromkeys(self._groups, rate)
        for optimizer in chain:
            factors = getattr(optimizer, "group_multipliers", None) or {}
            for name, factor in factors.items():
                rates[name] *= factor
        return rates

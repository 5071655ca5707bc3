"""Discriminative learning rates: smaller steps in the lower layer groups."""

import math
import numbers
from collections.abc import Mapping

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.optimizers.wrapping import WrappingOptimizer, find_model


@keras.saving.register_keras_serializable("keras_transfer")
class DiscriminativeOptimizer(WrappingOptimizer):
    """Train each layer group of a model at a learning rate of its own.

    The lower a layer, the more general what it has learned from the source
    data, and the less it should move. So the learning rate of the wrapped
    optimizer is multiplied by a factor for each layer group (see
    `kt.layer_groups`): all of it for the head, less for each group below.
    Decoupled weight decay is scaled with it. Gradients are not: they are
    clipped and accumulated, and moments are estimated, as ever.

    The groups are those of the model that is compiled with this optimizer,
    read when the optimizer is built. With factor 0 no step, weight decay,
    constraint or averaging touches a group's weights, but they are still
    differentiated, and BatchNorm statistics move: `kt.set_trainable` freezes
    for less, and all of it.

    `learning_rate` is the rate of the groups with factor 1; schedules, and
    callbacks that set it, change the rates of all.

    Example:

    ```python
    adam = keras.optimizers.AdamW(1e-3)
    model.compile(
        kt.DiscriminativeOptimizer(adam, decay=1 / 2.6),
        loss="sparse_categorical_crossentropy",
    )
    kt.DiscriminativeOptimizer("sgd", multipliers={"stem": 0, "block_1": 0.1})
    ```

    Args:
        optimizer: A Keras optimizer that updates weights itself, or the name
            of one; from then on it is scaled, by itself too. Not `Ftrl`, whose
            first step forgets where weights were, at any rate. A
            `LossScaleOptimizer` goes around this one, not inside it;
            `mixed_float16` puts it there.
        decay: Number in (0, 1]. The factor of the last group (the head) is 1,
            and that of each group `decay` times that of the group above it.
            `None` is 1 for all. Defaults to `None`.
        multipliers: Factors of 0 or more by group name, in place of what
            `decay` gives to these groups. Defaults to `None`.
        name: Name of the optimizer. Defaults to `None`, for an automatic one.

    Attributes:
        inner_optimizer: The wrapped optimizer. It holds all state.
        group_multipliers: The factors by group name, from input to output;
            `None` before the optimizer is built.

    Raises:
        ValueError: If an argument is not as above; when built, if no model is
            compiled with this optimizer, or has no group of a name that is in
            `multipliers`.

    References:

    - [Howard & Ruder, 2018](https://arxiv.org/abs/1801.06146), with a decay
        of 1 / 2.6 a layer.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer | str,
        *,
        decay: float | None = None,
        multipliers: Mapping[str, float] | None = None,
        name: str | None = None,
    ):
        _check_numbers(decay, multipliers)
        optimizer = _check_optimizer(keras.optimizers.get(optimizer))
        super().__init__(optimizer, name=name)
        self.decay = None if decay is None else float(decay)
        self.multipliers = None
        if multipliers is not None:
            self.multipliers = {n: float(x) for n, x in multipliers.items()}
        self.group_multipliers = None
        self._multiplier_by_key = {}
        # Each calls the class's own, so that wrapping an optimizer anew
        # replaces the multipliers that it had. `_backend_update_step` is left
        # alone: Nadam keeps count of its calls, so there must be but one.
        optimizer.update_step = self._update_step
        optimizer._apply_weight_decay = self._decay_weights
        optimizer._update_model_variables_moving_average = self._update_averages
        optimizer._overwrite_model_variables_with_average_value = (
            self._overwrite_with_averages
        )

    def build(self, variables: list) -> None:
        """Find the model's groups, and build the wrapped optimizer.

        Args:
            variables: The variables to train.
        """
        groups = layer_groups(find_model(self, variables))
        names = [group.name for group in groups]
        given = self.multipliers or {}
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(
                f"Unknown layer groups: {unknown}. The layer groups of this "
                f"model are: {', '.join(names)}. "
                f"Received: multipliers={given}"
            )
        decay = self.decay or 1.0
        self.group_multipliers = {
            name: given.get(name, decay ** (len(names) - 1 - number))
            for number, name in enumerate(names)
        }
        self._multiplier_by_key = {
            self._var_key(variable): self.group_multipliers[group.name]
            for group in groups
            for variable in group.variables
        }
        if not self.inner_optimizer.built:
            self.inner_optimizer.build(variables)
        self._average_frozen()
        self.built = True

    def apply(self, grads, trainable_variables=None) -> None:
        """Update variables by their gradients.

        Args:
            grads: A list of gradients.
            trainable_variables: The variables that they belong to, some or all
                of those that the optimizer was built with. Defaults to `None`,
                for all.
        """
        grads = list(grads)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            if grads and not self.built:
                self.build(trainable_variables)
        elif not self.built:
            raise ValueError(
                "Without variables, `apply` needs an optimizer that is built. "
                "Call `optimizer.build(model.trainable_variables)` first. "
                f"Received: trainable_variables={trainable_variables}"
            )
        if all(self._multiplier_by_key.values()):
            self.inner_optimizer.apply(grads, trainable_variables)
            return
        # What is frozen never gets there: a rate of 0 would leave it to
        # momentum that it had before, and to constraints.
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        pairs = [
            (gradient, variable)
            for gradient, variable in zip(
                grads, trainable_variables, strict=True
            )
            if self._multiplier(variable)
        ]
        if pairs:
            self.inner_optimizer.apply(*map(list, zip(*pairs, strict=True)))
        elif grads:
            self._average_frozen()
            self._iterations.assign_add(1)

    def get_config(self):
        return {
            "name": self.name,
            "optimizer": keras.saving.serialize_keras_object(
                self.inner_optimizer
            ),
            "decay": self.decay,
            "multipliers": self.multipliers and dict(self.multipliers),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.saving.deserialize_keras_object(
            config["optimizer"], custom_objects=custom_objects
        )
        return cls(**{**config, "optimizer": optimizer})

    def _multiplier(self, variable) -> float:
        return self._multiplier_by_key.get(self._var_key(variable), 1.0)

    def _update_step(self, gradient, variable, learning_rate):
        multiplier = self._multiplier(variable)
        if multiplier != 1:
            learning_rate = learning_rate * multiplier
        inner = self.inner_optimizer
        type(inner).update_step(inner, gradient, variable, learning_rate)

    def _decay_weights(self, variables):
        by_multiplier = {}
        for variable in variables:
            multiplier = self._multiplier(variable)
            by_multiplier.setdefault(multiplier, []).append(variable)
        inner = self.inner_optimizer
        for multiplier, group in by_multiplier.items():
            optimizer = inner
            if multiplier != 1:
                optimizer = self._twin(_learning_rate=self._rate(multiplier))
            type(inner)._apply_weight_decay(optimizer, group)

    def _rate(self, multiplier):
        return lambda: self.inner_optimizer.learning_rate * multiplier

    def _update_averages(self, variables):
        inner = self.inner_optimizer
        type(inner)._update_model_variables_moving_average(inner, variables)
        # The mean of equal numbers is not always that number, in floats.
        self._average_frozen()

    def _average_frozen(self):
        if self.use_ema:
            for variable, average in self._averages():
                if not self._multiplier(variable):
                    average.assign(variable)

    def _overwrite_with_averages(self, variables):
        averages = {
            self._var_key(variable): average
            for variable, average in self._averages()
            if self._multiplier(variable)
        }
        # Keras goes by position, and is wrong where `fit` trains fewer
        # variables than the optimizer was built with.
        live = [v for v in variables if self._var_key(v) in averages]
        twin = self._twin(
            _model_variables_moving_average=[
                averages[self._var_key(variable)] for variable in live
            ]
        )
        type(twin)._overwrite_model_variables_with_average_value(twin, live)

    def _averages(self) -> list:
        """Pair variables with their averages; some (of float8) have none."""
        inner = self.inner_optimizer
        pairs = zip(
            inner._trainable_variables,
            inner._model_variables_moving_average,
            strict=True,
        )
        return [pair for pair in pairs if pair[1] is not None]

    def _twin(self, **changes):
        """Make a second optimizer of the wrapped one's state.

        To change the wrapped one and back is not safe: the replicas of
        `tf.distribute` trace these methods in threads that take turns.
        """
        inner = self.inner_optimizer
        twin = object.__new__(type(inner))
        vars(twin).update(vars(inner) | changes)
        return twin


def _check_optimizer(optimizer):
    # As `LossScaleOptimizer`, `MultiOptimizer` and this one do not define it.
    own = getattr(type(optimizer), "update_step", None)
    if own in (None, keras.optimizers.Optimizer.update_step):
        raise ValueError(
            "`optimizer` must be one that updates weights itself, not one "
            "around others. To scale the loss, put "
            "`LossScaleOptimizer` around the `DiscriminativeOptimizer`. "
            f"Received: optimizer={optimizer}"
        )
    return optimizer


def _check_numbers(decay, multipliers):
    if decay is not None and not (_is_number(decay) and 0 < decay <= 1):
        raise ValueError(
            f"`decay` must be a number in (0, 1]. Received: decay={decay!r}"
        )
    if multipliers is not None and not (
        isinstance(multipliers, Mapping)
        and all(_is_number(x) and x >= 0 for x in multipliers.values())
    ):
        raise ValueError(
            "`multipliers` must map names of layer groups to finite numbers "
            f"of 0 or more. Received: multipliers={multipliers!r}"
        )


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)

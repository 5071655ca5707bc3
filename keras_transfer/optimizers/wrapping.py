"""What an optimizer around another one needs."""

import gc
from collections.abc import Sequence

import keras

from keras_transfer.freezing.optimizer_variables import optimizer_chain


class _Delegated:
    """An attribute or method that is the wrapped optimizer's."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return getattr(instance.inner_optimizer, self.name)

    def __set__(self, instance, value):
        # `Optimizer.__init__` sets its defaults before there is one to ask.
        if hasattr(instance, "inner_optimizer"):
            setattr(instance.inner_optimizer, self.name, value)


class WrappingOptimizer(keras.optimizers.Optimizer):
    """Stands in for an optimizer, which holds all state.

    What Keras, its callbacks and users read or set on it is the wrapped
    optimizer's.

    Args:
        optimizer: The optimizer to wrap.
        name: Name of this one. Defaults to an automatic one.

    Attributes:
        inner_optimizer: The wrapped optimizer.
    """

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, name: str | None = None
    ):
        # A function: for a number Keras would create a variable.
        super().__init__(lambda: optimizer.learning_rate, name=name)
        self.inner_optimizer = optimizer

    learning_rate = _Delegated()
    iterations = _Delegated()
    variables = _Delegated()
    weight_decay = _Delegated()
    clipnorm = _Delegated()
    clipvalue = _Delegated()
    global_clipnorm = _Delegated()
    use_ema = _Delegated()
    ema_momentum = _Delegated()
    ema_overwrite_frequency = _Delegated()
    loss_scale_factor = _Delegated()
    gradient_accumulation_steps = _Delegated()
    scale_loss = _Delegated()
    finalize_variable_values = _Delegated()
    exclude_from_weight_decay = _Delegated()
    set_weights = _Delegated()
    # What callbacks of Keras read, `SwapEMAWeights` most of all.
    _iterations = _Delegated()
    _learning_rate = _Delegated()
    _trainable_variables = _Delegated()
    _trainable_variables_indices = _Delegated()
    _model_variables_moving_average = _Delegated()
    _distribution_strategy = _Delegated()

    def save_own_variables(self, store):
        # Keras goes on to the wrapped optimizer, which saves its own.
        pass

    def load_own_variables(self, store):
        pass


def find_model(
    optimizer: keras.optimizers.Optimizer, variables: Sequence
) -> keras.Model:
    """Find the model that is compiled with an optimizer.

    Keras does not tell an optimizer whose it is.

    Args:
        optimizer: An optimizer; others may be around it.
        variables: The variables that it is to train.

    Returns:
        The model. Of several, the one that holds most of the variables.

    Raises:
        ValueError: If there is none.
    """
    keys = set(map(optimizer._var_key, variables))
    models = [
        thing
        for thing in gc.get_objects()
        # `isinstance` would ask the thing, and some load modules then.
        if issubclass(type(thing), keras.Model) and _trains(optimizer, thing)
    ]

    def held(model):
        return len(keys.intersection(map(optimizer._var_key, model.weights)))

    # It may have trained other models before.
    model = max(models, key=held, default=None)
    if model is None or (keys and not held(model)):
        raise ValueError(
            "The optimizer reads its layer groups from the model that it "
            "trains, and there is none: `compile` the model with it first. "
            f"Received: variables={[v.name for v in variables]}"
        )
    return model


def _trains(optimizer, model) -> bool:
    own = vars(model).get("optimizer")
    chain = [] if own is None else optimizer_chain(own)
    return any(part is optimizer for part in chain)

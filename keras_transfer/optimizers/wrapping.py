"""What an optimizer around another one needs."""

import gc
from collections.abc import Sequence

import keras

from keras_transfer.freezing.optimizer_variables import optimizer_chain


class Delegated:
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

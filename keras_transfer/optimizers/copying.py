"""A second optimizer like the first."""

import keras

from keras_transfer.freezing.optimizer_variables import optimizer_chain

# Settings that Keras leaves out of the configuration.
_DECAY_RULES = (
    "_exclude_from_weight_decay",
    "_exclude_from_weight_decay_pattern",
)


def copy_optimizer(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """Make an optimizer like another, but without its learning rate.

    Args:
        optimizer: A Keras optimizer, or one around others. It is not touched.

    Returns:
        An optimizer of the same classes and settings, not built. Its rate is
        0, and can be set also where that of the other is a schedule.
    """
    chain = optimizer_chain(optimizer)
    owners = [vars(x) for x in chain if "_learning_rate" in vars(x)]
    rates = [attributes["_learning_rate"] for attributes in owners]
    try:
        # A schedule could not be set, and its class need not be serializable.
        for attributes in owners:
            attributes["_learning_rate"] = 0.0
        config = optimizer.get_config()
    finally:
        for attributes, rate in zip(owners, rates, strict=True):
            attributes["_learning_rate"] = rate
    classes = {type(part).__name__: type(part) for part in chain}
    with keras.saving.custom_object_scope(classes):
        copy = type(optimizer).from_config(config)
    for part, twin in zip(chain, optimizer_chain(copy), strict=True):
        for name in _DECAY_RULES:
            if hasattr(part, name):
                setattr(twin, name, getattr(part, name))
    return copy

"""What was compiled before a model's layers changed."""

import keras

from keras_transfer.freezing.optimizer_variables import rebuild_optimizer


def forget_compiled(model: keras.Model) -> None:
    """Let a model, and those nested in it, compile anew what they compute.

    What was traced goes on with the weights that there were. An optimizer
    that was built is built for what trains now; its state is new.

    Args:
        model: A Keras model, compiled or not.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.Model):
            layer.train_function = None
            layer.test_function = layer.predict_function = None
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        with model.distribute_strategy.scope():
            rebuild_optimizer(optimizer, model.trainable_variables)

import gc

import keras
import numpy as np
from tensorflow.python.framework.func_graph import FuncGraph

import keras_transfer as kt


def count_graphs(phases, *, compiles):
    """Train in phases; return how many graphs are alive after each."""
    head = keras.layers.Dense(2, "softmax")
    model = keras.Sequential([keras.Input((4,)), head])
    counts = []

    def count(epoch, logs):
        gc.collect()
        counts.append(sum(type(o) is FuncGraph for o in gc.get_objects()))

    watch = keras.callbacks.LambdaCallback(on_epoch_end=count)
    loss = "sparse_categorical_crossentropy"
    x, y = np.zeros((16, 4)), np.zeros(16, int)
    if compiles:
        for epoch in range(phases):
            model.compile("sgd", loss)
            options = {"initial_epoch": epoch, "epochs": epoch + 1}
            model.fit(x, y, callbacks=[watch], verbose=0, **options)
        return counts
    model.compile("sgd", loss)
    all_the_time = [kt.Phase("all", 1, 0.1) for _ in range(phases)]
    callbacks = [kt.GradualUnfreezing(all_the_time), watch]
    model.fit(x, y, epochs=phases, callbacks=callbacks, verbose=0)
    return counts


def test_phases_leave_no_graphs_behind():
    counts = count_graphs(4, compiles=False)
    assert counts[1:] == [counts[1]] * 3


def test_tensorflow_still_keeps_them():
    """When this fails, `forget_reduced_gradients` can go."""
    counts = count_graphs(3, compiles=True)
    assert counts[2] > counts[1] > counts[0]

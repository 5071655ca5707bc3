"""Optimizers rebuilt for other variables are as good as new ones."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.freezing.optimizer_variables import (
    known_variables,
    optimizer_chain,
    rebuild_optimizer,
)
from tests import networks

NAMES = [
    "SGD",
    "RMSprop",
    "Adam",
    "AdamW",
    "Adadelta",
    "Adagrad",
    "Adamax",
    "Adafactor",
    "Nadam",
    "Ftrl",
    "Lion",
    "Lamb",
    "Muon",
]


def make(name, **options):
    return getattr(keras.optimizers, name)(0.01, **options)


def optimizers():
    yield from ((name, lambda name=name: make(name)) for name in NAMES)
    yield "average", lambda: make("Adam", use_ema=True)
    yield "accumulation", lambda: make("Adam", gradient_accumulation_steps=2)
    yield (
        "loss scale",
        lambda: keras.optimizers.LossScaleOptimizer(make("Adam")),
    )
    yield (
        "discriminative",
        lambda: kt.DiscriminativeOptimizer(make("AdamW"), decay=0.5),
    )


CASES = dict(optimizers())
# These have conditions in their graphs; the others go without a graph.
TRACED = {"accumulation", "loss scale"}


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dense(3)]
    )


@pytest.mark.parametrize("name", CASES)
def test_a_rebuilt_optimizer_trains_like_a_new_one(name):
    x = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")

    def train(model):
        # Three steps, so that half of what is accumulated is left.
        model.fit(x, x[:, :3], batch_size=8, shuffle=False, verbose=0)
        return model.get_weights()

    new, rebuilt = network(), network()
    start = new.get_weights()
    eagerly = {"run_eagerly": name not in TRACED}
    new.compile(CASES[name](), "mse", **eagerly)
    optimizer = CASES[name]()
    rebuilt.compile(optimizer, "mse", **eagerly)
    optimizer.build(rebuilt.layers[-1].trainable_variables)
    rebuild_optimizer(optimizer, rebuilt.trainable_variables)
    expected = train(new)
    for _ in range(2):  # the second time, with state to forget
        for a, b in zip(expected, train(rebuilt), strict=True):
            np.testing.assert_array_equal(a, b)
        rebuild_optimizer(optimizer, rebuilt.trainable_variables)
        rebuilt.make_train_function(force=True)
        rebuilt.set_weights(start)
    assert len(known_variables(optimizer, rebuilt.weights)) == 4


def test_a_chain_goes_from_the_outside_in():
    adam = keras.optimizers.Adam()
    outer = keras.optimizers.LossScaleOptimizer(adam)
    assert optimizer_chain(adam) == [adam]
    assert optimizer_chain(outer) == [outer, adam]


def test_known_variables_come_in_the_order_of_the_optimizer():
    model, optimizer = networks.mlp(), keras.optimizers.Adam()
    assert known_variables(optimizer, model.weights) == []
    some = [model.weights[3], model.weights[0]]
    optimizer.build(some)
    found = known_variables(optimizer, model.weights)
    assert [id(v) for v in found] == [id(v) for v in some]


def test_what_was_rebuilt_can_be_exported(tmp_path):
    """TensorFlow 2.21 refuses lists from which something was deleted."""
    model = networks.mlp()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    rebuild_optimizer(model.optimizer, model.trainable_variables)
    model.export(tmp_path / "export", verbose=False)
    assert (tmp_path / "export" / "saved_model.pb").exists()


def test_the_rate_and_the_object_stay():
    model, optimizer = networks.mlp(), keras.optimizers.Adam(0.25)
    optimizer.build(model.trainable_variables[:2])
    rate = optimizer._learning_rate
    rebuild_optimizer(optimizer, model.trainable_variables)
    assert optimizer._learning_rate is rate and float(rate) == 0.25
    assert np.all(optimizer.variables[2].numpy() == 0)

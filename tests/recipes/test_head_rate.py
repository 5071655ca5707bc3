import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.recipes.head_rate import choose_head_rate
from tests import networks


def classifier(scale, features=100):
    """A head on features whose standard deviations sum up to 100 `scale`."""
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Rescaling(scale),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, activation="softmax", name="predictions"),
        ]
    )


def normal(features=100, count=32):
    x = np.random.default_rng(0).normal(size=(count, features))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")


@pytest.mark.parametrize(
    ("scale", "rate"),
    [
        (6.0, 5e-3),  # most backbones: a step moves logits by 3
        (0.5, 2 / 50),
        (100.0, 7 / 10_000),
        (1e-3, 0.5),
        (0.0, 5e-3),
    ],
)
def test_a_step_moves_logits_by_two_to_seven(scale, rate):
    model = classifier(scale)
    found = choose_head_rate(model, batches=[(normal(), np.zeros(32))])
    assert found == pytest.approx(rate, rel=1e-3)


def test_a_head_of_several_layers_keeps_the_usual_rate():
    model = kt.build_classifier(
        networks.tiny_backbone(),
        3,
        head=[keras.layers.Dense(8, activation="relu")],
    )
    x = np.zeros((4, 8, 8, 3), "uint8")
    assert choose_head_rate(model, batches=[(x, np.zeros(4))]) == 5e-3


def test_small_features_are_learned_in_the_epochs_there_are():
    """At the usual rate, 60 steps do not suffice."""
    x = np.repeat(normal(4, 96), 4, axis=1)
    y = x[:, :3].argmax(axis=1)
    losses = []
    for rate in (5e-3, None):
        keras.utils.set_random_seed(0)
        same = keras.layers.Dense(16, kernel_initializer="identity")
        model = keras.Sequential(
            [keras.Input((16,)), same, *classifier(0.02, 16).layers]
        )
        result = kt.fine_tune(
            model,
            (x, y),
            strategy="extraction",
            epochs=5,
            learning_rate=rate,
            log_dir=False,
            verbose=0,
        )
        losses.append(result.history["loss"][-1])
    assert losses[1] < 0.1 and losses[0] > 0.5
    assert result.phases[0].learning_rate == 0.5


def test_a_rate_that_is_given_stays():
    [phase] = kt.strategies.extraction(learning_rate=0.1, data=[(1, 1)])
    assert phase.learning_rate == 0.1
    [phase] = kt.strategies.extraction(data=[])
    assert phase.learning_rate == 5e-3


def test_a_look_at_data_of_ours_is_no_epoch():
    """And it is at all of its classes, also where these are in order."""
    x, y = normal(4, 96), np.repeat(np.arange(3), 32)

    def first_labels(looks):
        keras.utils.set_random_seed(0)
        data = batch_arrays((x, y), 8, shuffle=True, seed=1)
        if looks:
            [phase] = kt.strategies.extraction(data=data)
            [(_, seen)] = phase.learning_rate.keywords["batches"]
            assert sorted(set(seen.numpy().tolist())) == [0, 1, 2]
        return next(iter(data))[1].numpy().tolist()

    assert first_labels(looks=True) == first_labels(looks=False)

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.caching.cut import Cut
from keras_transfer.recipes import depth_trials
from keras_transfer.recipes.depth_trials import (
    Inputs,
    compute_inputs,
    list_depths,
    try_depths,
)
from tests import networks


def classifier():
    keras.utils.set_random_seed(0)
    model = kt.build_classifier(networks.tiny_backbone(), 3, dropout=0.0)
    networks.randomize(model)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def batches(count=32, seed=0):
    random = np.random.default_rng(seed)
    x = random.integers(0, 255, (count, 8, 8, 3)).astype("float32")
    y = np.arange(count) % 3
    x[..., 0] += 40.0 * y[:, None, None]
    return [(x[n : n + 8], y[n : n + 8]) for n in range(0, count, 8)]


def try_all(model, steps=30, learning_rate=0.1):
    return try_depths(
        model,
        list(list_depths(model)),
        batches=batches(),
        validation_data=batches(seed=1),
        steps=steps,
        learning_rate=learning_rate,
    )


def test_depths_go_from_the_head_to_all():
    assert list_depths(classifier()) == {
        "head": 0,
        "top:1": 1,
        "top:2": 2,
        "all": 3,
    }
    lite0 = kt.build_classifier(
        kt.load_backbone(
            "bundled:efficientnet_lite0", weights=None, input_shape=(33, 33, 3)
        ),
        3,
    )
    assert list(list_depths(lite0).items()) == [
        ("head", 0),
        ("top:2", 2),
        ("top:4", 4),
        ("top:8", 8),
        ("all", 17),
    ]
    with pytest.raises(ValueError, match="must have a head.*Received: model="):
        list_depths(
            keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        )


def test_the_model_is_left_as_it_was():
    model = classifier()
    kt.set_trainable(model, "head")
    before = networks.values(model.variables)
    trained = [w.path for w in model.trainable_weights]
    state = np.random.get_state()[1].copy()
    try_all(model)
    assert not networks.moved(model.variables, before)
    assert [w.path for w in model.trainable_weights] == trained
    assert model._cut is None and not model.optimizer.built
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_a_trial_is_what_training_on_the_images_gives(monkeypatch):
    """Whether what is frozen is computed once or in each step."""
    cached = try_all(classifier())
    monkeypatch.setattr(depth_trials, "_MOST_BYTES", 0)
    plain = try_all(classifier())
    assert [t.train for t in cached] == ["head", "top:1", "top:2", "all"]
    for one, other in zip(cached, plain, strict=True):
        np.testing.assert_array_equal(one.right, other.right)
        assert one.right.shape == (32,)
    assert cached[0].seconds == 0 < cached[1].seconds
    # Training changes the answers, or this compares nothing.
    assert any((t.right != cached[0].right).any() for t in cached[1:])


def test_nothing_is_learned_at_rate_0():
    head, *others = try_all(classifier(), learning_rate=0.0)
    for trial in others:
        np.testing.assert_array_equal(trial.right, head.right)


def test_features_of_one_cut_come_from_another():
    model = classifier()
    images = Inputs(None, batches(), batches(seed=1))
    kt.set_trainable(model, "top:2")
    known = compute_inputs(model, images)
    kt.set_trainable(model, "head")
    blind = Inputs(None, [], [])  # what is known must suffice
    found = compute_inputs(model, blind, known)
    expected = Cut(model).run_prefix(images.train[0][0])
    assert found.cut.names == tuple(expected)
    for name, tensor in expected.items():
        np.testing.assert_allclose(
            found.train[0][0][name], tensor, rtol=1e-5, atol=1e-6
        )
    kt.set_trainable(model, "all")
    assert compute_inputs(model, images) is images


def test_only_answers_can_be_compared():
    model = classifier()
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="classifier.*Received: model="):
        try_depths(
            model,
            ["head"],
            batches=batches(),
            validation_data=[(x, np.zeros((8, 3, 2))) for x, _ in batches()],
            steps=1,
            learning_rate=0.1,
        )


def test_what_the_optimizer_did_before_makes_no_difference():
    """A trial is the start of a phase, whatever the head has taken."""
    found = []
    for epochs in (0, 5):
        model = classifier()
        kt.set_trainable(model, "all")
        model.compile(
            keras.optimizers.Adam(0.0, use_ema=True),
            "sparse_categorical_crossentropy",
        )
        for x, y in batches() * epochs:
            model.train_on_batch(x, y)
        kt.set_trainable(model, "head")
        found.append([trial.right for trial in try_all(model)])
    np.testing.assert_array_equal(*found)

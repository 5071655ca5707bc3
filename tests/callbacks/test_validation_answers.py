import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.caching.answers import collect_answers
from keras_transfer.callbacks import answer_pages
from keras_transfer.callbacks.validation_answers import ValidationAnswers


def data(count=20, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, 8, 8, 3))
    return x.astype("float32"), np.arange(count) % 3


def build(**options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


class Listen(keras.callbacks.Callback):
    """Takes what was heard, and what is true, after each epoch."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted, self.heard, self.true = wanted, [], []

    def on_train_begin(self, logs=None):
        self.answers = ValidationAnswers(self.model)
        self.can = self.answers.can_attach(self.wanted)
        if self.can:
            self.answers.attach()

    def on_test_begin(self, logs=None):
        self.answers.begin()

    def on_test_end(self, logs=None):
        self.answers.end()

    def on_epoch_end(self, epoch, logs=None):
        # On other data, by somebody else.
        self.model.evaluate(*data(9, seed=2), verbose=0)
        self.heard.append(self.answers.take().get(""))
        self.true.append(self.model.predict(data(20, seed=1)[0], verbose=0))
        assert self.answers.take() == {}

    def on_train_end(self, logs=None):
        self.answers.detach()


def fit(model, wanted, held_back, **options):
    listen = Listen(wanted)
    model.fit(
        *data(),
        validation_data=held_back,
        epochs=2,
        batch_size=8,
        callbacks=[listen],
        verbose=0,
        **options,
    )
    return listen


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("kind", ["arrays", "dataset"])
def test_what_is_heard_is_what_the_model_answers(kind, eagerly):
    held_back = data(20, seed=1)
    if kind == "dataset":
        held_back = tf.data.Dataset.from_tensor_slices(held_back).batch(8)
    model = build(run_eagerly=eagerly)
    listen = fit(model, held_back, held_back)
    for (labels, outputs), true in zip(listen.heard, listen.true, strict=True):
        assert labels.tolist() == data(20, seed=1)[1].tolist()
        np.testing.assert_allclose(outputs, true, atol=1e-6)
    assert "compute_loss" not in vars(model)
    model.evaluate(*data(), verbose=0)
    assert listen.answers.take() == {}


def test_the_training_is_the_same():
    held_back, results = data(20, seed=1), []
    for wanted in (held_back, None):
        model = build()
        fit(model, wanted, held_back)
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_heard_is_known_before():
    held_back = data(20, seed=1)
    assert not fit(build(), data(), held_back).can
    assert not fit(build(), held_back, held_back, validation_steps=1).can
    assert not fit(build(), None, None).can


def test_what_xla_compiles_is_not_heard():
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=True)
    # `fit` itself would fail.
    model.fit = lambda: None
    held_back = data(20, seed=1)

    def fit(validation_data, validation_steps=None):
        return ValidationAnswers(model).can_attach(validation_data)

    assert not fit(held_back)
    model.jit_compile = False
    assert fit(held_back)


class OwnLoss(keras.Model):
    def compute_loss(self, x, y, y_pred, sample_weight, *, training):
        return super().compute_loss(x, y, y_pred, sample_weight, training)


class OwnStep(keras.Model):
    def test_step(self, data):
        return super().test_step(data)


@pytest.mark.parametrize("kind", [OwnLoss, OwnStep])
def test_a_model_with_its_own_steps_is_left_alone(kind):
    plain, held_back = build(), data(20, seed=1)
    model = kind(plain.inputs, plain.outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert not fit(model, held_back, held_back).can


def test_outputs_of_each_pixel_are_not_kept():
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Conv2D(3, 1, activation="softmax")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, _ = data()
    pair = x, np.zeros((20, 8, 8), int)
    listen = Listen(pair)
    listen.on_epoch_end = lambda epoch, logs=None: None
    model.fit(*pair, validation_data=pair, callbacks=[listen], verbose=0)
    assert listen.can and listen.answers.take() == {}


@pytest.mark.parametrize("cache", ["auto", False])
def test_the_board_needs_no_pass_of_its_own(tmp_path, monkeypatch, cache):
    passes = []

    def collect(*args):
        passes.append(args)
        return collect_answers(*args)

    monkeypatch.setattr(answer_pages, "collect_answers", collect)
    backbone = kt.load_backbone(
        keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv")]
        )
    )
    kt.fine_tune(
        kt.build_classifier(backbone, 3),
        data(),
        data(20, seed=1),
        strategy=[kt.Phase("head", 2, 0.1), kt.Phase("all", 2, 0.1)],
        log_dir=tmp_path,
        cache=cache,
        verbose=0,
    )
    run = kt.read_run(tmp_path)
    assert "class_report" in run.texts and "report" in run.texts
    # For the pictures of each phase, not for the four epochs.
    assert len(passes) == 2

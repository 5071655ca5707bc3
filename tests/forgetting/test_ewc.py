import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.forgetting.ewc import EWC
from keras_transfer.forgetting.l2sp import L2SP
from tests import networks


def linear(units, activation, seed=0):
    """A classifier whose Fisher information has a closed form."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation)]
    )
    random = np.random.default_rng(seed)
    model.set_weights(
        [random.normal(size=(4, units)), random.normal(size=units)]
    )
    return model


def examples(count=12):
    return np.random.default_rng(1).normal(size=(count, 4)).astype("float32")


def chances_of(model, x, squash):
    kernel, bias = (value.astype("float64") for value in model.get_weights())
    return squash(x.astype("float64") @ kernel + bias)


def softmax(logits):
    chances = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return chances / chances.sum(axis=-1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def assert_fisher(ewc, variance, x, rtol=1e-4):
    """Compare with a mean over examples of what each logit counts."""
    expected = np.square(x).T @ variance / len(x), variance.mean(axis=0)
    for found, right in zip(ewc.fisher, expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=rtol)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_fisher_of_multinomial_regression_in_closed_form(activation):
    model, x = linear(3, activation), examples()
    ewc = EWC(model, x, from_logits=None if activation else True)
    chances = chances_of(model, x, softmax)
    assert_fisher(ewc, chances * (1 - chances), x)
    assert all(values.dtype == "float32" for values in ewc.fisher)


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_fisher_of_logistic_regressions_in_closed_form(activation, units):
    model, x = linear(units, activation), examples()
    if activation is None:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile("sgd", loss)
    ewc = EWC(model, x)
    chances = chances_of(model, x, sigmoid)
    assert_fisher(ewc, chances * (1 - chances), x)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_fisher_stays_right_where_the_model_is_sure(activation):
    """Probabilities from 1e-25 to 1, which leave nothing but zeros or NaN."""
    model, x = linear(3, activation), examples()
    model.set_weights([30 * value for value in model.get_weights()])
    squash = softmax if activation == "softmax" else sigmoid
    chances = chances_of(model, x, squash)
    ewc = EWC(model, x)
    assert_fisher(ewc, chances * (1 - chances), x, rtol=1e-2)


def test_labels_of_the_data_give_the_empirical_fisher():
    model, x = linear(3, "softmax"), examples()
    labels = np.arange(len(x)) % 3
    errors = chances_of(model, x, softmax) - np.eye(3)[labels]
    for y in (labels, labels[:, None], np.eye(3)[labels]):
        ewc = EWC(model, (x, y), labels="true")
        assert_fisher(ewc, np.square(errors), x)
    # Not the square of the gradient of a batch.
    batch = np.square(x.T @ errors / len(x))
    assert (ewc.fisher[0] > 2 * batch).any()
    model = linear(3, "sigmoid")
    errors = chances_of(model, x, sigmoid) - np.eye(3)[labels]
    ewc = EWC(model, (x, np.eye(3)[labels]), labels="true")
    assert_fisher(ewc, np.square(errors), x)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_drawn_labels_tend_to_the_expected_ones(activation):
    model, x = linear(3, activation), examples(1)
    many = np.repeat(x, 1000, axis=0)
    expected = EWC(model, x).fisher
    drawn = [
        EWC(model, many, labels="sampled", examples=1000, seed=seed).fisher
        for seed in (0, 0, 1)
    ]
    for a, b, c, right in zip(*drawn, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
        np.testing.assert_allclose(a, right, rtol=0.25)


def tokens():
    """A network that reads rows of an embedding several times."""
    return keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            keras.layers.Embedding(5, 6),
            keras.layers.Dense(4, "tanh"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("network", [networks.cnn, tokens])
def test_fisher_against_gradients_one_by_one(network):
    model = network()
    networks.randomize(model)
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    x = networks.batch_for(model, 3) % 5
    model.trainable = False
    ewc = EWC(model, (x,))
    values = [variable.value for variable in ewc.variables]
    sums = [0.0] * len(values)
    for row in range(3):
        for label in range(3):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                outputs = model(x[row : row + 1], training=False)
                score = tf.nn.log_softmax(outputs)[0, label]
            gradients = tape.gradient(score, values)
            chance = np.exp(score.numpy())
            for n, gradient in enumerate(gradients):
                gradient = tf.convert_to_tensor(gradient).numpy()
                sums[n] = sums[n] + chance * np.square(gradient) / 3
    for found, right in zip(ewc.fisher, sums, strict=True):
        scale = right.max()
        np.testing.assert_allclose(
            found, right, rtol=1e-3, atol=1e-5 * scale + 1e-12
        )


def test_each_kind_of_data_and_no_more_examples_than_asked_for():
    model, x = linear(3, "softmax"), examples(40)
    y = np.zeros(40, "int64")

    class Batches(keras.utils.PyDataset):
        num_batches = 4

        def __getitem__(self, number):
            return x[number * 10 : number * 10 + 10], y[:10]

    dataset = tf.data.Dataset.from_tensor_slices(x).batch(7)
    endless = tf.data.Dataset.from_tensor_slices((x, y)).batch(40).repeat()
    for data in (x, (x, y), dataset, endless, Batches()):
        ewc = EWC(model, data, examples=40)
        chances = chances_of(model, x, softmax)
        assert_fisher(ewc, chances * (1 - chances), x)
        ewc.remove()
    chances = chances_of(model, x[:9], softmax)
    ewc = EWC(model, dataset, examples=9)
    assert_fisher(ewc, chances * (1 - chances), x[:9])
    few = [EWC(model, x, examples=9, seed=seed).fisher[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(few[0], few[1])
    assert (few[0] != few[2]).any()


def test_updates_against_values_by_hand():
    model, x = linear(3, "softmax"), examples()
    model.compile("sgd", "sparse_categorical_crossentropy")
    ewc = EWC(model, x, 10.0)
    assert ewc.penalty() == 0
    first = ewc.fisher
    starts = model.get_weights()
    model.set_weights([value + 0.5 for value in starts])
    expected = 10 / 2 * sum(f.sum() for f in first) * 0.25
    assert ewc.penalty() == pytest.approx(expected, rel=1e-5)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    held = model.evaluate(x, np.zeros(len(x)), verbose=0)
    other = examples(20)[12:]
    ewc.update(other, decay=0.25)
    assert ewc.penalty() == 0
    # What was compiled sees the new anchor.
    freed = model.evaluate(x, np.zeros(len(x)), verbose=0)
    assert held - freed == pytest.approx(expected, rel=1e-3)
    second = EWC(linear_like(model), other).fisher
    for found, a, b in zip(ewc.fisher, first, second, strict=True):
        np.testing.assert_allclose(found, 0.25 * a + b, rtol=1e-4)
    ewc.strength = 4.0
    model.set_weights(starts)
    expected = 4 / 2 * sum(f.sum() for f in ewc.fisher) * 0.25
    assert ewc.penalty() == pytest.approx(expected, rel=1e-4)


def linear_like(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def test_a_new_head_is_free_and_held_after_an_update():
    animals = kt.build_classifier(networks.tiny_backbone(), 3)
    x = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3))
    x = x.astype("float32")
    ewc = EWC(animals, x, 1e3)
    birds = kt.replace_head(animals, 2)
    kt.set_trainable(birds, "all")
    head = kt.layer_groups(birds)[-1].variables
    assert not any(variable.regularizer for variable in head)
    for variable in birds.trainable_weights:
        variable.assign_add(keras.ops.full(variable.shape, 0.1))
    assert len(birds.losses) == 6  # kernels and biases below the head
    held = float(sum(birds.losses))
    assert held > 0
    count, old = len(ewc.variables), ewc.fisher
    ewc.update(x, decay=0.5, model=birds)
    assert ewc.penalty() == 0
    assert len(ewc.variables) == count + len(head)
    assert all(variable.regularizer for variable in head)
    # The old head has no part in the new task: its share decays.
    names = [v.path for v in ewc.variables[:count]]
    n = max(n for n, name in enumerate(names) if name.endswith("bias"))
    np.testing.assert_allclose(ewc.fisher[n], old[n] / 2)
    ewc.remove()
    assert not any(v.regularizer for m in (animals, birds) for v in m.weights)


def test_measuring_leaves_no_trace_and_removal_gives_back_the_training():
    models = []
    for anchored in (False, True):
        keras.utils.set_random_seed(0)
        model = networks.build("mlp")
        x = networks.batch_for(model, 24)
        y = np.arange(24) % 3
        model.compile("adam", "sparse_categorical_crossentropy")
        keras.utils.set_random_seed(1)
        model.fit(x, y, batch_size=8, verbose=0)
        if anchored:
            anchor = L2SP(model)
            ewc = EWC(model, x, labels="sampled", examples=4)
            anchor.remove()
            ewc.remove()
            assert not any(v.regularizer for v in model.weights)
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        models.append(model.get_weights())
    for a, b in zip(*models, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_that_matter_are_held_and_others_move():
    """One input never varies in the old task, and does in the new one."""
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    old, new = x * [1, 1, 0, 0], x
    y = (new.sum(axis=1) > 0).astype(int)
    model = linear(2, "softmax")
    start = model.layers[0].kernel.numpy()
    EWC(model, old, 1e3)
    model.compile(
        keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy"
    )
    model.fit(new, y, batch_size=64, epochs=30, verbose=0)
    moved = np.abs(model.layers[0].kernel.numpy() - start)
    assert moved[:2].max() < 0.05
    assert moved[2:].min() > 0.2


def test_half_precision_is_close_to_full():
    found = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = networks.build("mlp")
        finally:
            keras.config.set_dtype_policy("float32")
        random = np.random.default_rng(0)
        for variable in model.trainable_weights:
            variable.assign(random.normal(0, 0.5, variable.shape))
        x = networks.batch_for(model)
        found.append(EWC(model, x).fisher)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.05, atol=1e-2 * a.max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1}, "Received: strength=-1"),
        ({"examples": 0}, "Received: examples=0"),
        ({"examples": 2.5}, "Received: examples=2.5"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"labels": "all"}, "Received: labels='all'"),
        ({"labels": "true"}, "one label an example.*Received: old_data"),
        ({"old_data": None}, "Received: old_data=None"),
        ({"old_data": [1]}, r"Received: old_data=\[1\]"),
        ({"old_data": (examples(), np.full(12, 3)), "labels": "true"}, "0, 3"),
        ({"old_data": np.full((1, 4), np.nan)}, "must be finite. Received"),
    ],
)
def test_what_is_refused_leaves_the_model_as_it_was(options, message):
    model = linear(3, "softmax")
    options = {"old_data": examples(), **options}
    with pytest.raises(ValueError, match=message):
        EWC(model, options.pop("old_data"), **options)
    assert not any(variable.regularizer for variable in model.weights)


def test_outputs_that_say_nothing_are_refused():
    logits = linear(3, None)
    with pytest.raises(ValueError, match="Pass `from_logits`.*Received: model"):
        EWC(logits, examples())
    with pytest.raises(ValueError, match="`from_logits=True`.*Received: outp"):
        EWC(logits, examples(), from_logits=False)
    with pytest.raises(ValueError, match="multi_label=True.*Received: outputs"):
        EWC(linear(3, "sigmoid"), examples(), multi_label=False)
    with pytest.raises(ValueError, match="one output.*Received: model="):
        two = networks.build("two_outputs")
        EWC(two, networks.batch_for(two), from_logits=True)
    ewc = EWC(logits, examples(), from_logits=True)
    with pytest.raises(ValueError, match="Received: decay=2"):
        ewc.update(examples(), decay=2)
    with pytest.raises(ValueError, match="must have examples. Received"):
        ewc.update(tf.data.Dataset.from_tensor_slices(examples()[:0]).batch(2))

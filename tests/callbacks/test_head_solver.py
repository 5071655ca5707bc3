"""Heads that are solved for, against scikit-learn on the same features."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_transfer as kt
from keras_transfer.callbacks.linear_head import find_linear_head
from keras_transfer.optimizers import logistic_regression
from tests import networks
from tests.callbacks.interrupted import Fate
from tests.networks import tiny_backbone

SOLVED = kt.strategies.extraction(solver="lbfgs")


def build(classes=3, **options):
    keras.utils.set_random_seed(0)
    return kt.build_classifier(tiny_backbone(), classes, **options)


def pictures(count=60, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    x[..., 0] *= np.linspace(0.2, 1, count)[:, None, None]
    shade = x[..., 0].mean(axis=(1, 2)) + random.normal(0, 15, count)
    return x, np.digitize(shade, np.quantile(shade, [1 / 3, 2 / 3]))


def solve(model, data, strategy=SOLVED, **options):
    options = {"log_dir": False, "seed": 0, "verbose": 0, **options}
    return kt.fine_tune(model, *data, strategy=strategy, **options)


def features(model, x):
    """What enters the layer before the last, dropout, which is not there."""
    graph = keras.Model(model.input, model.get_layer("head_dropout").input)
    return graph(x, training=False).numpy().astype("float64")


def oracle(model, x, y, weight=None, inverse_penalty=0.1):
    fitted = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=inverse_penalty, tol=1e-8, max_iter=10_000),
    )
    weights = {"logisticregression__sample_weight": weight}
    return fitted.fit(features(model, x), y, **weights)


def check_same(model, x, expected):
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def as_dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).shuffle(60).batch(8)


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(20 * index, 20 * index + 20)
        return tuple(array[rows] for array in pictures())


@pytest.mark.parametrize(
    ("kind", "cache", "optimizer"),
    [
        ("arrays", False, "adam"),
        ("dataset", "auto", "adam"),
        ("sequence", False, "sgd"),
    ],
)
def test_it_is_the_regression_of_scikit_learn(kind, cache, optimizer):
    # Augmentation does not show.
    shaken = kind == "arrays" and keras.layers.RandomBrightness(1)
    model, (x, y) = build(augmentation=shaken or None), pictures()
    data = {
        "arrays": (x, y),
        "dataset": as_dataset((x, y)),
        "sequence": Sequence(),
    }[kind]
    before = model.get_weights()
    result = solve(model, (data,), cache=cache, optimizer=optimizer)
    expected = oracle(model, x, y)
    check_same(model, x, expected.predict_proba(features(model, x)))
    accuracy = expected.score(features(model, x), y)
    assert result.report.accuracy == pytest.approx(accuracy)
    assert len(result.history["loss"]) == 1
    frozen = zip(before[:-2], model.get_weights()[:-2], strict=True)
    assert all(np.array_equal(a, b) for a, b in frozen)


def test_steps_change_nothing():
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(values(model)),
        on_train_end=lambda logs: seen.append(values(model)),
    )
    model = build()
    solve(model, (pictures(),), optimizer="adamw", callbacks=watch)
    assert len(seen) > 2
    for weights in seen[1:]:
        assert all(map(np.array_equal, seen[0], weights))


@pytest.mark.parametrize("name", ["Ftrl", "ScheduleFreeAdamW"])
def test_optimizers_that_do_not_rest_are_refused(name):
    optimizer = getattr(keras.optimizers, name)()
    with pytest.raises(ValueError, match="Received: optimizer='"):
        solve(build(), (pictures(),), optimizer=optimizer)


def values(model):
    return [weight.numpy() for weight in model.weights]


def test_validation_data_chooses_the_penalty(capsys):
    model, (x, y), held_back = build(), pictures(), pictures(seed=1)
    solve(model, ((x, y), held_back), verbose=2)
    best = {}
    for inverse_penalty in (1e-4, 1e-3, 0.01, 0.1, 1.0):
        fitted = oracle(model, x, y, None, inverse_penalty)
        proba = fitted.predict_proba(features(model, held_back[0]))
        right = (proba.argmax(axis=1) == held_back[1]).mean()
        likelihood = np.log(proba[np.arange(60), held_back[1]]).mean()
        best[right, likelihood] = inverse_penalty, fitted
    inverse_penalty, fitted = best[max(best)]
    proba = fitted.predict_proba(features(model, x))
    check_same(model, x, proba)
    accuracy = (proba.argmax(axis=1) == y).mean()
    assert (
        "Solved: logistic regression on 6 features of 60 examples, "
        f"C={inverse_penalty:g} (the best for validation data), training "
        f"accuracy {accuracy:.3f}" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("kind", "cache"),
    [
        ("samples", False),
        ("classes", True),
        ("balanced", False),
        ("none", True),
    ],
)
def test_examples_have_the_weights_that_they_have_in_fit(kind, cache):
    model, (x, y) = build(), pictures()
    x, y = x[:50], y[:50]
    weight, options = np.linspace(0, 2, len(y)), {"cache": cache}
    data = (x, y, weight)
    if kind == "none":
        data = (x, y, weight := (y > 0).astype(float))
    elif kind != "samples":
        classes = {0: 1.0, 1: 3.0, 2: 0.5}
        if kind == "balanced":
            classes = dict(enumerate(len(y) / 3 / np.bincount(y)))
        weight = np.array([classes[label] for label in y])
        given = classes if kind == "classes" else kind
        data, options = (x, y), {**options, "class_weight": given}
    solve(model, (data,), **options)
    some = weight > 0
    expected = oracle(model, x[some], y[some], weight[some])
    proba = expected.predict_proba(features(model, x))
    if kind == "none":
        proba = np.insert(proba, 0, 0, axis=1)
    check_same(model, x, proba)


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("softmax", (0, 1, 2)),
        ("one-hot", (0, 2)),
        ("logits", (1,)),
        ("nested", (0, 2)),
    ],
)
def test_heads_of_one_class_an_example(kind, seen):
    x, y = pictures()
    x, y = x[np.isin(y, seen)], y[np.isin(y, seen)]
    model, labels = build(4), y[:, None]
    if kind == "one-hot":
        labels = np.eye(4)[y]
    elif kind == "logits":
        model.layers[-1].activation = keras.activations.linear
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=loss, metrics=["accuracy"])
    elif kind == "nested":
        body = model.get_layer("head_dropout").output
        logits = keras.layers.Dense(4, name="logits")(body)
        outputs = keras.layers.Activation("softmax")(logits)
        net = keras.Model(model.input, outputs)
        model = keras.Sequential([keras.Input((8, 8, 3)), net])
        model.compile(loss="sparse_categorical_crossentropy")
    solve(model, ((x, labels),))
    outputs = model.predict(x, verbose=0)
    if kind == "logits":
        assert np.isfinite(outputs).all()
        outputs = keras.ops.softmax(outputs).numpy()
    expected = np.zeros((len(x), 4))
    if len(seen) == 1:
        expected[:, seen] = 1
    else:
        net = model.layers[0] if kind == "nested" else model
        fitted = oracle(net, x, y)
        expected[:, seen] = fitted.predict_proba(features(net, x))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    # For other pictures, too.
    dense = next(x for x in model._flatten_layers() if hasattr(x, "units"))
    unseen = sorted({0, 1, 2, 3} - set(seen))
    assert not dense.kernel.numpy()[:, unseen].any()
    np.testing.assert_array_equal(dense.bias.numpy()[unseen], -20)


@pytest.mark.parametrize("kind", ["flat", "logits", "one class"])
def test_heads_of_two_classes(kind):
    x, y = pictures()
    y = (y > 0).astype("float32" if kind == "flat" else int)
    model = build(1)
    if kind == "logits":
        model.layers[-1].activation = keras.activations.linear
        model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    elif kind == "one class":
        y[:] = 1
    solve(model, ((x, y if kind == "flat" else y[:, None]),))
    outputs = model.predict(x, verbose=0)
    if kind == "one class":
        np.testing.assert_allclose(outputs, 1)
        return
    if kind == "logits":
        outputs = keras.ops.sigmoid(outputs).numpy()
    expected = oracle(model, x, y).predict_proba(features(model, x))[:, 1:]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_classes_that_do_not_exclude_each_other():
    x, y = pictures()
    labels = np.stack([y > 0, y > 1, 0 * y, 0 * y + 1], axis=1).astype(int)
    model = build(4, multi_label=True)
    accuracy = solve(model, ((x, labels),)).report.accuracy
    assert accuracy > 0.8
    found = model.predict(x, verbose=0)
    for column in (0, 1):
        fitted = oracle(model, x, labels[:, column])
        expected = fitted.predict_proba(features(model, x))[:, 1]
        np.testing.assert_allclose(found[:, column], expected, atol=1e-5)
    np.testing.assert_allclose(found[:, 2:], labels[:, 2:], atol=1e-8)
    best = solve(model, ((x, labels), (x, labels))).report.accuracy
    assert best >= accuracy


def test_features_that_do_not_vary_weigh_nothing():
    random = np.random.default_rng(0)
    x = np.ones((40, 3), "float32") * [1e3, 0, 0]
    x[:, 2] = random.normal(5, 0.01, 40)
    x[:, 0] += np.float32(1e-4) * (x[:, 2] > 5)  # rounding
    y = np.stack([x[:, 2] <= 5, x[:, 2] > 5], axis=1)
    found = logistic_regression.fit_logistic(x, y, np.ones(40), exclusive=True)
    assert not found.kernel[:2].any()
    assert found.score(x, y, exclusive=True)[0] > 0.95


def test_fewer_examples_than_features():
    model, (x, y) = kt.build_classifier(tiny_backbone(16), 3), pictures(8)
    solve(model, ((x, y),))
    check_same(model, x, oracle(model, x, y).predict_proba(features(model, x)))


def test_longer_lists_go_on_from_there():
    x, y = pictures()
    phases = [*SOLVED, kt.Phase("all", 2, 1e-3, name="fine-tuning")]
    ends = []
    for cache in (False, "auto"):
        model, seen = build(), []
        watch = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, model=model, seen=seen: (
                seen.append(values(model))
            )
        )
        result = solve(model, ((x, y),), phases, cache=cache, callbacks=watch)
        assert result.history["loss"][2] < result.history["loss"][1]
        assert result.report.phases[0].accuracy > 0.5
        # Two steps of an epoch each, of Adam: from the solution, not from 0.
        assert np.abs(seen[0][-2]).max() > 0.1
        for before, after in zip(seen[0], seen[2], strict=True):
            assert np.abs(before - after).max() < 0.02
        ends.append(seen[2])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_later_phases_can_solve_again():
    model, (x, y) = build(), pictures()
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(
            (model.predict(x, verbose=0).argmax(axis=1) == y).mean()
        )
    )
    phases = [*SOLVED, kt.Phase("all", 1, 0.03), *SOLVED]
    result = solve(model, ((x, y),), phases, callbacks=watch)
    check_same(model, x, oracle(model, x, y).predict_proba(features(model, x)))
    # Each phase by its own weights, not by what the next solution made of it.
    found = [phase.accuracy for phase in result.report.phases]
    assert found == pytest.approx(seen)
    assert len(set(found)) > 1


class Stop(Exception):
    pass


class StopAt(Fate):
    def pass_moment(self):
        self.moments_left -= 1
        if self.moments_left == 0:
            raise Stop


def test_an_interrupted_training_ends_the_same(tmp_path):
    phases = [*SOLVED, kt.Phase("all", 2, 1e-2)]

    def run(folder, *callbacks):
        return solve(
            build(),
            (pictures(), pictures(seed=1)),
            phases,
            log_dir=tmp_path / folder,
            resume=True,
            callbacks=callbacks,
        )

    whole = run("whole")
    # When the solver has ended but nothing of it is kept, and in the last
    # epoch: each has 9 moments.
    for moment in (10, 22):
        with pytest.raises(Stop):
            run("parts", StopAt(moment))
    parts = run("parts")
    assert parts.history == whole.history
    for a, b in zip(values(whole.model), values(parts.model), strict=True):
        np.testing.assert_array_equal(a, b)


def deep():
    return build(head=[keras.layers.Dense(4), keras.layers.Dense(3, "softmax")])


def no_bias():
    return build(head=[keras.layers.Dense(3, "softmax", use_bias=False)])


def constrained():
    constraint = keras.constraints.NonNeg()
    return build(
        head=[keras.layers.Dense(3, "softmax", kernel_constraint=constraint)]
    )


def normalized():
    return build(head=[keras.layers.LayerNormalization()])


def followed():
    layers = [keras.layers.Dense(3, "softmax"), keras.layers.Rescaling(2)]
    return build(head=layers)


@pytest.mark.parametrize(
    "make", [deep, no_bias, constrained, normalized, followed]
)
def test_other_heads_are_refused(make, tmp_path):
    model = make()
    model.compile(loss="sparse_categorical_crossentropy")
    before = values(model)
    with pytest.raises(ValueError, match="Received: solver='lbfgs', and the h"):
        solve(model, (pictures(),), log_dir=tmp_path / "logs")
    assert all(map(np.array_equal, before, values(model)))
    assert not (tmp_path / "logs").exists()


def test_networks_are_refused_or_understood():
    accepted = set()
    for name in networks.NETWORKS:
        model = networks.build(name)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(loss=loss)
        try:
            assert isinstance(find_linear_head(model)[0], keras.layers.Dense)
        except ValueError:
            continue
        accepted.add(name)
    assert accepted == {
        "mlp",
        "cnn",
        "text_rnn",
        "transformer",
        "two_towers",
        "siamese",
        "tied",
        "nested",
        "wrapper",
        "blocks",
        "Functional",
    }


@pytest.mark.parametrize(
    "loss", ["mse", "sparse_categorical_crossentropy", None]
)
def test_outputs_that_mean_nothing_are_refused(loss):
    model = build()
    model.layers[-1].activation = keras.activations.linear
    model.compile(loss=loss)
    with pytest.raises(ValueError, match="probabilities.*Received: solver="):
        find_linear_head(model)


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ([0.5, 1.5, 1, 0], {}),
        ([[0, 1, 1]] * 4, {}),
        ([[0.1, 0.1, 0.8]] * 4, {}),
        ([[0.1, 0.1, 0.8]] * 4, {"multi_label": True}),
        ([0, 1, 2, 0], {"classes": 1}),
    ],
)
def test_other_labels_are_refused(labels, options):
    model = build(**options)
    before = values(model)
    data = pictures(4)[0], np.array(labels)
    with pytest.raises(ValueError, match="Labels must say.*Received: labels"):
        solve(model, (data,))
    assert all(map(np.array_equal, before, values(model)))


def test_weights_of_zero_are_refused():
    x, y = pictures()
    with pytest.raises(ValueError, match="weight above 0. Received: class_we"):
        solve(build(), ((x, y, 0 * y),))


def test_a_fit_of_ones_own_says_what_to_use():
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="kt.fine_tune.*solver='lbfgs'$"):
        model.fit(*pictures(), callbacks=[kt.GradualUnfreezing(SOLVED)])


def test_a_solver_that_does_not_end_says_so(monkeypatch):
    monkeypatch.setattr(logistic_regression, "_MOST_STEPS", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solve(build(), (pictures(), pictures(seed=1)))
    texts = [str(warning.message) for warning in caught]
    [text] = [text for text in texts if "solver" in text]
    assert "has not come to an end" in text
    assert not any("lbfgs" in text for text in texts)

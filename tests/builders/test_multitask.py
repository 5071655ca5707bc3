"""One backbone, several heads: built, compiled, trained, saved."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.builders.multitask import build_multitask
from tests import networks
from tests.several_tasks import TASKS, build, dataset, examples

NAMES = list(TASKS)
# The layer of each task that has the weights.
DENSE = {name: name for name in NAMES} | {"shade": "shade_raw"}


def values(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_its_parts():
    model = build(augmentation=[keras.layers.RandomFlip()])
    assert [layer.name for layer in model.layers][:6] == [
        "input",
        "augmentation",
        "preprocessing",
        "backbone",
        "head_pooling",
        "head_dropout",
    ]
    assert model.name == "tiny_multitask" and not model.compiled
    groups = kt.layer_groups(model)
    assert [group.name for group in groups] == [
        "stem",
        "block_1",
        "block_2",
        "head",
    ]
    heads = {variable.path for variable in groups[-1].variables}
    assert heads == {
        f"{layer}/{kind}"
        for layer in DENSE.values()
        for kind in ("kernel", "bias")
    }
    assert {weight.path for weight in model.trainable_weights} == heads
    assert model.class_names == {
        "colour": ["red", "green", "blue"],
        "dark": ["not dark", "dark"],
        "tags": ["left", "right"],
    }


def test_outputs_are_a_dictionary_of_what_each_task_calls_for():
    model = build()
    x, _ = examples(5)
    outputs = model(x)
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "colour": (5, 3),
        "dark": (5, 1),
        "shade": (5, 1),
        "tags": (5, 2),
    }
    np.testing.assert_allclose(np.sum(outputs["colour"], 1), 1, rtol=1e-5)
    features = model.get_layer("head_pooling").output
    features = keras.Model(model.input, features)(x).numpy()
    for name in NAMES:
        kernel, bias = model.get_layer(DENSE[name]).get_weights()
        raw = features @ kernel + bias
        if name == "shade":
            raw = raw / 10
        if name in ("dark", "tags"):
            raw = 1 / (1 + np.exp(-raw))
        if name == "colour":
            raw = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(outputs[name], raw, rtol=1e-4, atol=1e-6)
    predicted = model.predict(x, verbose=0)
    for name in NAMES:
        np.testing.assert_allclose(predicted[name], outputs[name], rtol=1e-4)


def test_one_task_alone_is_trained_as_a_classifier_is_to_the_bit():
    x, y = examples(missing=0)
    weight = np.random.default_rng(0).uniform(0, 2, len(x))
    runs = []
    for several in (True, False):
        keras.utils.set_random_seed(0)
        backbone = networks.tiny_backbone()
        if several:
            model = build_multitask(backbone, {"colour": TASKS["colour"]})
            model.compile("adam")
            labels = {"colour": y["colour"]}
        else:
            model = kt.build_classifier(backbone, TASKS["colour"])
            loss = "sparse_categorical_crossentropy"
            model.compile("adam", loss, metrics=["accuracy"])
            labels = y["colour"]
        history = model.fit(
            x,
            labels,
            sample_weight=weight,
            validation_data=(x, labels),
            epochs=3,
            verbose=0,
        )
        runs.append((history.history, model.get_weights()))
    assert runs[0][0] == runs[1][0]
    for first, second in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_head_without_labels_stays_as_it_is_to_the_bit():
    x, y = examples(missing=0)
    nothing = {
        "colour": np.full(len(x), -1),
        "dark": np.full(len(x), np.nan),
        "shade": np.full(len(x), np.nan),
        "tags": np.full((len(x), 2), -1),
    }
    model = build()
    # Eagerly here and below: a few steps take less time than to trace them.
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    for name in NAMES:
        before = values(model)
        logs = model.fit(x, {**y, name: nothing[name]}, verbose=0).history
        assert logs[f"{name}_loss"] == [0]
        moved = {p for p, v in values(model).items() if (v != before[p]).any()}
        assert moved == {
            f"{layer}/{kind}"
            for other, layer in DENSE.items()
            if other != name
            for kind in ("kernel", "bias")
        }
    before = values(model)
    logs = model.fit(x, nothing, validation_data=(x, nothing), verbose=0)
    assert set(map(tuple, logs.history.values())) == {(0,)}
    assert all((v == before[p]).all() for p, v in values(model).items())


def test_missing_labels_are_as_if_the_examples_were_not_there():
    x, y = examples(missing=0)
    few = {**y, "dark": np.where(np.arange(len(x)) < 20, np.nan, y["dark"])}
    models = [build(dropout=0) for _ in range(2)]
    for model, images, labels in zip(
        models,
        (x, x[20:]),
        (few, {k: v[20:] for k, v in few.items()}),
        strict=True,
    ):
        model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
        logs = model.fit(
            images, labels, batch_size=len(images), verbose=0
        ).history
    first, second = map(values, models)
    np.testing.assert_allclose(
        first["dark/kernel"], second["dark/kernel"], rtol=1e-5
    )
    assert not np.allclose(
        first["shade_raw/kernel"], second["shade_raw/kernel"]
    )
    chances = build(dropout=0).predict(x[20:], verbose=0)["dark"][:, 0]
    right = ((chances > 0.5) == y["dark"][20:]).mean()
    assert logs["dark_accuracy"][0] == pytest.approx(right)


def test_weights_of_examples_are_honoured_also_by_task():
    x, y = examples()
    weight = np.linspace(0, 2, len(x))
    model = build()
    model.compile(
        "sgd", weighted_metrics={"dark": "accuracy"}, run_eagerly=True
    )

    def evaluate(weights):
        return model.evaluate(
            x, y, 48, sample_weight=weights, return_dict=True, verbose=0
        )

    plain = evaluate(None)
    all_tasks = evaluate(weight)
    ones = np.ones(len(x))
    one_task = evaluate({name: ones for name in NAMES} | {"dark": weight})
    chances = model.predict(x, verbose=0)["dark"][:, 0]
    known = ~np.isnan(y["dark"])
    chances, labels, weight = (p[known] for p in (chances, y["dark"], weight))
    losses = -np.log(np.where(labels == 1, chances, 1 - chances))
    right = (chances > 0.5) == labels
    expected = (weight * losses).sum() / known.sum()
    for logs in (all_tasks, one_task):
        assert logs["dark_loss"] == pytest.approx(expected, rel=1e-5)
        assert logs["dark_accuracy"] == pytest.approx(right.mean())
        assert logs["dark_weighted_accuracy"] == pytest.approx(
            np.average(right, weights=weight), rel=1e-5
        )
    assert one_task["shade_loss"] == plain["shade_loss"]
    assert all_tasks["shade_loss"] != plain["shade_loss"]


def test_fixed_weights():
    x, y = examples()
    model = build(balance={"dark": 3, "shade": 0.5})
    model.compile("sgd", run_eagerly=True)
    expected = {"colour": 1, "dark": 3, "shade": 0.5, "tags": 1}
    assert model.task_weights() == expected
    logs = model.evaluate(x, y, 48, return_dict=True, verbose=0)
    total = sum(w * logs[f"{name}_loss"] for name, w in expected.items())
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    model.compile("sgd", loss_weights={"tags": 2}, run_eagerly=True)
    assert model.task_weights() == dict.fromkeys(NAMES, 1) | {"tags": 2}
    heavy = model.evaluate(x, y, 48, return_dict=True, verbose=0)
    assert heavy["tags_loss"] == logs["tags_loss"]
    total = sum(logs[f"{name}_loss"] for name in [*NAMES, "tags"])
    assert heavy["loss"] == pytest.approx(total, rel=1e-5)


def test_losses_and_metrics_of_ones_own_see_no_missing_label_either():
    x, y = examples()
    model = build()
    model.compile(
        "sgd",
        loss={"shade": "mae"},
        metrics={"shade": ["mse"], "dark": "acc"},
        run_eagerly=True,
    )
    logs = model.evaluate(x, y, 48, return_dict=True, verbose=0)
    errors = model.predict(x, verbose=0)["shade"][:, 0] - y["shade"]
    assert logs["shade_loss"] == pytest.approx(np.nanmean(abs(errors)))
    assert logs["shade_mse"] == pytest.approx(np.nanmean(errors**2))
    assert {name for name in logs if not name.endswith("loss")} == {
        "shade_mse",
        "dark_acc",
    }


@pytest.mark.parametrize("balance", ["uncertainty", {"dark": 2}])
def test_a_compiled_model_is_loaded_as_it_was(tmp_path, balance):
    x, y = examples()
    model = build(balance=balance)
    model.compile("adam", loss={"shade": "mae"}, run_eagerly=True)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.tasks == model.tasks
    assert loaded.class_names == model.class_names
    assert loaded.task_weights() == model.task_weights()
    logs = [
        each.fit(x, y, validation_data=(x, y), shuffle=False, verbose=0).history
        for each in (model, loaded)
    ]
    assert logs[0] == logs[1]
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, values(loaded)[path])


def test_a_rate_is_found_and_nothing_changes():
    model = build(balance="uncertainty")
    model.compile(keras.optimizers.SGD(0.1))
    before = values(model)
    curve = kt.find_learning_rate(model, dataset())
    assert np.isfinite(curve.suggestion)
    assert all((v == before[p]).all() for p, v in values(model).items())
    first = float(np.array(curve.losses)[0])
    logs = model.evaluate(*examples(), 16, return_dict=True, verbose=0)
    assert first == pytest.approx(logs["loss"], rel=0.1)


def test_predictions_get_names():
    model = build()
    predictions = {
        "colour": np.array([[0.1, 0.7, 0.2]], "float32"),
        "dark": np.array([[0.25]]),
        "shade": np.array([[0.5]]),
        "tags": np.array([[0.75, 0.125]]),
    }
    decoded = kt.decode_predictions(model, predictions)
    assert [name for name, _ in decoded["colour"][0]] == [
        "green",
        "blue",
        "red",
    ]
    assert decoded["dark"] == [[("not dark", 0.75), ("dark", 0.25)]]
    assert decoded["shade"] == [0.5]
    assert decoded["tags"] == [[("left", 0.75), ("right", 0.125)]]
    with pytest.raises(ValueError, match="colour, dark, shade, tags"):
        kt.decode_predictions(model, predictions["dark"])


def test_layers_of_ones_own_come_before_all_heads():
    head = [keras.layers.Dense(5, activation="relu", name="trunk")]
    model = build(head=head, balance="uncertainty")
    assert model.get_layer("head").output.shape == (None, 5)
    assert model.get_layer("dark").kernel.shape == (5, 1)
    assert kt.layer_groups(model)[-1].name == "head"


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (lambda y: list(y.values()), "labels="),
        (lambda y: {"colour": y["colour"]}, r"labels=\['colour'\]"),
        (lambda y: {**y, "more": y["dark"]}, "labels="),
        (lambda y: {**y, "colour": np.eye(3)[y["colour"]]}, "labels of shape"),
    ],
)
def test_labels_that_are_not_by_task(labels, received):
    x, y = examples(missing=0)
    model = build()
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=f"(?s)Received: {received}"):
        model.fit(x, labels(y), verbose=0)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"tasks": {}}, "tasks={}"),
        ({"tasks": ["a"]}, r"tasks=\['a'\]"),
        ({"tasks": {"a/b": 3}}, "tasks with the name 'a/b'"),
        ({"tasks": {"_a": 3}}, "tasks with the name '_a'"),
        ({"tasks": {3: "binary"}}, "tasks with the name 3"),
        ({"tasks": {"backbone": 3}}, "tasks with the name 'backbone'"),
        ({"tasks": {"a": 1}}, "tasks={'a': 1}"),
        ({"tasks": {"a": "classes"}}, "tasks={'a': 'classes'}"),
        ({"tasks": {"a": ["x"]}}, r"tasks={'a': \['x'\]}"),
        ({"tasks": {"a": ("multi_label",)}}, "tasks={'a': "),
        ({"tasks": {"a": ("multi_label", "xy")}}, "tasks={'a': "),
        ({"balance": "auto"}, "balance='auto'"),
        ({"balance": {"dim": 1}}, "balance={'dim': 1}"),
        ({"balance": {"dark": -1}}, "balance={'dark': -1}"),
        ({"balance": {"dark": "1"}}, "balance={'dark': '1'}"),
        ({"pooling": "sum"}, "pooling='sum'"),
        ({"backbone": "MobileNetV2"}, "backbone='MobileNetV2'"),
    ],
)
def test_wrong_arguments(options, received):
    settings = {"tasks": TASKS, **options}
    if "backbone" not in settings:
        settings["backbone"] = networks.tiny_backbone()
    with pytest.raises(ValueError, match=f"Received: {received}"):
        build_multitask(**settings)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"loss": "mse"}, "loss='mse'"),
        ({"loss": {"dim": "mse"}}, "loss={'dim': 'mse'}"),
        ({"metrics": ["accuracy"]}, r"metrics=\['accuracy'\]"),
        ({"loss_weights": [1, 2, 3, 4]}, r"loss_weights=\[1, 2, 3, 4\]"),
        ({"loss_weights": {"dark": 2}}, "loss_weights={'dark': 2}"),
    ],
)
def test_wrong_arguments_of_compile(options, received):
    balance = "uncertainty" if "dark" in str(options) else None
    model = build(balance=balance)
    with pytest.raises(ValueError, match=f"Received: {received}"):
        model.compile("sgd", **options)
    assert not model.compiled


def test_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(balance="uncertainty")
        model.compile("adam", run_eagerly=True)
        x, y = examples()
        logs = model.fit(x, y, verbose=0).history
    finally:
        keras.config.set_dtype_policy(before)
    assert all(np.isfinite(values).all() for values in logs.values())
    assert {t.dtype for t in model(x).values()} == {tf.float32}
    assert model.get_layer("task_balance").log_variances.numpy().all()

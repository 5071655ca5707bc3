import importlib
import itertools
import os
import sys
import warnings
from collections import OrderedDict

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_transfer.caching.engines import kept_forms
from keras_transfer.caching.engines.engine import make_engine
from keras_transfer.caching.engines.kept_file import keep_file
from keras_transfer.caching.engines.opening import ENGINES
from tests.caching.engines.functions import (
    assert_same,
    count_conversions,
    draw,
    first,
    function_of,
)
from tests.networks import application, batch_for, build

LIBRARIES = {"openvino": "openvino", "litert": "ai_edge_litert"}


@pytest.fixture(params=["tensorflow", "openvino", "litert"])
def engine(request):
    if request.param in LIBRARIES:
        pytest.importorskip(LIBRARIES[request.param])
    return request.param


def tensors(model, size=6):
    return keras.tree.map_structure(tf.constant, batch_for(model, size))


@pytest.mark.parametrize(
    "name", ["cnn", "adapted", "two_outputs", "transformer", "unet"]
)
def test_the_answers_are_those_of_the_function(engine, name):
    model = build(name)
    function, batch = function_of(model), tensors(model)
    run = make_engine(function, batch, engine=engine)
    for size in (6, 5, 1, 6):
        assert_same(run, function, first(batch, size))


def test_a_batch_is_computed_in_parts(engine, monkeypatch):
    monkeypatch.setattr(ENGINES[engine], "AT_ONCE", 4)
    model = build("two_outputs")
    function, batch = function_of(model), tensors(model, 13)
    run = make_engine(function, batch, engine=engine)
    for size in (13, 8, 3, 13):
        assert_same(run, function, first(batch, size))
    assert [x.shape[0] for x in run(first(batch, 0)).values()] == [0, 0]


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetV2B0"])
def test_the_answers_are_those_of_a_large_network(name):
    model = application(name)
    function, batch = function_of(model), tensors(model)
    run = make_engine(function, batch, engine="tensorflow")
    assert_same(run, function, first(batch, 5))


@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121"])
def test_openvino_gives_the_answers_of_a_large_network(name):
    pytest.importorskip("openvino")
    model = application(name)
    function, batch = function_of(model), tensors(model)
    run = make_engine(function, batch, engine="openvino")
    assert_same(run, function, first(batch, 5))


def test_structures_dtypes_and_the_order_of_names_stay(engine):
    def function(inputs):
        numbers = [inputs[f"in_{n}"] for n in range(12)]
        last = tf.cast(inputs["tokens"], "float32")[:, :2]
        found = {f"z_{n}": x * (n + 1.0) for n, x in enumerate(numbers)}
        found["b"] = tf.argmax(numbers[0], -1)
        found["a"] = last + numbers[3]
        found["same"] = numbers[5]
        return found

    batch = {f"in_{n}": draw(5, 2, seed=n) for n in range(12)}
    batch["tokens"] = tf.reshape(tf.range(15), (5, 3))
    batch["unread"] = draw(5, 4)
    run = make_engine(function, batch, engine=engine)
    assert_same(run, function, batch)
    assert_same(run, function, first(batch, 2))


def test_arrays_are_taken(engine):
    model = build("cnn")
    batch = batch_for(model, 6)
    run = make_engine(function_of(model), batch, engine=engine)
    assert_same(run, function_of(model), batch)


def test_answers_stay_as_they_are_at_the_next_call(engine):
    model = build("cnn")
    batch = tensors(model)
    run = make_engine(function_of(model), batch, engine=engine)
    answers = run(batch)["cut_0"]
    before = answers.numpy().copy()
    run(-batch)
    np.testing.assert_array_equal(answers, before)


def test_examples_of_another_shape_are_taken(engine):
    layer = layers.Conv2D(3, 3)
    layer.build((None, None, None, 2))
    function = lambda x: {"y": layer(x)}  # noqa: E731
    run = make_engine(function, draw(4, 6, 6, 2), engine=engine)
    assert_same(run, function, draw(4, 7, 5, 2))
    assert_same(run, function, draw(3, 6, 6, 2))


def test_an_engine_that_is_wrong_is_not_used(engine):
    calls = itertools.count(1)
    with pytest.warns(UserWarning, match=f"`{engine}` differs from TensorFlow"):
        run = make_engine(
            lambda x: {"y": x * float(next(calls))}, draw(4, 2), engine=engine
        )
    assert run(draw(4, 2))["y"].shape == (4, 2)


def test_a_random_function_is_run_by_tensorflow():
    def function(x):
        return {"y": x + tf.random.uniform([])}

    with pytest.warns(UserWarning, match="differs from TensorFlow by"):
        run = make_engine(function, draw(4, 2))
    assert run(draw(4, 2))["y"].shape == (4, 2)


def look_up(words):
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0]), -1.0
    )
    return lambda x: {"y": table.lookup(x)}


def run_python(x):
    return {"y": tf.ensure_shape(tf.py_function(np.exp, [x], "float32"), [4])}


UNUSUAL = {
    "table": (look_up(None), tf.constant(["a", "c", "b", "a"])),
    "strings": (lambda x: {"y": tf.strings.length(x)}, tf.constant(["a"] * 4)),
    "python": (run_python, draw(4)),
    "ragged": (
        lambda x: {"y": tf.reduce_sum(x, 1)},
        tf.ragged.constant([[1.0], [2.0, 3.0]]),
    ),
    "ragged_output": (
        lambda x: {"y": tf.RaggedTensor.from_tensor(x)},
        draw(4, 2),
    ),
    "sparse": (
        lambda x: {"y": tf.sparse.to_dense(x)},
        tf.sparse.from_dense(tf.eye(3)),
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_no_engine_runs_tensorflow_does(engine, name):
    function, batch = UNUSUAL[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = make_engine(function, batch, engine=engine)
    assert all("TensorFlow runs the model" in str(w.message) for w in caught)
    found, expected = run(batch)["y"], function(batch)["y"]
    if name == "ragged_output":
        found, expected = found.to_tensor(), expected.to_tensor()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", UNUSUAL)
def test_auto_finds_something_silently(name):
    function, batch = UNUSUAL[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = make_engine(function, batch)
    assert run(batch)["y"].shape[0] == function(batch)["y"].shape[0]


def test_a_failing_conversion_is_told(engine, monkeypatch):
    def fail(function):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(ENGINES[engine], "convert", fail)
    with pytest.warns(UserWarning, match="cannot run.*no such operation"):
        run = make_engine(lambda x: {"y": 2 * x}, draw(4, 2), engine=engine)
    assert_same(run, lambda x: {"y": 2 * x}, draw(4, 2))


def test_auto_takes_the_next_engine_silently(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    made = count_conversions(monkeypatch, "tensorflow")
    run = make_engine(lambda x: {"y": 2 * x}, draw(4, 2))
    assert len(made) == 1
    assert_same(run, lambda x: {"y": 2 * x}, draw(4, 2))


def test_auto_takes_openvino_first(monkeypatch):
    pytest.importorskip("openvino")
    made = count_conversions(monkeypatch, "openvino")
    others = count_conversions(monkeypatch, "tensorflow")
    make_engine(lambda x: {"y": 2 * x}, draw(4, 2))
    assert (len(made), len(others)) == (1, 0)


@pytest.mark.parametrize(
    ("name", "library"),
    [("openvino", "openvino"), ("litert", "ai_edge_litert.interpreter")],
)
def test_a_missing_library_is_named(monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=r"pip install .keras-transfer\[fast"):
        make_engine(lambda x: {"y": 2 * x}, draw(4, 2), engine=name)


def test_openvino_is_imported_without_its_telemetry(monkeypatch):
    pytest.importorskip("openvino")
    for name in list(sys.modules):
        if name.partition(".")[0] == "openvino_telemetry":
            monkeypatch.delitem(sys.modules, name)
    seen = {}

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name == "openvino":
                seen[name] = sys.modules.get("openvino_telemetry", "free")
                raise ImportError("seen enough")

    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ImportError):
        make_engine(lambda x: {"y": x}, draw(4, 2), engine="openvino")
    assert seen == {"openvino": None}
    assert "openvino_telemetry" not in sys.modules


def test_unknown_words_are_refused():
    function, batch = (lambda x: {"y": x}), draw(4, 2)
    with pytest.raises(ValueError, match="Received: engine='onnx'$"):
        make_engine(function, batch, engine="onnx")
    with pytest.raises(ValueError, match="Received: precision='int8'$"):
        make_engine(function, batch, engine="openvino", precision="int8")
    for engine in ("auto", "tensorflow", "litert"):
        with pytest.raises(ValueError, match=f"Received: engine='{engine}', "):
            make_engine(function, batch, engine=engine, precision="bfloat16")


def test_bfloat16_is_about_the_same():
    pytest.importorskip("openvino")
    model = build("cnn")
    function, batch = function_of(model), tensors(model)
    run = make_engine(function, batch, engine="openvino", precision="bfloat16")
    assert_same(run, function, first(batch, 5), tolerance=0.05)


def test_the_kept_form_is_used(engine, tmp_path, monkeypatch):
    model = build("cnn")
    function, batch = function_of(model), tensors(model)
    made = count_conversions(monkeypatch, engine)
    for _ in range(3):
        run = make_engine(function, batch, engine=engine, folder=tmp_path)
        assert_same(run, function, first(batch, 5))
    assert len(made) == 1
    (name,) = os.listdir(tmp_path)
    version = ENGINES[engine].get_version()
    assert name == f"{engine}-float32-{version}.engine"


def test_the_form_of_a_key_is_used(engine, monkeypatch):
    monkeypatch.setattr(kept_forms, "_forms", OrderedDict())
    made = count_conversions(monkeypatch, engine)
    model = build("cnn")
    for number in range(3):
        if number == 2:  # what is kept is not for these weights
            model.set_weights([weight + 1 for weight in model.get_weights()])
        function, batch = function_of(model), tensors(model)
        run = make_engine(function, batch, engine=engine, key="cnn")
        assert_same(run, function, first(batch, 5))
    assert len(made) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "another", "unreadable"])
def test_a_kept_form_that_does_not_serve_is_made_anew(
    engine, tmp_path, monkeypatch, damage
):
    function, batch = function_of(build("mlp")), draw(6, 6)
    make_engine(function, batch, engine=engine, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-10])
    elif damage == "changed":
        path.write_bytes(whole[:99] + b"!" + whole[100:])
    elif damage == "another":
        other = function_of(build("cnn"))
        path.unlink()
        batches = draw(6, 8, 8, 3)
        make_engine(other, batches, engine=engine, folder=tmp_path)
    else:
        keep_file(str(path), b"no graph")
    made = count_conversions(monkeypatch, engine)
    for _ in range(2):
        run = make_engine(function, batch, engine=engine, folder=tmp_path)
        assert_same(run, function, batch)
    assert len(made) == 1


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    for folder in (blocked, blocked / "below"):
        run = make_engine(lambda x: {"y": 2 * x}, draw(4, 2), folder=folder)
        assert_same(run, lambda x: {"y": 2 * x}, draw(4, 2))
    assert blocked.read_text() == "no folder"


def test_only_a_few_examples_are_checked():
    sizes = []

    def function(x):
        sizes.append(x.shape[0])
        return {"y": 2 * x}

    make_engine(function, draw(32, 2), engine="tensorflow")
    assert sizes == [4, None]

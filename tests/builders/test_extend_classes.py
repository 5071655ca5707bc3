"""More classes for a trained classifier."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.builders.extend_classes import extend_classes
from tests import networks


def classifier(classes=("a", "b", "c"), **options):
    """Build a classifier whose head looks trained."""
    backbone = networks.tiny_backbone()
    networks.randomize(backbone.model)
    model = kt.build_classifier(backbone, classes, **options)
    random = np.random.default_rng(1)
    for weight in kt.layer_groups(model)[-1].variables:
        weight.assign(random.normal(0, 2, weight.shape))
    return model


def pictures(count=33):
    """Draw noise, some of it faint and some strong."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 255, (count, 8, 8, 3))
    return noise * np.linspace(0, 2, count)[:, None, None, None]


def logits_of(model, compute):
    """Compute what a model ends in before its last activation."""
    last = model.layers[-1]
    kept, last.activation = last.activation, keras.activations.linear
    model.predict_function = None
    try:
        return compute(model)
    finally:
        last.activation, model.predict_function = kept, None


def read(model, x):
    return np.asarray(model(x, training=False))


COMPUTE = {
    "eager": read,
    "predict": lambda model, x: model.predict(x, verbose=0),
}


@pytest.mark.parametrize(
    ("how", "multi_label"),
    [("eager", False), ("eager", True), ("predict", False)],
)
def test_old_logits_stay_to_the_bit(how, multi_label):
    old, x = classifier(multi_label=multi_label), pictures()
    once = extend_classes(old, ["d", "e"])
    twice = extend_classes(once, ["f"])
    before, middle, after = (
        logits_of(model, lambda model: COMPUTE[how](model, x))
        for model in (old, once, twice)
    )
    assert (middle.shape, after.shape) == ((33, 5), (33, 6))
    np.testing.assert_array_equal(middle[:, :3], before)
    np.testing.assert_array_equal(after[:, :5], middle)
    assert twice.class_names == ["a", "b", "c", "d", "e", "f"]
    assert twice.layers[-1].name == old.layers[-1].name


def test_new_classes_begin_as_the_mean_of_the_old_ones():
    old, x = classifier(), pictures(200)
    bias = old.layers[-1].bias
    logits = logits_of(old, lambda model: read(model, x))
    bias.assign(bias - logits.mean(axis=0))  # for answers of all kinds
    new = extend_classes(extend_classes(old, ["d"]), ["e"])
    logits = logits_of(old, lambda model: read(model, x)).astype("float64")
    logits = np.c_[logits, logits.mean(1), logits.mean(1)]
    logits -= logits.max(axis=1, keepdims=True)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chances, more = read(old, x), read(new, x)
    np.testing.assert_allclose(more, expected, rtol=1e-4, atol=1e-7)
    assert (more[:, :3] > chances * 3 / 5 - 1e-6).all()
    assert len(set(chances.argmax(axis=1))) == 3
    np.testing.assert_array_equal(more.argmax(axis=1), chances.argmax(axis=1))


def test_new_labels_begin_as_rare():
    old, x = classifier(multi_label=True), pictures()
    new = read(extend_classes(old, ["d", "e"]), x)
    np.testing.assert_allclose(new[:, :3], read(old, x), atol=1e-6)
    np.testing.assert_allclose(new[:, 3:], 0.01, rtol=1e-5)


def test_the_call_changes_nothing_of_the_old_model():
    old = classifier(augmentation=layers.RandomFlip())
    kt.set_trainable(old, "top:1")
    networks.train(old, pictures(8))
    flat = old._flatten_layers()
    kept = [(x.trainable, type(x)) for x in flat]
    trainable = [w.trainable for w in old.weights]
    optimizer, step = old.optimizer, old.train_function
    before = networks.values(old.weights)
    new = extend_classes(old, ["d"])
    assert [(x.trainable, type(x)) for x in flat] == kept
    assert [w.trainable for w in old.weights] == trainable
    assert (old.optimizer, old.train_function) == (optimizer, step)
    assert not networks.moved(old.weights, before)
    for mine, its in zip(
        kt.layer_groups(new)[:-1], kt.layer_groups(old)[:-1], strict=True
    ):
        assert [id(v) for v in mine.variables] == [id(v) for v in its.variables]
    assert new.name == old.name
    assert not new.compiled


def test_training_the_head_leaves_the_old_model_alone():
    old, x = classifier(), pictures(8)
    new = extend_classes(extend_classes(old, ["d"]), ["e"])
    before, expected = networks.values(new.weights), read(old, x)
    networks.train(new, x)
    head = kt.layer_groups(new)[-1]
    assert head.name == "head"
    assert networks.moved(new.weights, before) == {
        v.path for v in head.variables
    }
    assert len(head.variables) == 6
    np.testing.assert_array_equal(read(old, x), expected)


def test_saved_loaded_and_extended_again(tmp_path):
    new = extend_classes(classifier(), ["d"])
    x = pictures()
    networks.train(new, x)
    new.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), new(x))
    assert loaded.class_names == ["a", "b", "c", "d"]
    again = extend_classes(loaded, ["e"])
    before, after = (
        logits_of(m, lambda m: read(m, x)) for m in (loaded, again)
    )
    np.testing.assert_array_equal(after[:, :4], before)


def test_it_trains_in_phases_with_and_without_the_cache():
    new = extend_classes(classifier(dropout=0), ["d"])
    data = pictures(32).astype("float32"), np.arange(32) % 4
    groups, start = kt.layer_groups(new), new.get_weights()
    names = [group.name for group in groups]
    before = [networks.values(group.variables) for group in groups]
    moved, ends = [], []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pairs = zip(groups, before, strict=True)
            live = [g.name for g, b in pairs if networks.moved(g.variables, b)]
            moved.append(live)

    for cache in (False, True):
        new.set_weights(start)
        result = kt.fine_tune(
            new,
            data,
            strategy=[kt.Phase(t, 2, 1e-3) for t in ("head", "top:2", "all")],
            optimizer="sgd",
            cache=cache,
            callbacks=[Watch()],
            log_dir=False,
            seed=0,
            verbose=0,
        )
        assert len(result.history["loss"]) == 6
        ends.append(new.get_weights())
    assert moved[::2] == 2 * [names[-1:], names[-3:], names]
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


def test_a_solver_says_that_it_needs_another_head():
    new = extend_classes(classifier(), ["d"])
    data = pictures(8), np.arange(8) % 4
    with pytest.raises(ValueError, match="A solver needs a head in which one"):
        kt.fine_tune(
            new,
            data,
            strategy=kt.strategies.extraction(solver="lbfgs"),
            log_dir=False,
            verbose=0,
        )


def test_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        old, x = classifier(), pictures()
        new = extend_classes(old, ["d"])
    finally:
        keras.config.set_dtype_policy("float32")
    before, after = (logits_of(m, lambda m: read(m, x)) for m in (old, new))
    np.testing.assert_array_equal(after[:, :3], before)
    assert (new.output.dtype, after.dtype) == ("float32", "float32")
    networks.train(new, x)


@pytest.mark.parametrize("name", ["mlp", "wrapper"])
def test_other_models(name):
    old = networks.build(name)
    if name == "wrapper":  # it gives logits
        old = keras.Sequential([old.inputs[0], *old.layers, layers.Softmax()])
    known = old.output_shape[-1]
    new = extend_classes(old, 2)
    x = networks.batch_for(old)
    expected, found = read(old, x), read(new, x)
    assert found.shape == (6, known + 2)
    kept = found[:, :known] / found[:, :known].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(kept, expected, rtol=1e-5)
    assert [g.name for g in kt.layer_groups(new)].count("head") == 1
    assert getattr(new, "class_names", None) is None
    assert {id(w) for w in new.weights} >= {id(w) for w in old.weights[:-2]}
    kt.set_trainable(new, "head")
    assert sorted(w.shape[-1] for w in new.trainable_weights) == sorted(
        [2, 2, known, known]
    )


def test_a_head_of_several_layers():
    head = [layers.Dense(8, activation="relu"), layers.Dense(3, "softmax")]
    for chosen in (head, [layers.Dense(3, use_bias=False), layers.Softmax()]):
        old, x = classifier(3, head=chosen), pictures()
        found = read(extend_classes(old, 1), x)
        kept = found[:, :3] / found[:, :3].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(kept, read(old, x), rtol=1e-4, atol=1e-7)


def test_settings_of_the_layer_stay():
    layer = layers.Dense(
        3, "softmax", kernel_regularizer="l2", kernel_constraint="non_neg"
    )
    new = extend_classes(classifier(3, head=layer), 2)
    added = [x for x in new.layers if isinstance(x, layers.Dense)]
    assert [x.units for x in added] == [3, 2]
    for x in added:
        assert isinstance(x.kernel_regularizer, keras.regularizers.L2)
        assert isinstance(x.kernel_constraint, keras.constraints.NonNeg)


def test_names():
    assert extend_classes(classifier(3), 2).class_names is None
    numbered = extend_classes(classifier(3), ["x"])
    assert numbered.class_names == ["0", "1", "2", "x"]
    [[(name, _)]] = kt.decode_predictions(numbered, [[0, 0, 0, 1]], top=1)
    assert name == "x"


@pytest.mark.parametrize(
    ("classes", "names", "message"),
    [
        (["a", "b"], ["c", "a"], r"has these classes already: \['a'\]"),
        (3, ["1"], r"has these classes already: \['1'\]"),
        (["a", "b"], 2, "classes of this model have names.*names=2"),
        (["a", "b"], ["c", "c"], "Received: names="),
        (3, 0, "Received: names=0"),
        (["a", "b"], "cd", "Received: names='cd'"),
        (1, 1, "A single sigmoid"),
    ],
)
def test_wrong_arguments(classes, names, message):
    with pytest.raises(ValueError, match=message):
        extend_classes(classifier(classes), names)


@pytest.mark.parametrize("name", ["unet", "two_outputs", "cnn", "subclassed"])
def test_a_model_that_ends_in_something_else(name):
    with pytest.raises(ValueError, match=r"Expected a functional.*Received"):
        extend_classes(networks.build(name), 1)


def test_a_head_with_lora():
    model = classifier()
    model.layers[-1].enable_lora(1)
    with pytest.raises(ValueError, match="without LoRA"):
        extend_classes(model, ["d"])

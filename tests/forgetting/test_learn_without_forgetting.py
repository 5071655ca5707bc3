"""Old answers of a frozen teacher, on new examples."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.builders.extend_classes import extend_classes
from keras_transfer.caching.cut import Cut
from keras_transfer.callbacks.linear_head import find_linear_head
from keras_transfer.data.random_state import capture_random_state
from keras_transfer.forgetting.distillation import compare
from keras_transfer.forgetting.learn_without_forgetting import (
    learn_without_forgetting,
)
from tests import networks

OLD, NEW = ["a", "b", "c"], ["v", "w", "x", "y"]


def classifier(classes=OLD, **options):
    model = kt.build_classifier(networks.tiny_backbone(), classes, **options)
    networks.randomize(model)
    move(kt.layer_groups(model)[-1].variables, 0.5)
    return model


def move(variables, scale=0.1, seed=0):
    """Give variables other values, as training would."""
    random = np.random.default_rng(seed)
    for variable in variables:
        if "moving" not in variable.name:
            noise = random.normal(0, scale, variable.shape)
            variable.assign_add(noise.astype(variable.dtype))


def pictures(count=24, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    return x, random.integers(0, len(NEW), count)


def distil(model, x):
    """Return what the distillation adds to the loss in training."""
    model(x, training=True)
    [loss] = model.distillation.losses
    return float(loss)


def divergence(teacher, student, temperature):
    """Compare softened probabilities (equations 2 and 3), `(..., classes)`."""
    soft = []
    for p in (teacher, student):
        p = np.asarray(p, "float64") ** (1 / temperature)
        soft.append(p / p.sum(axis=-1, keepdims=True))
    teacher, student = soft
    cross_entropy = -(teacher * np.log(student)).sum(axis=-1)
    entropy = -(teacher * np.log(teacher)).sum(axis=-1)
    return (cross_entropy - entropy) * temperature**2


def both_ways(p):
    return np.stack([p, 1 - np.asarray(p, "float64")], axis=-1)


def wide(old):
    """Put one softmax of old and new classes on the body of a model."""
    features = old.layers[-1].input
    outputs = layers.Dense(7, activation="softmax")(features)
    model = keras.Model(old.input, outputs)
    model.class_names = [*OLD, *NEW]
    return model


@pytest.mark.parametrize("temperature", [1, 2.0, 5])
def test_the_loss_is_that_of_the_paper(temperature):
    old = classifier()
    model = learn_without_forgetting(
        kt.replace_head(old, NEW), old, strength=0.7, temperature=temperature
    )
    x, _ = pictures()
    before = old(x)
    move(model.weights)
    expected = divergence(before, old(x), temperature).mean()
    assert expected > 0.01
    assert distil(model, x) == pytest.approx(0.7 * expected, rel=1e-4)


@pytest.mark.parametrize("classes", [["yes"], OLD])
def test_labels_that_do_not_exclude_each_other_are_summed(classes):
    old = classifier(classes, multi_label=True)
    model = learn_without_forgetting(kt.replace_head(old, NEW), old)
    x, _ = pictures()
    before = both_ways(old(x))
    move(model.weights)
    expected = divergence(before, both_ways(old(x)), 2).sum(axis=-1).mean()
    assert distil(model, x) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("extend", [lambda old: extend_classes(old, NEW), wide])
def test_old_classes_among_more(extend):
    old = classifier()
    model = learn_without_forgetting(extend(old), old)
    x, _ = pictures()
    before = old(x)
    move(model.weights)
    first = np.asarray(model(x), "float64")[:, : len(OLD)]
    student = first / first.sum(axis=-1, keepdims=True)
    expected = divergence(before, student, 2).mean()
    assert distil(model, x) == pytest.approx(expected, rel=1e-4)


def test_more_sigmoids_and_no_names():
    old = classifier(3, multi_label=True)
    model = learn_without_forgetting(extend_classes(old, 2), old)
    x, _ = pictures()
    before = both_ways(old(x))
    assert distil(model, x) == pytest.approx(0, abs=1e-6)
    move(model.weights)
    student = both_ways(model(x)[:, :3])
    expected = divergence(before, student, 2).sum(axis=-1).mean()
    assert distil(model, x) == pytest.approx(expected, rel=1e-4)


def test_logits():
    x, _ = pictures()
    for loss in ("categorical", "binary"):
        old = classifier()
        old.layers[-1].activation = keras.activations.linear
        kind = getattr(keras.losses, f"{loss.title()}Crossentropy")
        old.compile(loss=kind(from_logits=True))
        model = learn_without_forgetting(kt.replace_head(old, NEW), old)
        before = old(x)
        move(model.weights)
        if loss == "binary":
            pair = [both_ways(keras.ops.sigmoid(z)) for z in (before, old(x))]
        else:
            pair = [keras.ops.softmax(z) for z in (before, old(x))]
        expected = divergence(*pair, 2).reshape(len(x), -1).sum(axis=1).mean()
        assert distil(model, x) == pytest.approx(expected, rel=1e-4)


def test_a_class_that_is_wholly_forgotten_comes_back():
    old = classifier()
    kernel, bias = old.layers[-1].weights
    x, _ = pictures()
    bias.assign(0 * bias)
    kernel.assign(kernel * 50 / np.ptp(np.log(old(x)), axis=1).max())
    model = learn_without_forgetting(kt.replace_head(old, NEW), old)
    kt.set_trainable(model, "all")
    kernel.assign(-kernel)
    assert 1e-30 < np.min(old(x)) < 1e-12
    loss, gradients = slopes(model, x)
    assert 10 < loss < 1000
    assert max(np.abs(g).max() for g in gradients) > 1


def slopes(model, x):
    with tf.GradientTape() as tape:
        model(x, training=True)
        [loss] = model.distillation.losses
    gradients = tape.gradient(loss, model.trainable_weights)
    return float(loss), [g for g in gradients if g is not None]


def test_nothing_pulls_where_nothing_is_forgotten():
    old = classifier()
    model = learn_without_forgetting(kt.replace_head(old, NEW), old)
    kt.set_trainable(model, "all")
    x, _ = pictures()
    loss, gradients = slopes(model, x)
    assert loss == pytest.approx(0, abs=1e-6)
    assert len(gradients) == len(model.trainable_weights) - 2  # the new head
    # Not nearly: Adam would make steps of full size of any rest.
    assert max(np.abs(g).max() for g in gradients) == 0
    move(model.weights)
    assert max(np.abs(g).max() for g in slopes(model, x)[1]) > 0.01


def test_over_a_frozen_body_the_old_head_stays_as_it_is():
    old = classifier()
    head = networks.values(kt.layer_groups(old)[-1].variables)
    model = learn_without_forgetting(kt.replace_head(old, NEW), old)
    kt.set_trainable(model, "head")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*pictures(), epochs=2, verbose=0)
    for variable, before in zip(
        kt.layer_groups(old)[-1].variables, head, strict=True
    ):
        np.testing.assert_array_equal(variable, before)


def test_old_answers_survive_and_with_no_strength_nothing_changes():
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (24, 6)).astype("float32")
    y = random.integers(0, len(NEW), 24)
    found = {}
    for strength in (None, 0, 10):
        keras.utils.set_random_seed(0)
        old = networks.build("mlp")
        before = np.array(old(x))
        model = new = kt.replace_head(old, NEW)
        if strength is not None:
            model = learn_without_forgetting(new, old, strength=strength)
        kt.set_trainable(model, "all")
        model.compile(
            keras.optimizers.Adam(0.05),
            "sparse_categorical_crossentropy",
            run_eagerly=True,  # quicker than to trace
        )
        history = model.fit(
            x, y, validation_data=(x, y), epochs=5, verbose=0
        ).history
        change = np.abs(old(x) - before).mean()
        found[strength] = history, networks.values(new.weights), change
    assert found[None][0] == found[0][0]
    for value, same in zip(found[None][1], found[0][1], strict=True):
        np.testing.assert_array_equal(value, same)
    assert 0 < found[10][2] < found[0][2] / 2

    np.testing.assert_array_equal(model.predict(x, verbose=0), new(x))
    np.testing.assert_array_equal(model(x), new(x))
    # The penalty is one of training.
    right = keras.losses.sparse_categorical_crossentropy(y, new(x))
    assert np.mean(right) == pytest.approx(history["val_loss"][-1], rel=1e-5)
    teacher = model.training_graph.get_layer("teacher")
    answers = keras.ops.softmax(teacher(x))
    np.testing.assert_allclose(answers, before, rtol=1e-4, atol=1e-6)
    ids = {id(v) for v in (*new.weights, *old.weights)}
    assert {id(v) for v in model.weights} == ids


def cut_of(model):
    cut = Cut(model)
    names = [
        [getattr(step.operation, "name", None) for step in part]
        for part in (cut.steps, cut.tail)
    ]
    assert "teacher" in names[0] and "distillation" in names[1]
    return cut


def test_the_cache_keeps_what_the_teacher_answers():
    phases = [
        kt.Phase("head", epochs=2, learning_rate=0.05),
        kt.Phase("top:2", epochs=2, learning_rate=0.01),
    ]
    found = []
    for cache in (False, True):
        keras.utils.set_random_seed(0)
        old = classifier()
        new = kt.replace_head(old, NEW)
        model = learn_without_forgetting(new, old, strength=3)
        result = kt.fine_tune(
            model,
            pictures(),
            pictures(seed=1),
            strategy=phases,
            optimizer="sgd",
            cache=cache,
            engine=None,
            log_dir=False,
            baselines=False,
            seed=0,
            verbose=0,
        )
        found.append((result.history, networks.values(model.weights)))
        cut_of(model)  # for `top:2`, which is how it ends
    (history, weights), (same, same_weights) = found
    for name, values in history.items():
        np.testing.assert_allclose(values, same[name], rtol=1e-4)
    for value, its_value in zip(weights, same_weights, strict=True):
        np.testing.assert_allclose(value, its_value, rtol=1e-3, atol=1e-5)


def test_another_teacher_has_other_features_in_a_folder():
    digests = set()
    for scale in (0, 0, 0.1):
        keras.utils.set_random_seed(0)
        old = classifier()
        move(kt.layer_groups(old)[-1].variables, scale, seed=1)
        model = learn_without_forgetting(kt.replace_head(old, NEW), old)
        digests.add(cut_of(model).digest())
    assert len(digests) == 2


def test_a_frozen_head_does_not_silence_the_teacher():
    old = classifier()
    model = learn_without_forgetting(kt.replace_head(old, NEW), old)
    kt.set_trainable(model, ["block_1"])
    move(kt.layer_groups(model)[1].variables)
    x, _ = pictures()
    assert distil(model, x) > 1e-3
    cut = cut_of(model)
    cut.run_tail(cut.run_prefix(x), training=True)
    [loss] = model.distillation.losses
    assert float(loss) == pytest.approx(distil(model, x), rel=1e-5)
    cut.run_tail(cut.run_prefix(x), training=False)
    assert model.distillation.losses == []


AUGMENTATION = [
    layers.RandomFlip(seed=0),
    layers.RandomBrightness(0.5, value_range=(0, 255), seed=1),
]


def flat(augmentation=(), nested=False):
    """Build a classifier of one graph, that rescales before it augments."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    first = [layers.Rescaling(1 / 255), *augmentation]
    first += [layers.Conv2D(4, 3, activation="relu", name="block1_conv")]
    if nested:
        first = [keras.Sequential([keras.Input((8, 8, 3)), *first])]
    for layer in first:
        x = layer(x)
    x = layers.Conv2D(4, 3, activation="relu", name="block2_conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("kind", ["ours", "flat", "another"])
def test_teacher_and_student_see_the_same_picture(kind):
    if kind == "flat":
        old = flat([layers.RandomFlip(), layers.RandomContrast(0.5)])
    else:
        old = classifier(augmentation=AUGMENTATION)
    new = kt.replace_head(old, NEW)
    if kind == "another":
        # As if both had been loaded from files.
        new = extend_classes(old, NEW)
        copy, old = old, classifier()
        old.set_weights(copy.get_weights())
        assert new.inputs[0] is not old.inputs[0]
    model = learn_without_forgetting(new, old)
    x, _ = pictures()
    assert distil(model, x) == pytest.approx(0, abs=1e-5)
    # So that it would show.
    body = new.layers[1 if kind != "flat" else 2]
    changed = body(x, training=True)
    assert np.abs(changed - x).mean() > 0.1
    assert np.abs(old(changed) - old(x)).max() > 1e-3


def test_pictures_that_change_out_of_sight():
    old = flat([layers.RandomFlip()], nested=True)
    new = kt.replace_head(old, NEW)
    with pytest.raises(ValueError, match=r"Augment before.*random_flip"):
        learn_without_forgetting(new, old)


@pytest.mark.parametrize("name", ["ours", "flat", "mlp", "nested", "cnn"])
def test_layer_groups_are_those_of_the_new_model(name):
    if name in ("mlp", "nested", "cnn"):
        old = networks.build(name)
        if name != "mlp":
            old = keras.Model(old.input, layers.Softmax()(old.output))
    else:
        old = flat() if name == "flat" else classifier()
    new = kt.replace_head(old, NEW)
    expected = kt.layer_groups(new)
    model = learn_without_forgetting(new, old)
    found = kt.layer_groups(model)
    assert [g.name for g in found] == [g.name for g in expected]
    for group, its_group in zip(found[:-1], expected[:-1], strict=True):
        assert list(map(id, group.variables)) == list(
            map(id, its_group.variables)
        )
    heads = [*expected[-1].variables, *kt.layer_groups(old)[-1].variables]
    assert {id(v) for v in found[-1].variables} == {id(v) for v in heads}
    kt.set_trainable(model, "head")
    assert {id(v) for v in model.trainable_weights} == {
        id(v) for v in heads if "moving" not in v.name
    }
    x = networks.batch_for(old)
    before = np.array(old(x))
    assert distil(model, x) == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(model(x), new(x))
    np.testing.assert_array_equal(old(x), before)
    kt.set_trainable(model, "none")
    assert not model.trainable_weights
    assert find_linear_head(model) == find_linear_head(new)


def test_a_file_has_the_classifier_alone(tmp_path):
    old = classifier(augmentation=AUGMENTATION)
    new = kt.replace_head(old, NEW)
    model = learn_without_forgetting(new, old)
    x, y = pictures()
    keras.saving.save_model(model, tmp_path / "uncompiled.keras")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    new.save(tmp_path / "new.keras")
    for name in ("uncompiled", "model"):
        loaded = keras.models.load_model(tmp_path / f"{name}.keras")
        assert type(loaded) is type(new)
        assert loaded.class_names == NEW
        assert [x.name for x in loaded.layers] == [x.name for x in new.layers]
        if name == "model":
            np.testing.assert_array_equal(loaded(x), new(x))
    assert len(loaded.trainable_weights) == len(new.trainable_weights)
    loaded.fit(x, y, verbose=0)
    kt.replace_head(loaded, OLD)
    sizes = [
        (tmp_path / f"{name}.keras").stat().st_size for name in ("model", "new")
    ]
    assert sizes[0] < 1.5 * sizes[1]


def test_weights_saved_alone_have_both_heads_and_no_teacher(tmp_path):
    old = classifier()
    model = learn_without_forgetting(kt.replace_head(old, NEW), old)
    before = networks.values(model.weights)
    model.save_weights(tmp_path / "all.weights.h5")
    move(model.weights)
    model.load_weights(tmp_path / "all.weights.h5")
    assert not networks.moved(model.weights, before)
    count = 0

    def add(_, item):
        nonlocal count
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            count += item.size

    with h5py.File(tmp_path / "all.weights.h5") as file:
        file.visititems(add)
    assert count == model.count_params()


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        old = classifier()
        model = learn_without_forgetting(kt.replace_head(old, NEW), old)
        x, _ = pictures()
        assert distil(model, x) == pytest.approx(0, abs=1e-5)
        [loss] = model.distillation.losses
        assert loss.dtype == "float32"
        before = old(x)
        move(model.weights)
        expected = divergence(before, old(x), 2).mean()
        assert distil(model, x) == pytest.approx(expected, rel=0.05)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_a_new_one_for_a_third_task():
    old = classifier()
    new = kt.replace_head(old, NEW)
    model = learn_without_forgetting(new, old)
    third = kt.replace_head(model, ["p", "q"])
    again = learn_without_forgetting(third, new)
    x, _ = pictures()
    assert distil(again, x) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="not one that this"):
        learn_without_forgetting(model, old)


def test_the_call_draws_no_random_numbers():
    old = classifier()
    new = kt.replace_head(old, NEW)
    before = capture_random_state()
    learn_without_forgetting(new, old)
    assert capture_random_state() == before


def test_what_does_not_fit_is_refused():
    old = classifier()
    new = kt.replace_head(old, NEW)
    learn = learn_without_forgetting
    for value in (-1, float("nan"), float("inf"), "1", True, None):
        with pytest.raises(ValueError, match="Received: strength="):
            learn(new, old, strength=value)
        with pytest.raises(ValueError, match="Received: temperature="):
            learn(new, old, temperature=value)
    with pytest.raises(ValueError, match="Received: temperature=0"):
        learn(new, old, temperature=0)
    with pytest.raises(ValueError, match="Received: old='subclassed'"):
        learn(new, networks.build("subclassed"))
    with pytest.raises(ValueError, match="Received: new=None"):
        learn(None, old)
    with pytest.raises(ValueError, match="one input, and one output"):
        learn(networks.build("two_outputs"), old)
    with pytest.raises(ValueError, match="what the outputs mean"):
        learn(new, networks.build("cnn"))
    with pytest.raises(ValueError, match="make it with `kt.replace_head"):
        learn(classifier(NEW), old)
    with pytest.raises(ValueError, match="exclude each other in both"):
        learn(classifier([*OLD, *NEW], multi_label=True), old)
    with pytest.raises(ValueError, match="must take what leaves"):
        learn(wide_for_other_pictures(), old)


def wide_for_other_pictures():
    inputs = keras.Input((9, 9, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(5, activation="softmax")(x))
    model.class_names = [*OLD, "x", "y"]
    return model


def test_what_speaks_against_the_distillation_of_keras():
    """If this fails, `compare` may be `LogitsDistillation`."""
    random = np.random.default_rng(0)
    teacher, student = random.normal(0, 1, (2, 4, 5)).astype("float32")
    pair = [keras.ops.softmax(logits) for logits in (teacher, student)]
    right = divergence(*pair, 2).mean()
    kinds = keras.distillation.LogitsDistillation, keras.losses.KLDivergence
    default, by_class = kinds[0](2.0), kinds[0](2.0, kinds[1]())
    assert abs(float(default.compute_loss(teacher, student)) - right) > 1
    assert float(by_class.compute_loss(teacher, student)) == pytest.approx(
        right, rel=1e-4
    )
    teacher, student = tf.constant([[50.0, 0.0]]), tf.constant([[0.0, 50.0]])
    for loss, is_dead in [
        (lambda: by_class.compute_loss(teacher, student), True),
        (lambda: compare(teacher, student, 2.0), False),
    ]:
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = loss()
        slope = np.abs(tape.gradient(value, student)).max()
        assert (slope < 1e-6) == is_dead

"""A trained classifier learns more."""

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.recipes.update import update
from tests import networks

QUIET = {"verbose": 0, "log_dir": False}
NAMES = ["ant", "bee", "cat", "dog", "elk", "fox"]


def points(names, count=60, seed=0, counted=None):
    """Draw points in the plane, a cluster a class; labels count `counted`."""
    random = np.random.default_rng([seed, *map(NAMES.index, names)])
    classes = np.arange(count) % len(names)
    angles = np.array([2 * np.pi * NAMES.index(n) / len(NAMES) for n in names])
    centres = 3 * np.c_[np.cos(angles), np.sin(angles)]
    x = centres[classes] + random.normal(0, 0.4, (count, 2))
    counted = list(counted or names)
    labels = np.array([counted.index(names[label]) for label in classes])
    return x.astype("float32"), labels.astype("int32")


def dataset(names, **options):
    data = tf.data.Dataset.from_tensor_slices(points(names, **options))
    data = data.batch(16)
    data.class_names = list(names)
    return data


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A file of a model that knows ants and bees."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.Dense(32, activation="relu")(x)
    outputs = layers.Dense(2, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    model.fit(*points(["ant", "bee"]), epochs=10, verbose=0)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def model(trained):
    model = keras.models.load_model(trained)
    model.class_names = ["ant", "bee"]
    return model


def accuracy(model, names, seed=1):
    """Count by names, without anything of ours."""
    x, y = points(names, seed=seed)
    answers = model.predict(x, verbose=0).argmax(axis=1)
    return np.mean(
        [
            model.class_names[answer] == names[label]
            for answer, label in zip(answers, y, strict=True)
        ]
    )


def test_new_classes_and_an_old_one_in_another_order(model):
    memory = points(["ant", "bee"], 10, counted=model.class_names)
    names = ["dog", "bee", "cat"]
    result = update(
        model,
        dataset(names),
        dataset(names, seed=1),
        memory=memory,
        old_validation=points(["ant", "bee"], seed=1),
        **QUIET,
    )
    new = result.model
    assert new.class_names == ["ant", "bee", "dog", "cat"]
    assert model.class_names == ["ant", "bee"]
    # The last was never counted as what its own data calls 0, 1 and 2.
    assert result.new_accuracy == pytest.approx(
        (accuracy(model, names), accuracy(new, names))
    )
    assert result.old_accuracy == pytest.approx(
        (accuracy(model, ["ant", "bee"]), accuracy(new, ["ant", "bee"]))
    )
    assert result.old_accuracy[1] > 0.95 and result.new_accuracy[1] > 0.95
    assert result.new_accuracy[0] < 0.4
    x, y = result.memory
    assert np.bincount(y).tolist() == [2, 2, 2, 2]
    assert not set(map(tuple, x[y == 0])) - set(map(tuple, memory[0]))
    assert len(result.history["loss"]) == len(result.history["val_loss"])
    assert "on old data" in str(result) and "8 examples of 4" in str(result)


def test_three_updates_one_after_another_from_a_few_examples_each(model):
    memory = kt.choose_memory(model, points(["ant", "bee"]), per_class=6)
    for number, name in enumerate(["cat", "dog", "elk"], 3):
        few = dataset([name], count=20)
        result = update(model, few, memory=memory, per_class=6, **QUIET)
        model, memory = result.model, result.memory
        assert np.bincount(memory[1]).tolist() == number * [6]
    assert model.class_names == NAMES[:5]
    assert accuracy(model, NAMES[:5]) > 0.9
    assert len(kt.layer_groups(model)[-1].variables) == 8


def test_more_of_the_same_classes(model):
    # Bees are now found where foxes were.
    x, y = points(["ant", "fox"])
    moved = points(["fox"], seed=1)[0], np.ones(60, "int32")
    memory = points(["ant", "bee"], 12)
    result = update(
        model,
        (x, y[:, None]),
        moved,
        memory=memory,
        strategy=[kt.Phase("all", 20, 0.01)],
        **QUIET,
    )
    assert result.model is model
    assert len(result.history["loss"]) == 20
    before, after = result.new_accuracy
    assert before < 0.6 and after > 0.95
    assert accuracy(model, ["ant", "bee"]) > 0.95
    # Of a class in both, as many old as new ones are kept.
    is_bee = result.memory[1] == 1
    assert is_bee.sum() == 6
    old = set(map(tuple, memory[0]))
    kept = [tuple(row) in old for row in result.memory[0][is_bee]]
    assert kept == [True, False] * 3


def test_without_memory_it_says_so(model, capsys):
    result = update(
        model,
        points(["cat"]),
        class_names=["cat"],
        strategy=[kt.Phase("head", 1, 0.01)],
        log_dir=False,
        verbose=2,
    )
    assert "Nothing keeps the model from forgetting" in capsys.readouterr().out
    assert np.isnan([*result.old_accuracy, *result.new_accuracy]).all()
    assert np.bincount(result.memory[1]).tolist() == [0, 0, 20]
    assert str(result).startswith("The memory for the next update has 20")


def paint(folder, names):
    """Write pictures whose mean colour tells their class."""
    random = np.random.default_rng(0)
    for name in names:
        colour = 255 * np.eye(3)[["red", "green", "blue"].index(name)]
        (folder / name).mkdir(parents=True)
        for number in range(12):
            noise = random.normal(0, 20, (8, 8, 3))
            picture = (colour + noise).clip(0, 255).astype("uint8")
            PIL.Image.fromarray(picture).save(folder / name / f"{number}.png")
    return kt.load_image_folder(folder, image_size=8, verbose=False)


def test_folders_of_pictures(tmp_path):
    train, validation = paint(tmp_path / "old", ["red", "green"])
    model = kt.build_classifier(networks.tiny_backbone(), train.class_names)
    phases = [kt.Phase("head", 10, 0.3)]
    kt.fine_tune(model, train, strategy=phases, **QUIET)
    memory = kt.choose_memory(model, train, per_class=4)
    new_train, new_validation = paint(tmp_path / "new", ["red", "blue"])
    assert new_train.class_names == ["blue", "red"]
    result = update(
        model,
        new_train,
        new_validation,
        memory=memory,
        old_validation=validation,
        strategy=phases,
        cache=tmp_path / "cache",
        **QUIET,
    )
    assert result.model.class_names == ["green", "red", "blue"]
    assert result.old_accuracy[1] == result.new_accuracy[1] == 1
    images, labels = result.memory
    assert np.bincount(labels).tolist() == [2, 2, 2]
    brightest = images.mean(axis=(1, 2)).argmax(axis=1)
    assert brightest.tolist() == [1, 1, 0, 0, 2, 2]


MEMORY = points(["ant", "bee"], 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": (MEMORY[0], MEMORY[1] + 1)}, "from 0 to 1. Received"),
        ({"memory": list(MEMORY)}, "tuple of arrays.*Received: memory="),
        ({"memory": MEMORY, "ratio": 1.0}, "Received: ratio=1.0"),
        ({"per_class": 0}, "Received: per_class=0"),
        ({"class_names": 2}, "Received: class_names=2"),
        ({"class_names": "ab"}, "Received: class_names='ab'"),
        ({"strategy": "quickly"}, "Received: strategy='quickly'"),
        ({"new_data": points(["cat"], 4, counted=NAMES)}, "labels up"),
        ({"new_data": (MEMORY[0], np.eye(2)[MEMORY[1]])}, "one class each"),
        ({"new_data": MEMORY[0]}, "Received: new_data="),
        ({"validation_data": dataset(["elk"])}, r"nor `new_data` has: \['elk"),
        ({"old_validation": dataset(["elk"])}, r"nor `new_data` has: \['elk"),
    ],
)
def test_wrong_arguments_change_nothing(model, options, message):
    before = networks.values(model.weights)
    arguments = {"new_data": MEMORY, **QUIET, **options}
    with pytest.raises(ValueError, match=message):
        update(model, **arguments)
    assert not networks.moved(model.weights, before)


def test_models_that_it_is_not_for(model):
    nameless = networks.build("mlp")
    with pytest.raises(ValueError, match="the model does not"):
        update(nameless, dataset(["ant"]), **QUIET)
    labels = kt.build_classifier(networks.tiny_backbone(), 3, multi_label=True)
    for other in (labels, networks.build("two_outputs")):
        with pytest.raises(ValueError, match="classes exclude each other"):
            update(other, MEMORY, **QUIET)

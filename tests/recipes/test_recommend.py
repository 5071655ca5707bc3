import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from tests import networks
from tests.recipes.test_fine_tune import small_backbone


def pictures(count=60, classes=3, seed=0):
    """Pictures whose brightest channel tells their class, with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    x = random.uniform(0, 40, (count, 8, 8, 3))
    x += 60 * np.eye(3)[labels % 3][:, None, None]
    return x.astype("float32"), labels


def classifier(classes=3):
    keras.utils.set_random_seed(0)
    return kt.build_classifier(networks.tiny_backbone(), classes)


def small_classifier():
    """Build one with fewer groups, each of which takes a trial."""
    keras.utils.set_random_seed(0)
    return kt.build_classifier(small_backbone(), 3)


def stripes(count, classes=3, seed=0):
    """Three patterns that no average colour tells apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    rows, columns = np.indices((8, 8))
    kinds = [rows % 2, columns % 2, (rows + columns) % 2]
    x = np.stack([kinds[label] for label in labels]) * 200.0
    x = np.repeat(x[..., None], 3, axis=-1)
    return (x + random.uniform(0, 40, x.shape)).astype("float32"), labels


@pytest.fixture(scope="module")
def recommended():
    model = classifier()
    before = networks.values(model.variables)
    attributes = set(vars(model))
    found = kt.recommend(model, pictures(), pictures(seed=1), verbose=False)
    return model, before, attributes, found


def test_nothing_of_the_model_changes(recommended):
    model, before, attributes, _ = recommended
    assert not networks.moved(model.variables, before)
    assert set(vars(model)) == attributes and not model.compiled
    assert all(weight.trainable for weight in model.layers[-1].weights)


def test_a_compiled_model_stays_as_it_was_compiled():
    """With one-hot labels, since its loss wants them."""
    model = small_classifier()
    loss = keras.losses.CategoricalCrossentropy()
    model.compile("sgd", loss, metrics=["acc"])
    optimizer = model.optimizer
    (x, y), (x_validation, y_validation) = pictures(), pictures(seed=1)
    data = x, np.eye(3)[y]
    validation = x_validation, np.eye(3)[y_validation]
    found = kt.recommend(model, data, validation, epochs=4, verbose=False)
    assert found.evidence.classes == 3 and found.evidence.judged_on == 60
    assert model.optimizer is optimizer and not optimizer.built
    model.fit(*data, verbose=0)
    assert set(model.evaluate(*data, return_dict=True, verbose=0)) == {
        "acc",
        "loss",
    }
    result = kt.fine_tune(
        model, data, validation, epochs=4, log_dir=False, verbose=0
    )
    assert result.report.accuracy > 0.5


def test_it_says_what_it_looked_at(recommended):
    *_, found = recommended
    known = found.evidence
    assert (known.examples, known.classes, known.per_class) == (60, 3, 20)
    assert known.most_frequent == pytest.approx(1 / 3)
    assert known.judged_on == 60 and known.head_accuracy > 0.9
    assert set(known.gradients) == {"stem", "block_1", "block_2", "head"}
    assert [row["train"] for row in found.rows] == [
        "head",
        "top:1",
        "top:2",
        "all",
    ]
    assert all(row["seconds"] > 0 for row in found.rows[1:])


def test_a_task_that_the_features_solve_needs_the_head_alone():
    """Random convolutions tell stripes apart."""
    found = kt.recommend(
        classifier(), stripes(240), stripes(90, seed=1), verbose=False
    )
    assert found.evidence.head_accuracy > 0.98
    assert (found.train, found.groups, found.strategy) == (
        "head",
        0,
        "extraction",
    )
    assert [phase.train for phase in found.phases] == ["head"]
    assert "head alone" in str(found)


def test_its_phases_train_a_model(recommended):
    """Colours that are hard to see take more than the head."""
    *_, found = recommended
    assert found.groups > 0 and found.strategy == "lp_ft"
    assert found.phases[1].train == found.train
    result = kt.fine_tune(
        classifier(),
        pictures(),
        pictures(seed=1),
        strategy=found.phases,
        log_dir=False,
        verbose=0,
    )
    assert result.report.accuracy > 0.9


@pytest.mark.parametrize("kind", ["pair", "PyDataset", "alone"])
def test_data_comes_in_many_forms(kind):
    x, y = pictures()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(12)
    validation = tf.data.Dataset.from_tensor_slices(pictures(seed=1)).batch(7)

    class Batches(keras.utils.PyDataset):
        @property
        def num_batches(self):
            return 5

        def __getitem__(self, n):
            return x[12 * n : 12 * n + 12], y[12 * n : 12 * n + 12]

    given = {
        "pair": ((data, validation),),
        "PyDataset": (Batches(), validation),
        "alone": ((x, y),),
    }[kind]
    found = kt.recommend(small_classifier(), *given, epochs=4, verbose=False)
    assert found.evidence.examples == 60
    assert found.evidence.judged_on == (12 if kind == "alone" else 60)
    assert sum(phase.epochs for phase in found.phases) == 4


def test_a_budget_leaves_out_what_is_too_slow():
    found = kt.recommend(
        small_classifier(),
        pictures(),
        pictures(seed=1),
        seconds=1e-9,
        verbose=False,
    )
    assert found.train == "head"
    assert [row["possible"] for row in found.rows] == [True, *[False] * 2]
    assert "too slow" in str(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0}, "`seconds` must be more than 0.*seconds=0"),
        ({"epochs": 1}, "at least 2 epochs"),
        ({"data": pictures(classes=1)}, "all of the same class"),
        ({"data": (pictures()[0], np.arange(60))}, "labels up to"),
        (
            {"data": (np.zeros((6, 9, 9, 3)), np.arange(6) % 3)},
            "another shape",
        ),
        (
            {"model": keras.Sequential([keras.Input((8, 8, 3))])},
            "model=",
        ),
        ({"data": 3}, "`data` must be"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(change, message):
    model = change.get("model") or classifier()
    before = networks.values(model.variables)
    arguments = {"data": pictures(), "verbose": False, **change}
    arguments.pop("model", None)
    with pytest.raises(ValueError, match=message):
        kt.recommend(model, **arguments)
    assert not networks.moved(model.variables, before)

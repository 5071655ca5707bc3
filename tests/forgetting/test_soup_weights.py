import keras
import numpy as np
import pytest

from keras_transfer.forgetting.soup_weights import soup_weights
from tests.networks import build


def net():
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def some_models(count, seed):
    random = np.random.default_rng(seed)
    common = [random.normal(size=w.shape) for w in net().weights]
    models = [net() for _ in range(count)]
    for model in models:
        model.set_weights([w + random.normal(0, 0.4, w.shape) for w in common])
        model.compile(
            loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
    x = random.normal(size=(60, 3)).astype("float32")
    teacher = net()
    teacher.set_weights(common)
    return models, (x, teacher(x).numpy().argmax(axis=1))


def accuracy_of(weights, x, y):
    hidden = np.tanh(x.astype("float64") @ weights[0] + weights[1])
    outputs = hidden @ weights[2] + weights[3]
    return (outputs.argmax(axis=1) == y).mean()


def greedy(weights, x, y):
    """Make a greedy soup in NumPy."""
    scores = [accuracy_of(w, x, y) for w in weights]
    order = np.argsort(-np.array(scores), kind="stable").tolist()
    members, best = [], -1
    for number in order:
        tried = [weights[n] for n in (*members, number)]
        mean = [np.mean(part, axis=0) for part in zip(*tried, strict=True)]
        if accuracy_of(mean, x, y) >= best:
            members.append(number)
            best = accuracy_of(mean, x, y)
    final = [weights[n] for n in members]
    mean = [np.mean(part, axis=0) for part in zip(*final, strict=True)]
    return members, best, mean


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_greedy_soup(seed):
    models, (x, y) = some_models(5, seed)
    starts = [model.get_weights() for model in models]
    # Lists of arrays will do, but for one.
    soup = soup_weights([*starts[:2], *models[2:]], (x, y))
    members, best, mean = greedy(starts, x, y)
    assert soup.chosen == members
    assert soup.accuracy == pytest.approx(best)
    for one, two in zip(soup.model.get_weights(), mean, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    for model, start in zip(models, starts, strict=True):
        for one, two in zip(model.get_weights(), start, strict=True):
            assert np.array_equal(one, two)
    found = soup.model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(best)


def test_some_models_stay_out():
    models, (x, y) = some_models(3, seed=0)
    models[1].set_weights([-w for w in models[1].get_weights()])
    soup = soup_weights(models, (x, y))
    assert 1 not in soup.chosen
    row = next(row for row in soup.rows if row["model"] == 1)
    assert not row["joined"] and row["together"] < soup.accuracy
    text = str(soup)
    assert "joined" in text and f"{len(soup.chosen)} of 3 models" in text


def test_statistics_that_differ_need_data():
    models = [build("cnn"), build("cnn")]
    for model in models:
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
    models[0].get_layer("first_bn").moving_mean.assign_add([1.0] * 4)
    x = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype("float32")
    data = x, np.arange(12) % 3
    with pytest.warns(UserWarning, match="1 BatchNorm layers"):
        soup_weights(models, data)
    soup_weights(models, data, train_data=data)


def test_one_model_is_no_soup():
    models, data = some_models(1, seed=0)
    with pytest.raises(ValueError, match="two models or more"):
        soup_weights(models, data)
    with pytest.raises(ValueError, match=r"models\[0\] with"):
        soup_weights([build("mlp"), models[0]], data)

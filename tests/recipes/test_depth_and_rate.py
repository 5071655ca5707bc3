import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.recipes import depth_and_rate
from keras_transfer.recipes.choose_depth import DepthOption
from keras_transfer.recipes.depth_and_rate import DepthAndRate
from tests import networks
from tests.recipes.test_recommend import classifier, pictures, stripes


def choice_for(data, judges, steps=10):
    x, y = data
    batches = [(x[n : n + 12], y[n : n + 12]) for n in range(0, len(y), 12)]
    return DepthAndRate(batches, [judges], steps=steps, per_class=20)


def compiled(model):
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_it_chooses_what_recommend_would():
    """From a head that solves the task, nothing deeper is worth a try."""
    model = classifier()
    kt.fine_tune(
        model, stripes(240), strategy="extraction", log_dir=False, verbose=0
    )
    before = networks.values(model.variables)
    choice = choice_for(stripes(240), stripes(90, seed=1))
    assert choice.choose_depth(model) == "head"
    assert choice.choose_rate(model) == 3e-4
    assert not networks.moved(model.variables, before)


@pytest.mark.parametrize(("gain", "tries"), [(0.01, False), (-0.01, True)])
def test_lower_rates_are_tried_where_the_usual_one_did_harm(
    monkeypatch, gain, tries
):
    options = [DepthOption("all", 3, trial=(gain, 0.1), expected=(0.1, 0.1))]
    monkeypatch.setattr(
        depth_and_rate, "weigh_depths", lambda *args, **known: (options, None)
    )
    monkeypatch.setattr(
        depth_and_rate, "choose_learning_rate", lambda *args, **known: 1e-5
    )
    choice = choice_for(pictures(), pictures(seed=1))
    model = compiled(classifier())
    assert choice.choose_depth(model) == "all"
    assert choice.choose_rate(model) == (1e-5 if tries else 3e-4)


def test_where_there_is_one_group_below_the_head_there_is_no_choice():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    data = np.zeros((8, 4), "float32"), np.arange(8) % 2
    assert len(kt.layer_groups(model)) < 3
    assert choice_for(data, data).choose_depth(compiled(model)) == "all"


def test_auto_trains_what_it_chose_and_nothing_else():
    model = classifier()
    before = {v.path: v.numpy() for v in model.variables}
    result = kt.fine_tune(
        model, pictures(), pictures(seed=1), epochs=6, log_dir=False, verbose=0
    )
    head, rest = result.phases
    assert rest.train in ("head", "top:1", "top:2", "all")
    assert isinstance(rest.learning_rate, float)
    kt.set_trainable(model, rest.train)
    trained = {v.path for v in model.trainable_weights}
    moved = {
        v.path
        for v in model.weights
        if not np.array_equal(v.numpy(), before[v.path])
    }
    assert moved <= trained

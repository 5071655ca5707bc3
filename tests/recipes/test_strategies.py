import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.recipes.make_phases import make_phases
from tests import networks


def test_extraction_trains_the_head_alone():
    [phase] = kt.strategies.extraction(epochs=7, learning_rate=0.1)
    assert (phase.train, phase.epochs, phase.learning_rate) == ("head", 7, 0.1)


@pytest.mark.parametrize("epochs", [2, 3, 4, 30, 31])
@pytest.mark.parametrize("name", ["fine_tuning", "lp_ft"])
def test_two_phases_divide_their_epochs(name, epochs):
    head, rest = getattr(kt.strategies, name)(epochs=epochs)
    assert head.train == "head" and rest.train == "all"
    assert head.epochs + rest.epochs == epochs
    assert head.epochs >= 1 and rest.epochs >= 1
    assert rest.learning_rate < head.learning_rate


def test_fine_tuning_takes_groups_and_rates():
    head, rest = kt.strategies.fine_tuning(
        train="top:2",
        learning_rate=1e-4,
        head_learning_rate=1e-2,
        batch_norm="statistics",
    )
    assert (head.learning_rate, head.batch_norm) == (1e-2, "frozen")
    assert (rest.learning_rate, rest.batch_norm) == (1e-4, "statistics")
    assert rest.train == "top:2"


@pytest.mark.parametrize("name", kt.strategies.__all__)
def test_epochs_and_rate_come_first(name):
    needed = {"groups": ["stem"]} if name == "surgical" else {}
    phases = getattr(kt.strategies, name)(7, 0.25, **needed)
    assert sum(phase.epochs for phase in phases) == 7
    assert phases[-1].learning_rate == 0.25


@pytest.mark.parametrize(
    "name", ["fine_tuning", "lp_ft", "gradual", "surgical"]
)
def test_two_phases_need_two_epochs(name):
    with pytest.raises(ValueError, match="at least 2 epochs.*epochs=1"):
        getattr(kt.strategies, name)(epochs=1)


def test_gradual_goes_down_block_by_block():
    model = networks.cnn()  # stem, three blocks, head
    phases = kt.strategies.gradual(12, model=model)
    trained = [phase.train for phase in phases]
    assert trained == ["head", "top:1", "top:2", "top:3", "all"]
    assert [phase.epochs for phase in phases] == [4, 2, 2, 2, 2]


@pytest.mark.parametrize("epochs", [2, 3, 4, 5, 7, 30])
def test_gradual_keeps_to_its_epochs(epochs):
    for model in (None, networks.cnn()):
        phases = kt.strategies.gradual(epochs, model=model)
        assert sum(phase.epochs for phase in phases) == epochs
        assert phases[0].train == "head" and phases[-1].train == "all"
        trained = [phase.train for phase in phases]
        assert len(set(trained)) == len(trained)


def test_surgery_trains_the_groups_that_are_given():
    head, rest = kt.strategies.surgical(groups=("stem", "block_1"))
    assert head.train == "head" and rest.train == ("stem", "block_1", "head")
    assert kt.strategies.surgical(groups="stem")[1].train == ("stem", "head")
    with pytest.raises(ValueError, match="needs `groups`, or `data`"):
        kt.strategies.surgical()


def test_surgery_finds_the_group_that_was_hurt():
    """A network that fitted, one block of which was then spoilt."""
    random = np.random.default_rng(0)
    layers = [keras.layers.Dense(16, activation="relu") for _ in range(3)]
    model = keras.Sequential(
        [keras.Input((8,)), *layers, keras.layers.Dense(2, "softmax")]
    )
    x = random.normal(size=(400, 8)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(x, y, epochs=30, verbose=0)
    stem = layers[0].kernel
    stem.assign(0.1 * stem)  # a new camera, darker than the old
    _, rest = kt.strategies.surgical(3, data=[(x, y)], count=1)
    assert callable(rest.train)
    assert rest.train(model) == ("stem", "head")


def auto_for(model, labels, **options):
    data = tf.data.Dataset.from_tensors((np.zeros((2, 6)), labels))
    return kt.strategies.auto(
        model=model, data=data, validation_data=data, **options
    )


def test_trials_weigh_classes_as_the_training_does():
    weights = {0: 1.0, 1: 3.0}
    _, phase = auto_for(networks.mlp(), np.array([0, 1]), class_weight=weights)
    [(_, _, sample_weight)] = phase.train.__self__._batches
    assert sample_weight.tolist() == [1, 3]


def test_auto_chooses_depth_and_rate_when_they_are_due():
    model, labels = networks.mlp(), np.array([0, 1])
    _, phase = auto_for(model, labels)
    assert callable(phase.train) and callable(phase.learning_rate)
    _, phase = auto_for(model, labels, learning_rate=0.1)
    assert callable(phase.train) and phase.learning_rate == 0.1
    # Several labels an example: there is the rate alone to choose.
    _, phase = auto_for(model, np.ones((2, 3)))
    assert phase.train == "all" and callable(phase.learning_rate)
    # Nothing to try on.
    _, phase = kt.strategies.auto()
    assert (phase.train, phase.learning_rate) == ("all", 3e-4)


def test_lp_ft_takes_groups():
    _, phase = kt.strategies.lp_ft(train="top:2")
    assert phase.train == "top:2"


def test_scratch_forgets_everything():
    model = networks.mlp()
    model.set_weights([np.full_like(w, 9) for w in model.get_weights()])
    model.compile("sgd", "mse")
    phases = kt.strategies.scratch(epochs=1, learning_rate=0.0)
    x = np.zeros((4, 6))
    model.fit(x, x[:, :3], verbose=0, callbacks=[kt.GradualUnfreezing(phases)])
    assert all(np.abs(w).max() < 2 for w in model.get_weights())


def test_names_stand_for_strategies():
    model = networks.cnn()
    assert make_phases("extraction") == kt.strategies.extraction()
    assert make_phases("fine_tuning") == kt.strategies.fine_tuning()
    assert make_phases("lp_ft", 9, 1e-4) == kt.strategies.lp_ft(9, 1e-4)
    assert make_phases("gradual", model=model, data=None) == (
        kt.strategies.gradual(model=model)
    )
    head, rest = make_phases("surgical", model=model, data=[])
    assert callable(rest.train) and head.train == "head"


def test_phases_are_taken_as_they_are():
    phases = [kt.Phase("head", 2, 0.1), kt.Phase("all", 1, 0.01)]
    assert make_phases(phases) == phases
    assert make_phases(tuple(phases)) == phases


@pytest.mark.parametrize("wrong", ["gradul", [], ["head"], None, 3])
def test_other_strategies_are_refused(wrong):
    with pytest.raises(ValueError, match="extraction.*Received: strategy="):
        make_phases(wrong)


@pytest.mark.parametrize("extra", [{"epochs": 3}, {"learning_rate": 0.1}])
def test_phases_and_settings_contradict_each_other(extra):
    with pytest.raises(ValueError, match="Phases say themselves"):
        make_phases([kt.Phase("head", 2, 0.1)], **extra)

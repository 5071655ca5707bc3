import pytest

import keras_transfer as kt
from keras_transfer.recipes.strategies import make_phases


def test_extraction_trains_the_head_alone():
    [phase] = kt.strategies.extraction(epochs=7, learning_rate=0.1)
    assert (phase.train, phase.epochs, phase.learning_rate) == ("head", 7, 0.1)


@pytest.mark.parametrize("epochs", [2, 3, 4, 30, 31])
def test_fine_tuning_divides_its_epochs(epochs):
    head, rest = kt.strategies.fine_tuning(epochs=epochs)
    assert head.train == "head" and rest.train == "all"
    assert head.epochs + rest.epochs == epochs
    assert head.epochs >= rest.epochs >= 1
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


def test_fine_tuning_needs_two_epochs():
    with pytest.raises(ValueError, match="at least 2 epochs.*epochs=1"):
        kt.strategies.fine_tuning(epochs=1)


def test_names_stand_for_strategies():
    assert make_phases("extraction") == kt.strategies.extraction()
    assert make_phases("fine_tuning") == kt.strategies.fine_tuning()
    assert make_phases("auto", 9, 1e-4) == kt.strategies.fine_tuning(9, 1e-4)


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

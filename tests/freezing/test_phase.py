"""Phases refuse what no training could mean."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_transfer as kt


def test_defaults():
    phase = kt.Phase("top:2", 3, 1e-4)
    assert dataclasses.asdict(phase) == {
        "train": "top:2",
        "epochs": 3,
        "learning_rate": 1e-4,
        "name": "top:2",
        "batch_norm": "frozen",
        "schedule": "constant",
        "patience": None,
        "monitor": "val_loss",
        "min_delta": 0.0,
        "mode": "auto",
        "reinitialize": False,
        "solver": None,
        "parameters": "all",
    }


def test_a_list_of_groups_becomes_a_tuple_and_the_name():
    phase = kt.Phase(["stem", "head"], 1, 0)
    assert phase.train == ("stem", "head")
    assert phase.name == "stem, head"
    assert hash(phase) == hash(kt.Phase(("stem", "head"), 1, 0))


def test_it_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        kt.Phase("head", 1, 0.1).epochs = 2


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"epochs": True}, "epochs=True"),
        ({"learning_rate": -1e-9}, "learning_rate=-1e-09"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"learning_rate": None}, "learning_rate=None"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3'"),
        ({"mode": "least"}, "mode='least'"),
        ({"train": 3}, "train=3"),
        ({"train": []}, r"train=\(\)"),
        ({"train": ("stem", 2)}, r"train=\('stem', 2\)"),
        ({"batch_norm": "live"}, "batch_norm='live'"),
        ({"schedule": "linear"}, "schedule='linear'"),
        ({"patience": -1}, "patience=-1"),
        ({"patience": 1.5}, "patience=1.5"),
        ({"min_delta": -0.1}, "min_delta=-0.1"),
        ({"solver": "newton"}, "solver='newton'"),
        ({"parameters": "kernels"}, "parameters='kernels'"),
    ],
)
def test_out_of_range(options, received):
    settings = {"train": "head", "epochs": 1, "learning_rate": 0.1, **options}
    with pytest.raises(ValueError, match=f"Received: {received}$"):
        kt.Phase(**settings)


def test_numbers_of_numpy_are_numbers():
    phase = kt.Phase("head", np.int64(2), np.float32(0.5))
    assert (type(phase.epochs), type(phase.learning_rate)) == (int, float)
    assert phase == kt.Phase("head", 2, 0.5)


def test_a_schedule_of_keras_is_no_function_of_the_model():
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 10)
    with pytest.raises(ValueError, match="one_cycle.*CosineDecay"):
        kt.Phase("head", 1, schedule)


@pytest.mark.parametrize(
    "options",
    [
        {"train": "all"},
        {"epochs": 2},
        {"learning_rate": 0.1},
        {"learning_rate": lambda model: 0.0},
        {"batch_norm": "statistics"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_solver_leaves_nothing_to_steps(options):
    settings = {"train": "head", "epochs": 1, "learning_rate": 0, **options}
    with pytest.raises(ValueError, match="Received: solver='lbfgs', {"):
        kt.Phase(**settings, solver="lbfgs")

import keras
import numpy as np
import pytest

from keras_transfer.freezing.phase import SCHEDULES
from keras_transfer.optimizers.schedules import get_schedule

PROGRESS = np.linspace(0, 1, 101)[:-1]


def test_every_name_a_phase_takes_has_a_schedule():
    for name in SCHEDULES:
        shares = [get_schedule(name)(progress) for progress in PROGRESS]
        assert 0 < min(shares) and max(shares) == pytest.approx(1, abs=1e-3)


def test_constant():
    assert {get_schedule("constant")(progress) for progress in PROGRESS} == {1}


def test_cosine_is_that_of_keras():
    oracle = keras.optimizers.schedules.CosineDecay(1.0, 100)
    expected = [float(oracle(step)) for step in range(100)]
    shares = [get_schedule("cosine")(progress) for progress in PROGRESS]
    assert shares == pytest.approx(expected, abs=1e-6)


def test_warmup_rises_evenly_and_goes_on_as_a_cosine():
    oracle = keras.optimizers.schedules.CosineDecay(
        1 / 25, 90, warmup_target=1.0, warmup_steps=10
    )
    expected = [float(oracle(step)) for step in range(100)]
    shares = [get_schedule("warmup_cosine")(progress) for progress in PROGRESS]
    assert shares == pytest.approx(expected, abs=1e-6)


def test_one_cycle_rises_for_a_quarter():
    shares = [get_schedule("one_cycle")(progress) for progress in PROGRESS]
    assert shares[0] == pytest.approx(1 / 25)
    assert np.argmax(shares) == 25 and shares[25] == 1
    assert np.all(np.diff(shares[:26]) > 0) and np.all(np.diff(shares[25:]) < 0)
    # Halfway up and halfway down.
    assert shares[12] + shares[13] == pytest.approx(1 + 1 / 25)
    assert (shares[62] + shares[63]) == pytest.approx(1, abs=1e-6)

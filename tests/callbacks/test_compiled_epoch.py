"""Whole epochs in one call: the same numbers as step by step."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.callbacks import fit_data
from keras_transfer.callbacks.compiled_epoch import hear_batches
from tests.callbacks.test_prefix_cache import (
    as_dataset,
    build,
    check_same,
    pictures,
    train,
)

PHASES = [kt.Phase("head", 3, 0.05), kt.Phase("head", 2, 0.01)]


@pytest.fixture
def compiled(monkeypatch):
    """Collect the tables of features that whole epochs are compiled for."""
    made = []
    compile_epoch = fit_data.compile_epoch

    def count(model, step, table, otherwise):
        if not any(table is other for other in made):
            made.append(table)
        return compile_epoch(model, step, table, otherwise)

    monkeypatch.setattr(fit_data, "compile_epoch", count)
    return made


class Hears(keras.callbacks.Callback):
    """Wants to hear of each batch, so that nothing is compiled."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_weight": {0: 1.0, 1: 2.0, 2: 5.0}},
        {"strategy": [kt.Phase("head", 4, 0.05, schedule="one_cycle")]},
        {"optimizer": keras.optimizers.AdamW(weight_decay=0.1)},
        {"data": ((*pictures(), np.linspace(0, 2, 40)), pictures(20))},
        {"data": (as_dataset(pictures()), as_dataset(pictures(20)))},
        {"data": (pictures(),)},
    ],
    ids=lambda options: "-".join(options) + str(len(str(options)) % 7),
)
def test_it_is_the_same_as_step_by_step(options, compiled):
    options = {"strategy": PHASES, **options}
    hears = Hears()
    slow = train("auto", callbacks=hears, **options)
    assert hears.batches and not compiled
    quick = train("auto", **options)
    # Both phases have the same features.
    has_validation = len(options.get("data", "xy")) > 1
    assert len(compiled) == 1 + has_validation
    check_same(slow, quick)
    iterations = {int(r.model.optimizer.iterations) for r in (slow, quick)}
    assert len(iterations) == 1


def test_a_phase_that_is_not_small_goes_on_step_by_step(compiled):
    phases = [PHASES[0], kt.Phase("top:1", 2, 0.02), PHASES[1]]
    slow = train("auto", phases, callbacks=Hears())
    check_same(slow, train("auto", phases))
    assert len(compiled) == 4


def test_other_calls_are_as_ever(compiled):
    x, y = pictures(20, seed=1)

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            before = self.model.get_weights()
            found = self.model.evaluate(x, y, verbose=0, return_dict=True)
            assert found["accuracy"] == pytest.approx(logs["val_accuracy"])
            rate = float(self.model.optimizer.learning_rate)
            self.model.optimizer.learning_rate = 0.0
            self.model.train_on_batch(x, y)
            self.model.optimizer.learning_rate = rate
            for a, b in zip(before, self.model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)

    result = train("auto", PHASES, callbacks=Look())
    assert len(compiled) == 2
    # It holds no data, and trains on pictures.
    assert result.model.train_function is None
    result.model.fit(x, y, verbose=0)


def test_a_callback_may_have_functions_made_anew(compiled):
    class Remake(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.make_train_function(force=True)
            self.model.make_test_function(force=True)

    plain = train("auto", PHASES)
    result = train("auto", PHASES, callbacks=Remake())
    check_same(plain, result)
    assert "make_train_function" not in vars(result.model)
    assert "make_test_function" not in vars(result.model)


class TensorBoard(Hears):
    """Of the user's own, and called as another one."""


def test_who_hears_of_batches(tmp_path):
    quiet = [
        keras.callbacks.History(),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras"),
        keras.callbacks.TensorBoard(tmp_path),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_epoch_end=print),
        kt.TransferBoard(tmp_path),
        kt.PhaseBackup(tmp_path),
    ]
    assert not hear_batches(quiet)
    for callback in [
        Hears(),
        TensorBoard(),
        keras.callbacks.LambdaCallback(on_test_batch_end=print),
        keras.callbacks.ModelCheckpoint(tmp_path / "b.keras", save_freq=3),
        keras.callbacks.TensorBoard(tmp_path, update_freq="batch"),
        keras.callbacks.TensorBoard(tmp_path, profile_batch=3),
        keras.callbacks.LambdaCallback(on_train_batch_end=print),
    ]:
        assert hear_batches([*quiet, callback])


def test_a_step_of_ones_own_is_left_alone(compiled):
    steps = []

    class Own(type(build())):
        def train_step(self, data):
            steps.append(data)
            return super().train_step(data)

    model = build()
    model.__class__ = Own
    train("auto", PHASES, model=model)
    assert steps and not compiled

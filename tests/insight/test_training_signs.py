"""What curves say of a phase."""

import numpy as np
import pytest

from keras_transfer.insight.training_signs import describe_signs


def curves(loss, validation, accuracy=0.8, val_accuracy=0.78):
    return {
        "loss": list(loss),
        "val_loss": list(validation),
        "accuracy": [accuracy] * len(loss),
        "val_accuracy": [val_accuracy] * len(loss),
    }


FLAT = np.full(10, 0.5)


def signs(history, *epochs, examples=200):
    names = ("extraction", "fine-tuning")
    phases = list(zip(names, epochs or (10,), strict=False))
    return describe_signs(history, phases, examples)


def test_nothing_strikes():
    assert signs(curves(FLAT, FLAT)) == []
    # A noisy curve around its end.
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 10))
    assert signs(curves(*(FLAT + noise))) == []


def test_a_validation_loss_that_rises_is_told_of_its_phase():
    rising = [0.9, 0.6, 0.5, 0.55, 0.6, 0.7, 0.8]
    falling = np.linspace(0.9, 0.1, 7)
    history = {
        key: [*first, *second]
        for (key, first), second in zip(
            curves(FLAT, FLAT).items(),
            curves(falling, rising).values(),
            strict=True,
        )
    }
    [found] = signs(history, 10, 7)
    assert found.startswith("Overfitting in fine-tuning: ")
    assert "lowest after epoch 3 of 7, and is 60% higher" in found


def test_losses_that_still_fall():
    falling = np.linspace(1.0, 0.4, 10)
    [found] = signs(curves(falling, falling))
    assert "still falling as extraction ended" in found
    assert signs(curves(falling, FLAT)) == []
    # Only the last phase may go on.
    history = curves([*falling, *FLAT], [*falling, *FLAT])
    assert signs(history, 10, 10) == []


def test_a_gap_that_is_no_luck():
    gap = curves(FLAT, FLAT, accuracy=0.95, val_accuracy=0.7)
    [found] = signs(gap)
    assert "95% of the training examples" in found and "70%" in found
    assert signs(gap, examples=10) == []
    assert signs(curves(FLAT, FLAT, 0.95, 0.88)) == []


@pytest.mark.parametrize("history", [{}, {"loss": [0.5] * 10}])
def test_without_validation_nothing_is_known(history):
    assert signs(history) == []


def test_few_epochs_say_nothing():
    assert signs(curves([0.9, 0.1], [0.1, 0.9]), 2) == []


def test_losses_that_are_not_finite():
    broken = [0.5, np.nan, np.nan, np.inf, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert signs(curves(broken, broken)) == []

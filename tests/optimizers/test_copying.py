import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.optimizers.copying import copy_optimizer


def test_settings_are_copied_and_state_is_not():
    own = keras.optimizers.SGD(0.5, momentum=0.9)
    own.build([keras.Variable(np.zeros(3))])
    made = copy_optimizer(own)
    assert made is not own and made.momentum == 0.9 and not made.built
    assert float(own.learning_rate) == 0.5


@pytest.mark.parametrize(
    "wrap",
    [
        lambda adam: adam,
        keras.optimizers.LossScaleOptimizer,
        lambda adam: kt.DiscriminativeOptimizer(adam, decay=0.5),
    ],
)
def test_a_schedule_makes_room_for_a_rate(wrap):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    own = wrap(keras.optimizers.Adam(schedule, beta_1=0.8))
    made = copy_optimizer(own)
    made.learning_rate = 0.25
    innermost = optimizer_chain(made)[-1]
    assert float(innermost.learning_rate) == 0.25 and innermost.beta_1 == 0.8
    assert optimizer_chain(own)[-1]._learning_rate is schedule


def test_classes_that_keras_does_not_know():
    class Own(keras.optimizers.Adam):
        pass

    made = copy_optimizer(keras.optimizers.LossScaleOptimizer(Own()))
    assert type(made.inner_optimizer) is Own


def test_exclusion_from_weight_decay_is_kept():
    own = keras.optimizers.AdamW()
    own.exclude_from_weight_decay(var_names=["bias"])
    made = copy_optimizer(own)
    bias, kernel = (
        keras.Variable(np.zeros(3), name=name) for name in ("bias", "kernel")
    )
    made.build([bias, kernel])
    assert made._use_weight_decay(kernel) and not made._use_weight_decay(bias)

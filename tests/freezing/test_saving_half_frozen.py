"""What is saved in the middle of a training goes on as if it had not been."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from tests import networks
from tests.callbacks.test_gradual_unfreezing import compile, data, fit

PHASES = [
    kt.Phase("head", 1, 0.05),
    kt.Phase("top:1", 1, 0.02),
    kt.Phase("all", 1, 0.01),
]


def mlp():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )


def convolutional():
    base = networks.conv_base(side=6)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(108)(inputs)
    x = base(keras.layers.Reshape((6, 6, 3))(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))


OPTIMIZERS = {
    "adamw": lambda: keras.optimizers.AdamW(),
    "average": lambda: keras.optimizers.Adam(use_ema=True, ema_momentum=0.5),
    "accumulation": lambda: keras.optimizers.Adam(
        gradient_accumulation_steps=2
    ),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam()
    ),
    "discriminative": lambda: kt.DiscriminativeOptimizer("adam", decay=0.3),
}


@pytest.mark.parametrize(
    ("build", "optimizer"),
    [
        (mlp, "adamw"),
        (mlp, "average"),
        (mlp, "accumulation"),
        (convolutional, "loss scale"),
        (convolutional, "discriminative"),
    ],
)
def test_each_phase_survives_a_file(build, optimizer, tmp_path):
    model = compile(build(), OPTIMIZERS[optimizer]())
    names = [group.name for group in kt.layer_groups(model)]

    class Check(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / "model.keras")
            loaded = keras.models.load_model(tmp_path / "model.keras")
            assert trained_groups(loaded) == trained_groups(self.model)
            for a, b in zip(state(self.model), state(loaded), strict=True):
                np.testing.assert_array_equal(a, b)
            seen.append(trained_groups(loaded))

    seen = []
    fit(model, PHASES, callbacks=[Check()])
    assert len(names) > 2
    assert seen == [["head"], names[-2:], names]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_goes_on_training_identically(optimizer, tmp_path):
    model = compile(mlp(), OPTIMIZERS[optimizer]())
    fit(model, [PHASES[2], PHASES[1]])  # ends half frozen
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for part in (model, loaded):
        part.fit(*data(), epochs=1, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(state(model), state(loaded), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clone_of_a_compiled_model_can_be_made():
    model = compile(mlp())
    fit(model, PHASES)
    clone = keras.models.clone_model(model)
    assert clone.compiled


def trained_groups(model):
    return [
        group.name
        for group in kt.layer_groups(model)
        if any(variable.trainable for variable in group.variables)
    ]


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    metrics = {id(variable) for variable in model.metrics_variables}
    return networks.values(v for v in variables if id(v) not in metrics)

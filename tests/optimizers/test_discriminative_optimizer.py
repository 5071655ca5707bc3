import copy
import os
import pathlib
import subprocess
import sys
import textwrap

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import optimizers

import keras_transfer as kt
from keras_transfer.optimizers.discriminative_optimizer import (
    DiscriminativeOptimizer,
)
from tests.networks import moved, values
from tests.recipes.test_fine_tune import pictures, tiny_backbone

FACTORS = {"stem": 0.25, "block_1": 0.5, "head": 1.0}


def net(**options):
    """Build a net of three groups: stem, block_1 and head."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(6, activation="tanh", **options),
            keras.layers.Dense(6, activation="tanh", **options),
            keras.layers.Dense(3, **options),
        ]
    )


def data(size=16):
    random = np.random.default_rng(2)
    return (
        random.normal(size=(size, 5)).astype("float32"),
        random.normal(size=(size, 3)).astype("float32"),
    )


def gradients(model, step=0):
    random = np.random.default_rng(step)
    return [
        tf.constant(random.normal(size=v.shape), "float32")
        for v in model.trainable_variables
    ]


def compiled(optimizer, *, eagerly=False, **options):
    model = net(**options)
    how = {"run_eagerly": True} if eagerly else {"jit_compile": False}
    model.compile(optimizer, "mse", **how)
    return model


def step(model, count=1, start=0):
    """Apply gradients that depend on the step's number alone."""
    for number in range(start, start + count):
        variables = model.trainable_variables
        model.optimizer.apply(gradients(model, number), variables)
    return values(model.weights)


def fit(model, epochs=2, **options):
    model.fit(
        *data(), batch_size=4, epochs=epochs, shuffle=False, verbose=0,
        **options,
    )  # fmt: skip
    return values(model.weights)


def same(arrays, others):
    return len(arrays) == len(others) and all(
        np.array_equal(a, b) for a, b in zip(arrays, others, strict=True)
    )


def close(arrays, others, **tolerance):
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 2e-6, **tolerance})


def displacements(model, before):
    """Map each group's name to the way that its weights have gone."""
    old = {v.path: x for v, x in zip(model.weights, before, strict=True)}
    return {
        group.name: np.concatenate(
            [(v.numpy() - old[v.path]).ravel() for v in group.variables]
        )
        for group in kt.layer_groups(model)
    }


OPTIMIZERS = {
    "SGD nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "AdamW": {"weight_decay": 0.1, "amsgrad": True},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Lion": {"weight_decay": 0.2},
    "Adafactor": {"clipnorm": 0.5},
    "Nadam": {},
    "Adagrad": {},
    "Adadelta": {"clipvalue": 0.5},
    "Adamax": {},
    "Ftrl": {"l1_regularization_strength": 0.01},
    "Lamb": {"gradient_accumulation_steps": 2},
    "Muon": {"adam_weight_decay": 0.1, "weight_decay": 0.2},
    "ScheduleFreeAdamW": {"weight_decay": 0.1},
    "AdamW averaged": {"use_ema": True, "ema_overwrite_frequency": 3},
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_trains_each_group_like_an_optimizer_of_its_own(kind):
    def create(learning_rate):
        kinds = getattr(optimizers, kind.split()[0])
        return kinds(learning_rate=learning_rate, **OPTIMIZERS[kind])

    model, reference = net(), net()
    model.compile(DiscriminativeOptimizer(create(0.01), decay=0.5), "mse")
    step(model, 3)

    groups = kt.layer_groups(reference)
    own = [create(0.01 * FACTORS[group.name]) for group in groups]
    for number in range(3):
        by_path = dict(
            zip(
                [v.path for v in reference.trainable_variables],
                gradients(reference, number),
                strict=True,
            )
        )
        for optimizer, group in zip(own, groups, strict=True):
            optimizer.apply(
                [by_path[v.path] for v in group.variables], group.variables
            )
    close(values(model.weights), values(reference.weights), atol=1e-8)


def test_sgd_goes_the_multiplier_of_the_way():
    ways = {}
    for optimizer in (
        optimizers.SGD(0.3),
        DiscriminativeOptimizer(optimizers.SGD(0.3), decay=1 / 2.6),
    ):
        model = compiled(optimizer)
        before = values(model.weights)
        step(model)
        ways[type(optimizer)] = displacements(model, before)
    plain, scaled = ways.values()
    for depth, name in enumerate(["head", "block_1", "stem"]):
        np.testing.assert_allclose(
            scaled[name], plain[name] / 2.6**depth, rtol=1e-4, atol=1e-7
        )


def test_adamw_steps_as_computed_by_hand():
    rate, decay, epsilon = 0.02, 0.3, 1e-7
    adamw = optimizers.AdamW(rate, weight_decay=decay, epsilon=epsilon)
    factors = {"stem": 0.1, "head": 3.0}
    model = compiled(DiscriminativeOptimizer(adamw, multipliers=factors))
    before = values(model.weights)
    step(model)
    for n, (weight, gradient) in enumerate(
        zip(before, gradients(model), strict=True)
    ):
        scaled = rate * (0.1, 1, 3)[n // 2]
        gradient = gradient.numpy()
        wanted = weight * (1 - scaled * decay) - scaled * gradient / (
            np.abs(gradient) + epsilon / np.sqrt(1 - 0.999)
        )
        np.testing.assert_allclose(
            model.weights[n].numpy(), wanted, rtol=1e-5, atol=2e-6
        )


def test_clips_by_the_norm_of_all_gradients_unscaled():
    clipping = optimizers.SGD(0.5, global_clipnorm=0.7)
    model = compiled(DiscriminativeOptimizer(clipping, decay=0.5))
    before = values(model.weights)
    step(model)
    found = [g.numpy() for g in gradients(model)]
    norm = np.sqrt(sum((g**2).sum() for g in found))
    wanted = [
        w - 0.5 * (0.25, 0.5, 1)[n // 2] * g * 0.7 / norm
        for n, (w, g) in enumerate(zip(before, found, strict=True))
    ]
    close(values(model.weights), wanted, atol=1e-7)


@pytest.mark.parametrize(
    ("create", "eagerly"),
    [
        (lambda: optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0), True),
        (
            lambda: optimizers.AdamW(
                0.01, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=3
            ),
            False,
        ),
        (lambda: optimizers.Nadam(0.01, gradient_accumulation_steps=2), True),
    ],
)
def test_multipliers_of_one_change_no_bit(create, eagerly):
    bare, inner = create(), create()
    plain = compiled(bare, eagerly=eagerly)
    wrapped = DiscriminativeOptimizer(inner, decay=1.0)
    model = compiled(wrapped, eagerly=eagerly)
    assert same(fit(model), fit(plain))
    assert same(values(inner.variables), values(bare.variables))


def operations(optimizer, **options):
    model = compiled(optimizer, **options)
    optimizer.build(model.trainable_variables)

    @tf.function
    def apply(grads):
        optimizer.apply(grads, model.trainable_variables)

    return len(apply.get_concrete_function(gradients(model)).graph.as_graph_def(
        add_shapes=False
    ).node)  # fmt: skip


def test_multipliers_of_one_add_no_operation():
    def create():
        return optimizers.AdamW(0.01, use_ema=True, ema_overwrite_frequency=2)

    bare = operations(create())
    assert operations(DiscriminativeOptimizer(create())) == bare
    frozen = {"stem": 0, "block_1": 0}
    optimizer = DiscriminativeOptimizer("adamw", multipliers=frozen)
    assert operations(optimizer) < bare / 2


FROZEN = {
    "decay": lambda: optimizers.AdamW(0.1, weight_decay=0.3),
    "muon": lambda: optimizers.Muon(0.1, adam_weight_decay=0.3),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0),
    "average": lambda: optimizers.AdamW(
        0.1, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=2
    ),
    "average at the end": lambda: optimizers.SGD(0.1, use_ema=True),
    "accumulation": lambda: optimizers.AdamW(
        0.1, gradient_accumulation_steps=2
    ),
}


@pytest.mark.parametrize("kind", FROZEN)
def test_multiplier_zero_freezes_every_bit(kind):
    constraint = keras.constraints.UnitNorm()
    optimizer = DiscriminativeOptimizer(
        FROZEN[kind](), multipliers={"stem": 0, "block_1": 0.0}
    )
    model = compiled(
        optimizer,
        kernel_constraint=constraint,
        # In graphs, where steps are not alike.
        eagerly=kind not in ("average", "accumulation"),
    )
    before = values(model.weights)
    fit(model)
    head = {v.path for v in model.layers[-1].variables}
    assert moved(model.weights, before) == head
    if optimizer.use_ema:
        averages = optimizer._model_variables_moving_average
        assert same(values(averages[:4]), before[:4])


def test_freezes_weights_that_have_momentum_already():
    sgd = optimizers.SGD(0.1, momentum=0.9)
    model = compiled(DiscriminativeOptimizer(sgd))
    step(model, 2)
    again = DiscriminativeOptimizer(sgd, multipliers={"head": 0})
    model.compile(again, "mse")
    before = values(model.weights)
    step(model, 2)
    assert moved(model.weights, before) == {v.path for v in model.weights[:4]}


@pytest.mark.parametrize("use_ema", [False, True])
def test_counts_steps_where_nothing_trains(use_ema):
    sgd = optimizers.SGD(0.1, use_ema=use_ema)
    nothing = dict.fromkeys(FACTORS, 0)
    optimizer = DiscriminativeOptimizer(sgd, multipliers=nothing)
    model = compiled(optimizer, eagerly=use_ema)
    before = values(model.weights)
    assert same(fit(model), before)
    assert int(sgd.iterations) == 8
    if use_ema:
        assert same(values(sgd._model_variables_moving_average), before)


def test_averages_of_frozen_weights_follow_what_is_set():
    sgd = optimizers.SGD(0.1, use_ema=True)
    model = compiled(DiscriminativeOptimizer(sgd, multipliers={"stem": 0}))
    model.optimizer.build(model.trainable_variables)
    averages = sgd._model_variables_moving_average
    assert same(values(averages[:2]), values(model.layers[0].weights))
    step(model, 2)
    model.layers[0].set_weights([np.full((5, 6), 0.3), np.full(6, 0.1)])
    before = values(model.layers[0].weights)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    assert same(values(model.layers[0].weights), before)
    step(model)
    assert same(values(averages[:2]), before)


def test_multipliers_go_before_decay():
    optimizer = DiscriminativeOptimizer(
        "sgd", decay=0.1, multipliers={"stem": 2}
    )
    step(compiled(optimizer))
    assert optimizer.group_multipliers == {"stem": 2, "block_1": 0.1, "head": 1}


def test_reads_the_groups_of_classifiers_and_frozen_models():
    model = kt.build_classifier(tiny_backbone(), 3)
    kt.set_trainable(model, "top:1")
    optimizer = DiscriminativeOptimizer(optimizers.SGD(0.1), decay=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    before = values(model.weights)
    model.fit(*pictures(16), epochs=1, verbose=0)
    assert optimizer.group_multipliers == {
        group.name: 0.5**depth
        for depth, group in enumerate(reversed(kt.layer_groups(model)))
    }
    live = {v.path for v in model.trainable_variables}
    assert moved(model.weights, before) == live
    below = kt.layer_groups(model)[-2]
    assert live & {v.path for v in below.variables}
    for variable in below.variables:
        assert optimizer._multiplier(variable) == 0.5


def test_takes_variables_in_no_group_as_they_are():
    model = compiled(DiscriminativeOptimizer(optimizers.SGD(0.1), decay=0.5))
    other = keras.Variable([1.0, 2.0])
    model.optimizer.build([*model.trainable_variables, other])
    model.optimizer.apply([tf.constant([1.0, 10.0])], [other])
    np.testing.assert_allclose(other.numpy(), [0.9, 1.0], rtol=1e-6)


def test_reads_the_groups_of_the_model_whose_variables_it_gets():
    small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model = net()
    for order in ([small, model], [model, small]):
        optimizer = DiscriminativeOptimizer(optimizers.SGD(0.1), decay=0.5)
        for each in order:
            each.compile(optimizer, "mse")
        step(model)
        assert list(optimizer.group_multipliers) == list(FACTORS)
        optimizer.built = optimizer.inner_optimizer.built = False
        optimizer.build(small.trainable_variables)
        assert list(optimizer.group_multipliers) == ["stem"]


def test_needs_a_compiled_model():
    model, other = net(), net()
    optimizer = DiscriminativeOptimizer("sgd")
    with pytest.raises(ValueError, match="`compile` the model with it first"):
        optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="build"):
        optimizer.apply(gradients(model))
    other.compile(optimizer)
    with pytest.raises(ValueError, match="`compile` the model with it first"):
        optimizer.apply(gradients(model), model.trainable_variables)
    assert not optimizer.inner_optimizer.built


def test_names_the_groups_that_exist():
    model = compiled(DiscriminativeOptimizer("sgd", multipliers={"top": 0.5}))
    with pytest.raises(ValueError) as error:
        step(model)
    assert "stem, block_1, head" in str(error.value)
    assert str(error.value).endswith("Received: multipliers={'top': 0.5}")


@pytest.mark.parametrize("decay", [0, -0.5, 1.1, float("nan"), "0.5"])
def test_refuses_other_decays(decay):
    with pytest.raises(ValueError, match=r"in \(0, 1\]. Received: decay="):
        DiscriminativeOptimizer("sgd", decay=decay)


@pytest.mark.parametrize(
    "multipliers", [{"stem": -1}, {"stem": float("inf")}, {"stem": "1"}, 0.5]
)
def test_refuses_other_multipliers(multipliers):
    with pytest.raises(ValueError, match="of 0 or more. Received: multip"):
        DiscriminativeOptimizer("sgd", multipliers=multipliers)


def test_refuses_optimizers_around_others():
    for optimizer in (
        optimizers.LossScaleOptimizer(optimizers.SGD()),
        optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD())),
        DiscriminativeOptimizer("sgd"),
        None,
    ):
        with pytest.raises(ValueError, match="not one around others"):
            DiscriminativeOptimizer(optimizer)


def test_trains_alike_however_it_is_compiled():
    weights = []
    for options in (
        {"run_eagerly": True},
        {"jit_compile": True},
        {"jit_compile": False, "steps_per_execution": 4},
    ):
        adamw = optimizers.AdamW(0.01, weight_decay=0.1)
        model = net()
        optimizer = DiscriminativeOptimizer(
            adamw, decay=0.5, multipliers={"stem": 0}
        )
        model.compile(optimizer, "mse", **options)
        before = values(model.weights)
        weights.append(fit(model))
        close(weights[0], weights[-1], rtol=1e-4, atol=1e-6)
        wanted = {v.path for v in model.weights[2:]}
        assert moved(model.weights, before) == wanted


def test_is_traced_no_more_often_than_another():
    counts = []
    for optimizer in ("adam", DiscriminativeOptimizer("adam", decay=0.5)):
        calls = []

        def loss(y_true, y_pred, calls=calls):
            calls.append(1)
            return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

        model = net()
        model.compile(optimizer, loss, jit_compile=False)
        fit(model, 3)
        model.optimizer.learning_rate = 0.5
        fit(model, 2)
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_trains_under_loss_scaling():
    sgd = DiscriminativeOptimizer(optimizers.SGD(0.1), decay=0.5)
    plain = compiled(sgd, eagerly=True)
    factor = optimizers.SGD(0.1, loss_scale_factor=64.0)
    scaled = DiscriminativeOptimizer(factor, decay=0.5)
    fixed = compiled(scaled, eagerly=True)
    inner = DiscriminativeOptimizer(optimizers.SGD(0.1), decay=0.5)
    dynamic = compiled(optimizers.LossScaleOptimizer(inner))
    wanted = fit(plain)
    close(fit(fixed), wanted, rtol=1e-5, atol=1e-7)
    close(fit(dynamic), wanted, rtol=1e-5, atol=1e-7)
    assert inner.group_multipliers == FACTORS
    assert int(dynamic.optimizer.iterations) == 8


@pytest.fixture
def _mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("_mixed_float16")
def test_is_wrapped_and_reloaded_in_mixed_precision(tmp_path):
    optimizer = DiscriminativeOptimizer(optimizers.SGD(0.1), decay=0.5)
    model = compiled(optimizer)
    assert model.optimizer.inner_optimizer is optimizer
    fit(model)
    assert optimizer.group_multipliers == FACTORS
    model.save(tmp_path / "mixed.keras")
    loaded = keras.models.load_model(tmp_path / "mixed.keras")
    assert loaded.optimizer.inner_optimizer.group_multipliers == FACTORS
    assert same(
        values(loaded.optimizer.variables), values(model.optimizer.variables)
    )
    assert same(fit(loaded), fit(model))


def test_callbacks_set_and_log_the_learning_rate(tmp_path):
    sgd = optimizers.SGD(0.5)
    model = compiled(DiscriminativeOptimizer(sgd, multipliers={"head": 0.0}))
    rates = {}
    fit(
        model,
        3,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda n, rate: rate / 2),
            keras.callbacks.ReduceLROnPlateau(
                "loss", factor=0.1, patience=1, min_delta=100.0
            ),
            keras.callbacks.TensorBoard(tmp_path),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda n, logs: rates.update({n: dict(logs)})
            ),
        ],
    )
    # Halved before each epoch; by ten after the second, then the third.
    np.testing.assert_allclose(
        [rates[n]["learning_rate"] for n in range(3)], [0.25, 0.125, 0.00625]
    )
    assert float(sgd.learning_rate) == float(model.optimizer.learning_rate)
    np.testing.assert_allclose(float(sgd.learning_rate), 0.000625)
    events = [
        value.tag
        for path in map(str, pathlib.Path(tmp_path).rglob("events*"))
        for event in tf.compat.v1.train.summary_iterator(path)
        for value in event.summary.value
    ]
    assert "epoch_learning_rate" in events


def test_follows_a_schedule():
    schedule = optimizers.schedules.CosineDecay(0.4, 10)
    sgd = optimizers.SGD(schedule)
    model = compiled(DiscriminativeOptimizer(sgd, decay=0.5))
    before = values(model.weights)
    step(model, 3)
    ways = displacements(model, before)["stem"]
    rates = [0.2 * (1 + np.cos(np.pi * n / 10)) for n in range(3)]
    wanted = sum(
        -0.25 * rate * np.concatenate([x.numpy().ravel() for x in grads[:2]])
        for rate, grads in zip(
            rates, [gradients(model, n) for n in range(3)], strict=True
        )
    )
    np.testing.assert_allclose(ways, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        float(model.optimizer.learning_rate), schedule(3), rtol=1e-6
    )
    assert int(model.optimizer.iterations) == 3
    with pytest.raises(TypeError, match="not settable"):
        model.optimizer.learning_rate = 0.1


@pytest.mark.parametrize("scaled", [False, True])
def test_averaged_weights_can_be_swapped_in(scaled):
    histories, weights = [], []
    for wrap in (lambda x: x, DiscriminativeOptimizer):
        optimizer = wrap(optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5))
        if scaled:
            optimizer = optimizers.LossScaleOptimizer(optimizer)
        model = compiled(optimizer, eagerly=not scaled)
        callback = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
        history = model.fit(
            *data(),
            validation_data=data(),
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[callback],
        )
        histories.append(history.history)
        weights.append(values(model.weights))
    assert histories[0] == histories[1]
    assert same(*weights)


def test_frozen_weights_survive_being_swapped():
    sgd = optimizers.SGD(0.5, use_ema=True)
    model = compiled(DiscriminativeOptimizer(sgd, multipliers={"stem": 0}))
    before = values(model.layers[0].weights)
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_test_batch_end=lambda batch, logs: seen.append(
            values(model.layers[0].weights)
        )
    )
    swap = keras.callbacks.SwapEMAWeights()
    fit(model, validation_data=data(), callbacks=[swap, callback])
    assert len(seen) == 8 and all(same(before, weights) for weights in seen)
    assert same(values(model.layers[0].weights), before)


@pytest.mark.parametrize("kind", ["AdamW", "Nadam", "Muon"])
def test_resumes_from_a_file_bit_by_bit(kind, tmp_path):
    inner = getattr(optimizers, kind)(
        learning_rate=0.05, use_ema=True, ema_overwrite_frequency=3
    )
    optimizer = DiscriminativeOptimizer(
        inner, decay=0.5, multipliers={"block_1": 0.0}
    )
    model = compiled(optimizer)
    step(model, 4)
    optimizer.learning_rate = 0.02
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.built
    assert loaded.optimizer.group_multipliers == optimizer.group_multipliers
    state = values(optimizer.variables)
    assert same(values(loaded.optimizer.variables), state)
    assert int(loaded.optimizer.iterations) == 4
    assert same(step(loaded, 3, start=4), step(model, 3, start=4))
    assert same(values(loaded.optimizer.variables), values(optimizer.variables))


def test_weights_files_hold_the_state_once(tmp_path):
    path = tmp_path / "model.weights.h5"
    model = compiled(DiscriminativeOptimizer("adam", decay=0.5))
    weights = step(model, 2)
    state = values(model.optimizer.variables)
    model.save_weights(path)
    saved = []
    with h5py.File(path) as file:
        file["optimizer"].visititems(
            lambda name, item: (
                saved.append(item[()]) if hasattr(item, "shape") else None
            )
        )
    assert len(saved) == len(state) == 2 + 2 * 6
    step(model, 2)
    model.load_weights(path)
    assert same(values(model.weights), weights)
    assert same(values(model.optimizer.variables), state)


def test_configuration_makes_the_same_optimizer():
    sgd = optimizers.SGD(0.3, momentum=0.8, name="its_own")
    optimizer = DiscriminativeOptimizer(
        sgd, decay=0.5, multipliers={"stem": 2}, name="mine"
    )
    config = optimizers.serialize(optimizer)
    again = optimizers.deserialize(copy.deepcopy(config))
    assert optimizers.serialize(again) == config
    assert type(again) is DiscriminativeOptimizer
    assert (again.name, again.decay, again.multipliers) == (
        "mine",
        0.5,
        {"stem": 2.0},
    )
    assert again.inner_optimizer.get_config() == sgd.get_config()


def test_settings_are_those_of_the_wrapped_optimizer():
    adamw = optimizers.AdamW(0.1, weight_decay=0.2, clipnorm=3.0, use_ema=True)
    optimizer = DiscriminativeOptimizer(adamw)
    assert (optimizer.weight_decay, optimizer.clipnorm) == (0.2, 3.0)
    assert optimizer.use_ema and optimizer.gradient_accumulation_steps is None
    optimizer.loss_scale_factor = 8.0
    assert adamw.loss_scale_factor == 8.0
    assert float(optimizer.scale_loss(tf.constant(2.0))) == 16.0
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = compiled(optimizer)
    step(model)
    assert not adamw._use_weight_decay(model.layers[0].bias)
    assert [id(v) for v in optimizer.variables] == [
        id(v) for v in adamw.variables
    ]


def reset(optimizer, variables):
    """Make an optimizer anew on other variables, as growing it does."""
    part = optimizer
    while part is not None:
        for variable in list(part._variables):
            if id(variable) not in map(
                id, (part._iterations, part._learning_rate)
            ):
                part._untrack_variable(variable)
        part.built = False
        part._trainable_variables_indices = {}
        part = getattr(part, "inner_optimizer", None)
    optimizer.build(variables)


@pytest.mark.parametrize("scaled", [False, True])
def test_can_be_built_anew_on_more_variables(scaled):
    model = net()
    model.layers[0].trainable = False
    sgd = optimizers.SGD(0.1, momentum=0.9)
    optimizer = DiscriminativeOptimizer(sgd, decay=0.5)
    if scaled:
        optimizer = optimizers.LossScaleOptimizer(optimizer, 1.0)
    model.compile(optimizer, "mse")
    step(model, 2)
    model.layers[0].trainable = True
    reset(optimizer, model.trainable_variables)
    before = values(model.weights)
    step(model)
    # Without the momentum of before, and scaled once.
    wanted = [
        w - 0.1 * (0.25, 0.5, 1)[n // 2] * g.numpy()
        for n, (w, g) in enumerate(zip(before, gradients(model), strict=True))
    ]
    close(values(model.weights), wanted, rtol=1e-5, atol=1e-7)
    assert int(optimizer.iterations) == 3
    assert len(sgd.variables) == 2 + 6


class Plain(optimizers.Optimizer):
    """An optimizer that builds itself as often as it is told to."""

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, gradient * learning_rate)


def test_an_optimizer_wrapped_twice_is_scaled_and_built_once():
    plain = Plain(0.1, use_ema=True)
    model = net()
    model.compile(DiscriminativeOptimizer(plain, decay=0.1), "mse")
    step(model)
    model.compile(DiscriminativeOptimizer(plain, decay=0.5), "mse")
    before = values(model.weights)
    step(model)
    wanted = before[0] - 0.1 * 0.25 * gradients(model)[0].numpy()
    np.testing.assert_allclose(model.weights[0].numpy(), wanted, rtol=1e-5)
    assert len(plain.variables) == 2 + 6


def test_updates_any_of_its_variables():
    model = compiled(DiscriminativeOptimizer("sgd", decay=0.5))
    model.optimizer.build(model.trainable_variables)
    before = values(model.weights)
    some = list(zip(gradients(model), model.trainable_variables, strict=True))
    model.optimizer.apply_gradients([some[5], some[0]])
    wanted = {model.weights[n].path for n in (0, 5)}
    assert moved(model.weights, before) == wanted


def test_averages_go_by_variable_not_by_position():
    sgd = optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    model = compiled(DiscriminativeOptimizer(sgd, multipliers={"stem": 0}))
    variables = model.trainable_variables
    model.optimizer.build(variables)
    live = variables[2:]
    built = sgd._trainable_variables, sgd._model_variables_moving_average
    # What a phase that trains some groups does to the wrapped optimizer.
    sgd._trainable_variables = variables[1:]
    sgd._model_variables_moving_average = list(built[1][1:])
    before = values(live)
    grads = [gradients(model, n)[2:] for n in range(2)]
    for each in grads:
        model.optimizer.apply(each, live)
    sgd._trainable_variables, sgd._model_variables_moving_average = built
    stem = values(variables[:2])
    model.optimizer.finalize_variable_values(live)
    # The average of the weights after the first step and the second.
    wanted = [
        w - 0.5 * first.numpy() - 0.25 * second.numpy()
        for w, first, second in zip(before, *grads, strict=True)
    ]
    close(values(live), wanted, rtol=1e-5, atol=1e-6)
    model.optimizer.finalize_variable_values(variables)
    assert same(values(variables[:2]), stem)


def test_models_trained_with_it_can_be_exported(tmp_path):
    model = compiled(DiscriminativeOptimizer("adam", decay=0.5))
    step(model)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    inputs = data()[0]
    np.testing.assert_allclose(
        served.serve(inputs), model(inputs, training=False), atol=1e-6
    )


MIRRORED = """
    import contextlib
    import keras
    import numpy as np
    import tensorflow as tf
    from tests.optimizers.test_discriminative_optimizer import (
        DiscriminativeOptimizer, compiled, data, optimizers, values,
    )

    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2

    weights = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            adamw = optimizers.AdamW(0.1, weight_decay=0.3, clipnorm=1.0)
            optimizer = DiscriminativeOptimizer(
                adamw, decay=0.5, multipliers={"head": 0.0}
            )
            model = compiled(optimizers.LossScaleOptimizer(optimizer))
            before = values(model.weights)
            model.fit(
                *data(), batch_size=16, epochs=2, shuffle=False, verbose=0,
                callbacks=[keras.callbacks.LearningRateScheduler(
                    lambda epoch, rate: rate if epoch < 1 else rate / 2
                )],
            )
            weights.append(values(model.weights))
    for n, (alone, mirrored) in enumerate(zip(*weights, strict=True)):
        np.testing.assert_allclose(alone, mirrored, rtol=1e-3, atol=1e-5)
        assert np.array_equal(before[n], mirrored) == (n > 3), n
    print("all right")
"""


def test_trains_alike_on_two_devices():
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MIRRORED)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all right" in done.stdout

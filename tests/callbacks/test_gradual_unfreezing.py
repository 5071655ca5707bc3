"""Phases inside one `fit`, against fits made by hand and plain Keras."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.optimizers.schedules import get_schedule
from tests import networks

PHASES = [
    kt.Phase("head", 2, 0.05),
    kt.Phase("top:1", 1, 0.02),
    kt.Phase("all", 2, 0.01),
]
GROUPS = ["stem", "block_1", "block_2", "head"]


def network(dropout=0.3, **options):
    """Four dense layers, with BatchNorm and dropout: four groups."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,))]
    for _ in range(3):
        layers.append(keras.layers.Dense(8, **options))
        layers.append(keras.layers.BatchNormalization())
        layers.append(keras.layers.ReLU())
        layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential([*layers, keras.layers.Dense(3, "softmax")])


def data(count=40):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 6)).astype("float32")
    return x, (x.sum(axis=1) > 0) + (x[:, 0] > 1).astype(int)


def compile(model, optimizer="adam", **options):
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    return model


def fit(model, phases=PHASES, callbacks=(), x=None, y=None, **options):
    if x is None:
        x, y = data()
    settings = {"epochs": sum(p.epochs for p in phases), "batch_size": 8}
    settings |= {"shuffle": False, "verbose": 0, **options}
    unfreezing = kt.GradualUnfreezing(phases)
    return model.fit(x, y, callbacks=[unfreezing, *callbacks], **settings)


class Watch(keras.callbacks.Callback):
    """Notes at each epoch's end which groups moved."""

    def __init__(self):
        super().__init__()
        self.moved, self.rates = [], []

    def on_train_begin(self, logs=None):
        self.values = networks.values(self.model.weights)

    def on_epoch_end(self, epoch, logs=None):
        weights = self.model.weights
        paths = networks.moved(weights, self.values)
        self.moved.append(
            [
                group.name
                for group in kt.layer_groups(self.model)
                if any(v.path in paths for v in group.variables)
            ]
        )
        self.values = networks.values(weights)
        rate = self.model.optimizer.learning_rate
        self.rates.append(float(keras.ops.convert_to_numpy(rate)))


def test_what_moves_follows_the_phases():
    model, watch = compile(network()), Watch()
    history = fit(model, callbacks=[watch])
    assert watch.moved == [["head"]] * 2 + [GROUPS[2:]] + [GROUPS] * 2
    assert watch.rates == pytest.approx([0.05, 0.05, 0.02, 0.01, 0.01])
    assert len(history.history["loss"]) == 5


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_one_fit_equals_fits_made_by_hand_that_keep_the_optimizer(optimizer):
    one = compile(network(), optimizer)
    fit(one)
    by_hand = compile(network(), optimizer)
    kt.set_trainable(by_hand, "all")
    by_hand.optimizer.build(by_hand.trainable_variables)
    epoch = 0
    for phase in PHASES:
        kt.set_trainable(by_hand, phase.train)
        by_hand.make_train_function(force=True)
        by_hand.optimizer.learning_rate = phase.learning_rate
        by_hand.fit(
            *data(),
            initial_epoch=epoch,
            epochs=epoch + phase.epochs,
            batch_size=8,
            shuffle=False,
            verbose=0,
        )
        epoch += phase.epochs
    for a, b in zip(one.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        one.optimizer.variables, by_hand.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert int(one.optimizer.iterations) == 25


def test_fresh_optimizers_equal_compiling_for_each_phase():
    one = compile(network())
    unfreezing = kt.GradualUnfreezing(PHASES, reset_optimizer=True)
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
    one.fit(*data(), epochs=5, callbacks=[unfreezing], **settings)
    by_hand, epoch = network(), 0
    for phase in PHASES:
        kt.set_trainable(by_hand, phase.train)
        compile(by_hand, keras.optimizers.Adam(phase.learning_rate))
        end = epoch + phase.epochs
        by_hand.fit(*data(), initial_epoch=epoch, epochs=end, **settings)
        epoch = end
    for a, b in zip(one.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(one.optimizer.iterations) == 10


def test_nothing_changes_at_learning_rate_0():
    model = compile(network())
    before = model.get_weights()
    fit(model, [kt.Phase("head", 1, 0.0), kt.Phase("all", 1, 0.0)])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", ["train", "statistics"])
def test_batch_norm_obeys_its_rule(rule):
    model = compile(network())
    before = {w.path: w.numpy() for w in model.weights}
    fit(model, [kt.Phase("head", 1, 0.1), kt.Phase("all", 1, 0.1, "", rule)])
    moved = {
        w.path for w in model.weights if (w.numpy() != before[w.path]).any()
    }
    assert any("moving_mean" in path for path in moved)
    assert any("gamma" in path for path in moved) == (rule == "train")


def optimizers():
    return {
        "ema": keras.optimizers.Adam(use_ema=True, ema_momentum=0.9),
        "ema overwriting": keras.optimizers.Adam(
            use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3
        ),
        "accumulation": keras.optimizers.Adam(gradient_accumulation_steps=3),
        "adamw": keras.optimizers.AdamW(weight_decay=0.1),
        "loss scale": keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam()
        ),
        "clipping": keras.optimizers.SGD(momentum=0.9, global_clipnorm=0.1),
        "nadam": keras.optimizers.Nadam(),
    }


@pytest.mark.parametrize("name", optimizers())
def test_frozen_groups_stay_to_the_bit_with(name):
    """With averages and decay, too, and in phases that freeze again."""
    model, watch = compile(network(), optimizers()[name]), Watch()
    phases = [
        kt.Phase("all", 1, 0.01),
        kt.Phase("head", 2, 0.01),
        kt.Phase("block_1|head", 1, 0.01),
    ]
    fit(model, phases, [watch])
    assert watch.moved[1:] == [["head"]] * 2 + [["block_1", "head"]]


def test_averages_end_in_the_weights_they_belong_to():
    """Against averages computed from the weights that each step left."""
    momentum, seen = 0.9, []
    optimizer = keras.optimizers.SGD(use_ema=True, ema_momentum=momentum)
    model = compile(network(), optimizer)
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()),
    )
    phases = [kt.Phase("head", 1, 0.1), kt.Phase("top:1", 1, 0.1)]
    start = model.get_weights()
    fit(model, phases, [watch])
    names = [weight.path for weight in model.weights]
    trained = [names.index(weight.path) for weight in model.trainable_weights]
    first_phase = trained[-2:]
    for n in range(len(names)):
        expected = seen[-1][n]
        if n in trained:
            joins = 0 if n in first_phase else 5
            average = seen[0][n] if n in first_phase else start[n]
            for weights in seen[joins:]:
                average = momentum * average + (1 - momentum) * weights[n]
            expected = average
        np.testing.assert_allclose(
            model.weights[n].numpy(), expected, rtol=1e-4, atol=1e-5
        )


def test_swap_ema_weights_goes_along():
    optimizer = keras.optimizers.Adam(use_ema=True, ema_momentum=0.5)
    model, watch = compile(network(), optimizer), Watch()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(model, callbacks=[swap, watch], validation_data=data())
    assert watch.moved[:2] == [["head"]] * 2
    assert np.isfinite(model.evaluate(*data(), verbose=0)).all()


@pytest.mark.parametrize(
    "options",
    [{"steps_per_execution": 3}, {"jit_compile": True}, {"run_eagerly": True}],
    ids=str,
)
def test_compile_options_give_the_same_weights(options):
    # XLA draws other random numbers.
    plain, other = compile(network(0)), compile(network(0), **options)
    fit(plain)
    fit(other)
    for a, b in zip(plain.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, watch = compile(network()), Watch()
        fit(model, callbacks=[watch])
    finally:
        keras.config.set_dtype_policy("float32")
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert watch.moved == [["head"]] * 2 + [GROUPS[2:]] + [GROUPS] * 2


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        x, y = data()
        return x[8 * index : 8 * index + 8], y[8 * index : 8 * index + 8]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind", ["dataset", "unknown length", "PyDataset"])
def test_other_kinds_of_data_give_the_same_weights(kind):
    # Looking in vain for one more batch draws random numbers, and counts as
    # a step, in Keras 3.15.
    expected, model = (compile(network(0), "sgd") for _ in range(2))
    fit(expected)
    batches = tf.data.Dataset.from_tensor_slices(data()).batch(8)
    if kind == "unknown length":
        batches = batches.filter(lambda x, y: True)
    if kind == "PyDataset":
        batches = Batches()
    fit(model, x=batches, batch_size=None)
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_class_and_sample_weights():
    x, y = data()
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    by_class, by_sample = compile(network()), compile(network())
    fit(by_class, class_weight=weights)
    fit(by_sample, sample_weight=np.array([weights[label] for label in y]))
    for a, b in zip(
        by_class.get_weights(), by_sample.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_plateau_ends_a_phase_with_its_best_weights():
    phases = [
        kt.Phase("head", 6, 0.05, patience=1, min_delta=9.0),
        kt.Phase("all", 2, 0.01),
    ]
    model, watch, weights, numbers = compile(network()), Watch(), [], []
    unfreezing = kt.GradualUnfreezing(phases)

    class Keep(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            weights.append(self.model.get_weights())
            numbers.append(unfreezing.phase_number)

    # Nothing is ever an improvement by 9: the first epoch stays the best.
    history = model.fit(
        *data(),
        validation_data=data(),
        epochs=8,
        batch_size=8,
        verbose=0,
        callbacks=[Keep(), unfreezing, Keep(), watch],
    )
    assert len(history.history["loss"]) == 4
    assert numbers[1::2] == [1, 1, 2, 2]
    for a, b in zip(weights[2], weights[5], strict=True):
        np.testing.assert_array_equal(a, b)  # after epoch 1, before epoch 3


class Script(keras.callbacks.Callback):
    """Says what an epoch gave, and keeps the weights that it ended with."""

    def __init__(self, **quantities):
        super().__init__()
        self.quantities, self.weights = quantities, []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        for name, values in self.quantities.items():
            logs[name] = values[epoch]


def test_callbacks_see_the_weights_of_the_epoch_that_ends_a_phase():
    script = Script(val_loss=[1.0, 1.1, 1.2], val_accuracy=[0.5, 0.6, 0.9])
    unfreezing = kt.GradualUnfreezing([kt.Phase("all", 3, 0.1, patience=2)])
    for best, epoch in ((kt.BestWeights(), 2), (kt.BestWeights("val_loss"), 0)):
        script.weights.clear()
        model = compile(network())
        callbacks = [script, unfreezing, best]
        model.fit(*data(), epochs=3, verbose=0, callbacks=callbacks)
        for a, b in zip(
            model.get_weights(), script.weights[epoch], strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_best_weights_outlast_moving_averages():
    script = Script(val_loss=[1.0, 0.5, 0.6, 0.7])
    model = compile(network(), keras.optimizers.SGD(use_ema=True))
    phases = [kt.Phase("all", 4, 0.1, patience=2)]
    unfreezing = kt.GradualUnfreezing(phases)
    callbacks = [script, unfreezing]
    model.fit(*data(), epochs=4, verbose=0, callbacks=callbacks)
    for a, b in zip(model.get_weights(), script.weights[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mode, epochs", [("min", 2), ("max", 4)])
def test_a_plateau_of_a_quantity_of_ones_own(mode, epochs):
    model, script = compile(network()), Script(mine=[1, 2, 3, 4])
    phase = kt.Phase("all", 4, 0.1, patience=1, monitor="mine", mode=mode)
    callbacks = [script, kt.GradualUnfreezing([phase])]
    model.fit(*data(), epochs=4, verbose=0, callbacks=callbacks)
    assert len(script.weights) == epochs


def test_a_plateau_without_its_quantity_is_told():
    model = compile(network())
    with pytest.warns(UserWarning, match="val_loss"):
        fit(model, [kt.Phase("head", 2, 0.1, patience=1)])


def test_training_ends_with_the_last_phase():
    history = fit(compile(network()), epochs=50)
    assert len(history.history["loss"]) == 5


def test_an_early_end_is_told():
    with pytest.warns(UserWarning, match="last 5 epochs. Received: epochs=1"):
        fit(compile(network()), epochs=1)


def test_initial_epoch_starts_where_it_lies():
    model, watch = compile(network()), Watch()
    fit(model, callbacks=[watch], initial_epoch=2)
    assert watch.moved == [GROUPS[2:]] + [GROUPS] * 2
    with pytest.raises(ValueError, match="end with epoch 5.*initial_epoch=7"):
        fit(compile(network()), initial_epoch=7, epochs=9)


@pytest.mark.parametrize("name", ["cosine", "warmup_cosine", "one_cycle"])
def test_schedules_go_step_by_step(name):
    rates, model = [], compile(network())
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: rates.append(
            float(model.optimizer.learning_rate)
        )
    )
    phases = [
        kt.Phase("head", 1, 0.3),
        kt.Phase("all", 2, 0.1, schedule=name),
        kt.Phase("head", 1, 0.2),
        kt.Phase("head", 1, 0.2, schedule=name),
    ]
    fit(model, phases, [watch])
    schedule = get_schedule(name)
    expected = [0.1 * schedule(step / 10) for step in range(10)]
    assert rates[:20] == pytest.approx([0.3] * 5 + expected + [0.2] * 5)
    # And is gone afterwards.
    model.optimizer.learning_rate = 0.5
    model.fit(*data(), verbose=0)
    assert float(model.optimizer.learning_rate) == 0.5


@pytest.mark.parametrize("name", ["accumulation", "loss scale", "clipping"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_schedule_equals_that_of_keras(name, steps):
    """Whatever goes around steps, with the same rates as `CosineDecay`."""
    phase = kt.Phase("all", 3, 0.1, schedule="cosine")
    ours = compile(network(0), optimizers()[name], steps_per_execution=steps)
    fit(ours, [phase])
    theirs = network(0)
    kt.set_trainable(theirs, "all")
    optimizer = optimizers()[name]
    rate = keras.optimizers.schedules.CosineDecay(0.1, 15)
    optimizer_chain(optimizer)[-1].learning_rate = rate
    compile(theirs, optimizer, steps_per_execution=steps)
    theirs.fit(*data(), epochs=3, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_schedule_must_know_the_steps():
    x = tf.data.Dataset.from_tensor_slices(data()).batch(8)
    x = x.filter(lambda x, y: True)
    phases = [kt.Phase("head", 1, 0.1, schedule="cosine")]
    with pytest.raises(ValueError, match="number of steps of an epoch"):
        fit(compile(network()), phases, x=x, batch_size=None)


def test_a_rate_can_be_chosen_when_its_phase_begins():
    seen = []

    def choose(model):
        seen.append(len(model.trainable_weights))
        return 0.25

    model, watch = compile(network()), Watch()
    fit(model, [kt.Phase("head", 1, 0.1), kt.Phase("all", 1, choose)], [watch])
    assert watch.rates == pytest.approx([0.1, 0.25])
    assert seen == [8]


def test_callbacks_that_set_the_rate_keep_working():
    model, watch = compile(network()), Watch()
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    fit(model, callbacks=[halve, watch])
    assert watch.rates == pytest.approx([0.025, 0.0125, 0.01, 0.005, 0.0025])
    reduce = keras.callbacks.ReduceLROnPlateau(
        "loss", patience=0, min_delta=9, factor=0.1
    )
    fit(compile(model), [kt.Phase("head", 4, 0.1)], [reduce, watch])
    assert watch.rates[-1] < 0.1


def test_tensorboard_and_checkpoints_keep_working(tmp_path):
    callbacks = [
        keras.callbacks.TensorBoard(tmp_path / "logs"),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
    ]
    phases = [
        kt.Phase("head", 3, 0.05),
        kt.Phase("all", 2, 0.02, schedule="cosine"),
    ]
    fit(compile(network()), phases, callbacks)
    assert len(list(tmp_path.glob("*.keras"))) == 5
    loaded = keras.models.load_model(tmp_path / "4.keras")
    # The rate of the last of five steps of ten.
    expected = 0.02 * get_schedule("cosine")(4 / 10)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(expected)
    assert list(tmp_path.glob("logs/train/events*"))


def test_each_phase_is_announced(capsys):
    fit(compile(network()), verbose=2)
    lines = [x for x in capsys.readouterr().out.splitlines() if "Phase" in x]
    assert lines == [
        "Phase 1 of 3, head: head train (27 of 323 weights), "
        "learning rate 0.05",
        "Phase 2 of 3, top:1: block_2, head train (99 of 323 weights), "
        "learning rate 0.02",
        "Phase 3 of 3, all: stem to head train (227 of 323 weights), "
        "learning rate 0.01",
    ]
    fit(compile(network()), verbose=0)
    assert capsys.readouterr().out == ""


def test_penalties_count_where_weights_train():
    """Validation loss, as if each phase had been compiled anew."""
    model = compile(network(kernel_regularizer="l2"))
    history = fit(model, validation_data=data()).history
    assert history["val_loss"][1] < history["val_loss"][2]
    fresh = compile(model)
    assert fresh.evaluate(*data(), verbose=0)[0] == pytest.approx(
        history["val_loss"][-1], rel=1e-5
    )


def test_an_optimizer_too_small_is_refused_before_the_first_step():
    model = network()
    kt.set_trainable(model, "head")
    compile(model).fit(*data(), verbose=0)
    before = model.get_weights()
    flags = [weight.trainable for weight in model.weights]
    with pytest.raises(ValueError, match="has made 2 steps.*Compile the model"):
        fit(model)
    assert flags == [weight.trainable for weight in model.weights]
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    fit(compile(model))


def test_the_optimizer_goes_on_in_the_next_fit():
    model = compile(network())
    fit(model)
    fit(model)
    assert int(model.optimizer.iterations) == 50


def test_a_schedule_ends_with_its_training():
    model = compile(network())
    fit(model, [kt.Phase("all", 2, 0.01, schedule="one_cycle")])
    # Not at the 0 with which the schedule ends: a `fit` would do nothing.
    assert float(model.optimizer.learning_rate) == np.float32(0.01)
    before = model.get_weights()
    model.optimizer.learning_rate = 0.0
    # Batches of the same shape: the step is not traced again.
    model.fit(*data(), batch_size=8, verbose=0)
    kernels = [n for n, v in enumerate(model.weights) if v.name == "kernel"]
    for n in kernels:
        np.testing.assert_array_equal(before[n], model.get_weights()[n])


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([], "list of `kt.Phase`"),
        ("gradual", "list of `kt.Phase`"),
        ([("head", 1, 0.1)], "list of `kt.Phase`"),
    ],
)
def test_phases_must_be_phases(phases, message):
    with pytest.raises(ValueError, match=message):
        kt.GradualUnfreezing(phases)


def test_bad_phases_are_refused_before_the_first_step():
    model = compile(network())
    with pytest.raises(ValueError, match="layer groups.*block_9"):
        fit(model, [kt.Phase("head", 1, 0.1), kt.Phase("block_9", 1, 0.1)])
    rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(ValueError, match="sets its own learning rate"):
        fit(compile(network(), keras.optimizers.Adam(rate)))


def test_several_replicas():
    """Two logical CPUs, in a process of their own."""
    code = """
        import keras, numpy as np, tensorflow as tf
        cpus = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        import keras_transfer as kt
        from keras.optimizers import SGD
        from tests.callbacks import test_gradual_unfreezing as here

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2

        def train(optimizer="sgd", phases=here.PHASES, **options):
            with strategy.scope():
                if callable(optimizer):
                    optimizer = optimizer()
                model = here.compile(here.network(), optimizer, **options)
            watch = here.Watch()
            here.fit(model, phases, [watch])
            return model, watch

        schedule = [kt.Phase("all", 2, 0.1, schedule="cosine")]
        assert train(phases=schedule)[1].rates[-1] < 0.01
        model, watch = train()
        assert watch.moved[0] == ["head"] and watch.moved[2] == here.GROUPS[2:]
        assert watch.moved[4] == here.GROUPS
        for options, word in (
            ({"steps_per_execution": 2}, "steps_per_execution"),
            ({"jit_compile": True}, "jit_compile"),
            ({"optimizer": lambda: SGD(use_ema=True)}, "use_ema"),
            ({"optimizer": lambda: SGD(gradient_accumulation_steps=2)},
             "accumulation"),
            ({"phases": [kt.Phase("all", 1, 0.1, batch_norm="train")]},
             "batch_norm"),
        ):
            try:
                train(**options)
            except ValueError as error:
                assert word in str(error), error
            else:
                raise AssertionError(word)
        print("as it should be")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("as it should be\n"), done.stderr[-3000:]

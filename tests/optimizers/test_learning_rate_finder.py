import gc
import pathlib
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state

import keras_transfer as kt
from keras_transfer.data.random_state import capture_random_state
from keras_transfer.optimizers.discriminative_optimizer import (
    DiscriminativeOptimizer,
)
from keras_transfer.optimizers.learning_rate_finder import find_learning_rate
from tests.networks import build, values

CLIPART = pathlib.Path(__file__).parents[2] / "examples/data/clipart14"
LOSS = "sparse_categorical_crossentropy"


def data(count=40, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = random.normal(0, 1, (count, 6)) + 2 * np.eye(6)[y]
    return x.astype("float32"), y


X, Y = data()


def network():
    """Build a net with everything that a step of training changes."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.layers[0].activity_regularizer = keras.regularizers.L2(1e-3)
    return model


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule without `get_config`, as people write them."""

    def __call__(self, step):
        return 1e-2 / (1 + keras.ops.cast(step, "float32"))


class Own(keras.optimizers.SGD):
    """An optimizer that is registered nowhere."""


def optimizers():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    return {
        "adam": lambda: keras.optimizers.Adam(0.01),
        "callable": lambda: keras.optimizers.Nadam(lambda: 0.01),
        "own": lambda: Own(0.01, momentum=0.9),
        "accumulation and average": lambda: keras.optimizers.Adam(
            0.01,
            gradient_accumulation_steps=2,
            clipnorm=1.0,
            use_ema=True,
            ema_overwrite_frequency=3,
        ),
        "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(schedule)
        ),
        "both": lambda: keras.optimizers.LossScaleOptimizer(
            DiscriminativeOptimizer(keras.optimizers.AdamW(Warmup()), decay=0.5)
        ),
    }


OPTIMIZERS = optimizers()


def compiled(optimizer="adam", model=None, **options):
    model = model or network()
    model.compile(
        OPTIMIZERS[optimizer](), LOSS, metrics=["accuracy"], **options
    )
    return model


def snapshot(model):
    """Copy all that the finder promises to leave alone."""
    optimizer = model.optimizer
    levels = []
    while optimizer is not None:
        levels.append(optimizer)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    metrics = [v for metric in model.metrics for v in metric.variables]
    variables = [*model.variables, *metrics, *model.optimizer.variables]
    rates = [vars(level).get("_learning_rate") for level in levels]
    return {
        "variables": [id(v) for v in variables],
        "values": values(variables),
        "built": [level.built for level in levels],
        "rates": [id(rate) for rate in rates],
        "attributes": {
            key: id(value)
            for key, value in vars(model).items()
            if key != "_called"
        },
        "tracked": sorted(model._trackable_children()),
        "metrics": [id(metric) for metric in model.metrics],
        "losses": [
            id(loss) for x in model._flatten_layers() for loss in x._losses
        ],
        "random": capture_random_state(),
        "names": dict(global_state.get_global_attribute("object_name_uids")),
    }


def assert_same(after, before):
    for old, new in zip(before.pop("values"), after.pop("values"), strict=True):
        np.testing.assert_array_equal(new, old)
    for key, value in before.items():
        assert after[key] == value, key


def find(model, *args, **options):
    args = args or (X, Y)
    return find_learning_rate(
        model, *args, **{"batch_size": 8, "steps": 12, **options}
    )


@pytest.mark.parametrize(
    ("optimizer", "used"),
    [
        ("callable", True),
        ("own", True),
        ("accumulation and average", True),
        ("loss scale", False),
        ("both", True),
    ],
)
def test_everything_is_as_it_was(optimizer, used):
    model = compiled(optimizer)
    if used:
        model.fit(X, Y, batch_size=16, verbose=0)
        model.stop_training = True
    before = snapshot(model)
    functions = model.train_function, getattr(model, "history", None)
    curve = find(model)
    assert (model.train_function, getattr(model, "history", None)) == functions
    assert model.stop_training is used
    assert len(curve.losses) > 2
    assert len(set(curve.losses)) == len(curve.losses)
    assert_same(snapshot(model), before)


def test_training_goes_on_as_if_there_had_been_no_test():
    def run(test):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(3)
        model = compiled("both")
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        if test:
            find(model)
        history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0).history
        # What comes after it is the same as well.
        noise = keras.random.normal((3,)), tf.random.normal((3,))
        names = [w.path for w in network().weights]
        return (
            [*values(model.variables), *values(model.optimizer.variables)],
            [*history["loss"], *history["accuracy"]],
            values(noise),
            names,
        )

    for with_test, without in zip(run(True), run(False), strict=True):
        for a, b in zip(with_test, without, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_model_that_is_not_built_gets_the_weights_of_fit():
    def run(test):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.layers.Dense(4), keras.layers.Dropout(0.3)]
        )
        model.add(keras.layers.Dense(3, activation="softmax"))
        compiled("adam", model)
        if test:
            find(model)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        return values(model.variables)

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_everything_is_as_it_was_after_an_interruption():
    model = compiled(run_eagerly=True)
    model.fit(X, Y, batch_size=16, verbose=0)
    before = snapshot(model)
    weights = values(model.weights)
    calls = []
    original = model.train_step

    def train_step(batch):
        logs = original(batch)
        calls.append(1)
        if len(calls) == 5:
            moved = zip(values(model.weights), weights, strict=True)
            assert any(not np.array_equal(a, b) for a, b in moved)
            np.random.normal()
            raise KeyboardInterrupt
        return logs

    vars(model)["train_step"] = train_step
    with pytest.raises(KeyboardInterrupt):
        find(model)
    del vars(model)["train_step"]
    assert_same(snapshot(model), before)


def test_the_losses_are_those_of_plain_training_at_these_rates():
    def layers():
        keras.utils.set_random_seed(5)
        return keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(3, activation="softmax")]
        )

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    model = layers()
    optimizer = keras.optimizers.Adam(0.5)
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    model.fit(dataset, verbose=0)
    curve = find(
        model, dataset, steps=10, divergence=1e9, smoothing=0.6,
        min_learning_rate=1e-3, max_learning_rate=1.0,
    )  # fmt: skip
    np.testing.assert_allclose(
        curve.learning_rates, 10 ** (np.arange(10) / 3 - 3), rtol=1e-9
    )
    batches = [batch for _ in range(4) for batch in dataset][:10]
    losses = []
    for rate, (x, y) in zip(curve.learning_rates, batches, strict=True):
        optimizer.learning_rate = rate
        losses.append(model.train_on_batch(x, y, return_dict=True)["loss"])
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-6)
    powers = 0.6 ** np.arange(10)
    for count in range(1, 11):
        expected = np.average(losses[:count], weights=powers[:count][::-1])
        assert curve.smoothed_losses[count - 1] == pytest.approx(expected)
    assert curve.suggestion in curve.learning_rates


def test_weight_decay_keeps_its_exceptions():
    def losses(exclude):
        keras.utils.set_random_seed(1)
        model = network()
        optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.9)
        if exclude:
            optimizer.exclude_from_weight_decay(var_names=["kernel"])
        model.compile(optimizer, LOSS)
        return find(model, min_learning_rate=0.1, max_learning_rate=1).losses

    assert not np.array_equal(losses(True), losses(False))


def test_only_what_trains_moves():
    model = compiled()
    model.layers[0].trainable = False
    compiled(model=model)
    frozen = values(model.layers[0].weights)
    seen = []

    class Data(keras.utils.PyDataset):
        num_batches = 3

        def __getitem__(self, index):
            seen.append(values([*model.layers[0].weights, *model.weights[-2:]]))
            return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]

    find(model, Data(), min_learning_rate=1e-3)
    for a, b in zip(seen[-1][:2], frozen, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(seen[0][2], seen[-1][2])


class Batches(keras.utils.PyDataset):
    def __init__(self, count=None, **options):
        super().__init__(**options)
        self.count = count
        self.read, self.epochs = [], 0

    @property
    def num_batches(self):
        return self.count

    def on_epoch_end(self):
        self.epochs += 1

    def __getitem__(self, index):
        self.read.append(index)
        places = (np.arange(8) + 8 * index) % len(X)
        return X[places] + 0 * np.random.normal(size=(8, 6)), Y[places]


@pytest.mark.parametrize(
    "given",
    [
        ((X, Y, np.ones(len(X), "float32")),),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(16),),
        (Batches(3, workers=2),),
        (Batches(None),),
        (tf.constant(X), tf.constant(Y)),
        (X.astype("float64"), Y.astype("uint8")),
    ],
)
def test_kinds_of_data(given):
    model = compiled()
    before = snapshot(model)
    curve = find(model, *given, steps=15, divergence=1e9)
    assert len(curve.losses) == 15
    assert_same(snapshot(model), before)


def test_a_py_dataset_is_read_in_order_of_chance_and_left_alone():
    batches = Batches(3)
    find(compiled(), batches, steps=12, divergence=1e9)
    assert batches.epochs == 0 and len(batches.read) == 12
    epochs = [batches.read[i : i + 3] for i in range(0, 12, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_sample_weights_count():
    weight = np.zeros(len(X), "float32")
    model = compiled()
    curve = find(model, X, Y, sample_weight=weight)
    np.testing.assert_allclose(curve.losses, curve.losses[0], atol=0.05)
    assert curve.losses[0] < 0.1 < find(model).losses[0]


def test_arrays_are_shuffled():
    x = np.zeros((40, 6), "float32")
    x[20:] = 100
    seen = set()

    class Watch(keras.layers.Layer):
        def call(self, inputs):
            if isinstance(inputs, tf.__internal__.EagerTensor):
                seen.add(float(keras.ops.mean(inputs)))
            return inputs

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape)

    model = keras.Sequential([keras.Input((6,)), Watch()])
    model.add(keras.layers.Dense(3))
    model.compile("sgd", "mse", run_eagerly=True)
    find(model, x, np.zeros((40, 3)), max_learning_rate=1e-6, steps=5)
    assert seen - {0.0, 100.0}


def test_the_test_ends_where_the_loss_explodes():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    y = X @ np.random.default_rng(0).normal(0, 1, (6, 3))
    curve = find(model, X, y, steps=60, max_learning_rate=1e4, divergence=3)
    smoothed = curve.smoothed_losses
    assert len(curve.losses) < 60
    assert np.all(np.isfinite(curve.losses))
    lowest = np.minimum.accumulate(smoothed)
    assert np.all(smoothed[:-1] <= 3 * lowest[:-1])
    assert 1e-5 < curve.suggestion < 10


def test_losses_below_0_do_not_end_the_test():
    model = network()
    model.compile("sgd", keras.losses.CosineSimilarity())
    curve = find(model, X, np.eye(3)[Y], max_learning_rate=1e-5)
    assert len(curve.losses) == 12 and curve.losses.max() < 0


def test_broken_losses_end_the_test():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("adam", "mse")
    before = snapshot(model)
    with pytest.raises(ValueError, match="first step.*Received: loss=nan"):
        find(model, X * np.nan, X[:, :3])
    assert_same(snapshot(model), before)
    batches = tf.data.Dataset.from_tensor_slices((X, X[:, :3])).batch(8)
    broken = batches.take(1).map(lambda x, y: (x * np.nan, y))
    curve = find(model, batches.take(4).concatenate(broken))
    assert len(curve.losses) == 4 and np.all(np.isfinite(curve.losses))


def test_two_steps():
    curve = find(compiled(), steps=2)
    assert len(curve.losses) == 2
    np.testing.assert_allclose(curve.learning_rates, [1e-7, 10])
    with pytest.raises(ValueError, match="read-only"):
        curve.losses[0] = 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"min_learning_rate": 0.0}, "Received: min_learning_rate=0.0"),
        ({"min_learning_rate": 1, "max_learning_rate": 0.1}, "=0.1$"),
        ({"max_learning_rate": np.inf}, "max_learning_rate=inf"),
        ({"max_learning_rate": np.nan}, "max_learning_rate=nan"),
        ({"steps": 1}, "Received: steps=1"),
        ({"steps": 2.5}, "Received: steps=2.5"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"smoothing": 1.0}, "Received: smoothing=1.0"),
        ({"divergence": 1.0}, "Received: divergence=1.0"),
        ({"x": X[:0], "y": Y[:0]}, r"Received: x=\(0, 6\)"),
        ({"x": iter([(X, Y)])}, "Received: x=.*list_iterator"),
        ({"x": Batches(0)}, "Received: x=Batches"),
        (
            {"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).take(0)},
            "one batch or more.*Received: x=",
        ),
        ({"x": Batches(3), "y": Y}, "together with"),
    ],
)
def test_bad_arguments_are_refused(options, reason):
    model = compiled()
    before = snapshot(model)
    x = options.pop("x", X)
    y = options.pop("y", Y if x is X else None)
    with pytest.raises(ValueError, match=reason):
        find(model, x, y, **options)
    assert_same(snapshot(model), before)


def test_models_that_cannot_train_are_refused():
    with pytest.raises(ValueError, match="compiled.*Received: model=seq"):
        find(network())
    model = network()
    model.trainable = False
    with pytest.raises(ValueError, match="Nothing in the model trains"):
        find(compiled(model=model))


class OwnStep(keras.Model):
    """A model with a `train_step` and metrics of its own, without a call."""

    def __init__(self, key="loss"):
        super().__init__()
        self.net = network()
        self.mean = keras.metrics.Mean(name="loss")
        self.key = key

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(
                    y, self.net(x, training=True)
                )
            )
        weights = self.net.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.mean.update_state(loss)
        return {self.key: self.mean.result()}


def test_models_with_a_step_of_their_own():
    model = OwnStep()
    model.compile(keras.optimizers.Adam())
    model.fit(X, Y, batch_size=8, verbose=0)
    before = snapshot(model)
    curve = find(model, divergence=1e9)
    assert_same(snapshot(model), before)
    # The loss of each batch, not their mean so far.
    assert curve.losses[-1] > 2 * curve.losses[0]
    model = OwnStep("error")
    model.compile(keras.optimizers.Adam())
    with pytest.raises(ValueError, match='key "loss". Received: {.error'):
        find(model)


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"steps_per_execution": 4}],
)
def test_ways_to_run(options):
    model = compiled(**options)
    before = snapshot(model)
    curve = find(model, divergence=1e9)
    assert_same(snapshot(model), before)
    assert len(curve.losses) == 12


def test_several_outputs_and_inputs():
    model = build("two_outputs")
    model.compile("adam", "mse", metrics=[["mae"]] * len(model.outputs))
    random = np.random.default_rng(0)
    y = [random.normal(0, 1, (24, *o.shape[1:])) for o in model.outputs]
    x = random.normal(0, 1, (24, *model.input_shape[1:])).astype("float32")
    before = snapshot(model)
    assert not model._compile_loss.built
    find(model, x, y)
    assert_same(snapshot(model), before)
    assert not model._compile_loss.built and not model._compile_metrics.built


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    # Keras cannot add its float16 to the other losses.
    model.layers[0].activity_regularizer = None
    model.compile("adam", LOSS)
    assert hasattr(model.optimizer, "inner_optimizer")
    before = snapshot(model)
    curve = find(model, steps=40)
    assert_same(snapshot(model), before)
    assert 1e-5 < curve.suggestion <= 10


def count_adams():
    kinds = map(type, gc.get_objects())
    return sum(issubclass(kind, keras.optimizers.Adam) for kind in kinds)


def test_nothing_is_kept_alive():
    model = compiled()
    find(model)
    gc.collect()
    before = count_adams()
    find(model)
    gc.collect()
    assert count_adams() == before
    keep = weakref.ref(model.optimizer)
    assert keep() is model.optimizer


def test_real_network_on_real_pictures():
    train, _ = kt.load_image_folder(CLIPART, image_size=64)
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(64, 64, 3)
    )
    model = kt.build_classifier(backbone, train.class_names)
    kt.set_trainable(model, "head")
    model.compile("adam", LOSS)
    curve = find_learning_rate(model, train, steps=50)
    assert 5e-5 < curve.suggestion < 2e-2
    assert curve.learning_rates[-1] < 10

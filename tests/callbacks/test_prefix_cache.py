"""Training on cached features, against training without a cache."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.caching.cached_data import find_cached
from keras_transfer.callbacks.prefix_cache import PrefixCache
from tests.callbacks.test_transfer_board import read, texts

COUNTERS = {}
PHASES = [
    kt.Phase("head", 2, 0.05),
    kt.Phase("top:1", 2, 0.02),
    kt.Phase("all", 2, 0.01),
    kt.Phase("head", 2, 0.01, schedule="one_cycle"),
]


@keras.saving.register_keras_serializable("tests")
class Counter(keras.layers.Layer):
    """Counts the examples that go through it, outside of what Keras tracks."""

    def call(self, inputs):
        count = tf.shape(inputs)[0]
        if self.name in COUNTERS and not isinstance(inputs, keras.KerasTensor):
            COUNTERS[self.name].assign_add(count)
        return inputs


def build(counter="counter", **options):
    """A classifier of three convolutions that counts its examples."""
    keras.utils.set_random_seed(0)
    COUNTERS[counter] = tf.Variable(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = Counter(name=counter)(x)
    for number in (1, 2, 3):
        x = keras.layers.Conv2D(4, 3, name=f"block{number}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = keras.layers.ReLU(name=f"block{number}_relu")(x)
        x = keras.layers.Dropout(0.2, name=f"block{number}_dropout")(x)
    backbone = kt.load_backbone(keras.Model(inputs, x, name="base"))
    return kt.build_classifier(backbone, 3, **options)


def pictures(count=40, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    return x, (x[:, 0, 0, 0] // 86).astype(int)


def train(cache, strategy=PHASES, data=None, model=None, **options):
    data = data or (pictures(), pictures(20, seed=1))
    result = kt.fine_tune(
        model or build(),
        *data,
        strategy=strategy,
        **{"log_dir": False, "seed": 0, "verbose": 0, **options},
        cache=cache,
    )
    assert result.model._cut is None
    return result


def check_same(one, other):
    assert one.history.keys() == other.history.keys()
    for name, values in one.history.items():
        np.testing.assert_allclose(values, other.history[name], atol=1e-5)
    for a, b in zip(
        one.model.get_weights(), other.model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
    accuracies = (
        [phase.accuracy for phase in result.report.phases]
        for result in (one, other)
    )
    assert len(set(map(str, accuracies))) == 1


@pytest.fixture(scope="module")
def uncached():
    return train(False)


@pytest.fixture(scope="module")
def uncached_twice():
    """Train without a cache: the head, then one group more."""
    return train(False, PHASES[:2])


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """Train with a cache, and keep the state that it ended in."""
    log_dir = tmp_path_factory.mktemp("cached")
    return train("auto", resume=True, log_dir=log_dir), log_dir


# "extraction" and "lp_ft" are among the phases of the next test.
@pytest.mark.parametrize("strategy", ["gradual", "surgical", "auto"])
def test_every_strategy_gives_the_same(strategy):
    check_same(*(train(c, strategy, epochs=8) for c in (False, "auto")))


def test_phases_give_the_same(uncached, cached):
    check_same(uncached, cached[0])


def as_dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(8)


# Keras, of data that does not know its length.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind", ["weights", "classes", "counted out"])
def test_every_kind_of_data_gives_the_same(kind):
    arrays, held_back = pictures(), pictures(20, seed=1)
    options = {}
    if kind == "weights":  # and no validation data
        data = ((*arrays, np.linspace(0, 2, 40)),)
    elif kind == "classes":
        data = as_dataset(arrays), held_back
        options["class_weight"] = {0: 1.0, 1: 2.0, 2: 5.0}
    else:  # a data set that does not know its length
        unknown = as_dataset(arrays).filter(lambda x, y: True)
        data = unknown, as_dataset(held_back)
    phases = PHASES[:2]
    check_same(*(train(c, phases, data, **options) for c in (False, "auto")))


def test_a_folder_gives_the_same(tmp_path):
    x, y = pictures()
    for n, (image, label) in enumerate(zip(x, y, strict=True)):
        folder = tmp_path / "abc"[label]
        folder.mkdir(exist_ok=True)
        keras.utils.save_img(folder / f"{n}.png", image, scale=False)

    def load():
        return kt.load_image_folder(tmp_path, image_size=8, batch_size=8)

    check_same(*(train(c, PHASES[:1], load()) for c in (False, "auto")))


def compiled(**options):
    model = build()
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 3}, {"run_eagerly": True}], ids=str
)
def test_every_way_to_compile_gives_the_same(options, uncached_twice):
    result = train(True, PHASES[:2], model=compiled(**options))
    check_same(uncached_twice, result)


def test_xla_gives_the_same():
    one, other = (
        train(cache, PHASES[:1], model=compiled(jit_compile=True))
        for cache in (False, True)
    )
    check_same(one, other)


def test_mixed_precision_gives_the_same():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        results = [train(cache, PHASES[:1]) for cache in (False, True)]
    finally:
        keras.config.set_dtype_policy("float32")
    check_same(*results)


def count(cache, strategy, **options):
    model = build()
    train(cache, strategy, model=model, **options)
    return int(COUNTERS["counter"])


def test_each_example_goes_through_the_frozen_part_once():
    head = [kt.Phase("head", 9, 0.01)]
    assert count("auto", head) == 60
    assert count(False, head) == 9 * 60 + 3 * 20


def test_what_is_cached_is_used_again():
    # Two phases with the same prefix, then one with a longer one.
    phases = [kt.Phase("top:1", 2, 0.01), kt.Phase("top:1", 2, 0.001)]
    assert count("auto", [*phases, kt.Phase("head", 2, 0.01)]) == 60
    # A prefix that was trained in between is computed anew.
    phases = [kt.Phase("head", 2, 0.01), kt.Phase("all", 1, 0.01)]
    uncached = 60 + 20  # an epoch, and the report at its end
    assert count("auto", [*phases, phases[0]]) == 60 + uncached + 60


def test_later_phases_are_cached_in_the_same_pass():
    phases = [kt.Phase(train, 2, 0.01) for train in ("head", "top:1", "top:2")]
    assert count("auto", phases) == 60
    # What is chosen later, or trained before, cannot be known now.
    chosen = kt.Phase(lambda model: "top:1", 2, 0.01)
    assert count("auto", [phases[0], chosen]) == 2 * 60
    anew = kt.Phase("top:1", 2, 0.01, reinitialize=True)
    assert count("auto", [phases[0], anew]) == 2 * 60


def test_later_phases_wait_where_there_is_no_room(uncached_twice):
    # Twice the features of the head, which are 2 by 2 by 4, and of 40 images.
    room = 2 * 40 * (2 * 2 * 4 + 2) * 4
    cache = kt.FeatureCache(memory_limit=room, disk_limit=0, dtype="float32")
    cached = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            cached.append(self.model._cut is not None)

    result = train(cache, PHASES[:2], callbacks=Watch())
    check_same(uncached_twice, result)
    assert cached == [True, True, False, False]


def test_a_phase_of_one_epoch_is_cached_on_demand():
    phase = [kt.Phase("head", 1, 0.01)]
    assert count("auto", phase) == 20 + 60 + 2 * 20
    assert count(True, phase) == 60


def test_other_calls_of_the_model_are_as_ever():
    """What callbacks do with pictures, while `fit` is on features."""
    x, y = pictures(20, seed=1)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            assert self.model._cut is not None
            answers = self.model.predict(x, verbose=0)
            called = self.model(x, training=False)
            np.testing.assert_allclose(answers, called, atol=1e-6)
            right = (answers.argmax(axis=1) == y).mean()
            seen.append(right)
            assert right == pytest.approx(logs["val_accuracy"])

    train("auto", PHASES[:2], callbacks=Look())
    assert len(seen) == 4


def test_what_others_are_given_is_what_the_model_would_compute():
    data = as_dataset(pictures())
    model = build()

    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch:
                return
            assert find_cached(self.model, data) is not data
            assert find_cached(self.model, 3) == 3
            kernel = self.model.get_layer("backbone").layers[3].kernel
            kernel.assign(kernel + 1)
            assert find_cached(self.model, data) is data

    phases = [kt.Phase("head", 2, 0.01)]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(
        data,
        epochs=2,
        verbose=0,
        callbacks=[
            kt.GradualUnfreezing(phases),
            PrefixCache(data),
            Spoil(),
        ],
    )


def test_the_board_is_the_same(tmp_path):
    logs = []
    for name, cache in (("one", False), ("two", "auto")):
        train(cache, PHASES[:1], log_dir=tmp_path / name)
        logs.append(read(tmp_path / name / "validation"))
    assert logs[0].keys() == logs[1].keys()
    one, two = (texts(its_logs, "class_report") for its_logs in logs)
    assert one == two and len(one) == 2


def test_an_interrupted_training_ends_the_same(cached, tmp_path):
    class Stop(keras.callbacks.Callback):
        def __init__(self, batches):
            super().__init__()
            self.batches = batches

        def on_train_batch_end(self, batch, logs=None):
            self.batches -= 1
            if self.batches == 0:
                raise KeyboardInterrupt

    options = {"resume": True, "log_dir": tmp_path}
    # As the second phase begins, and from there, in the middle of the last.
    for epochs in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            train("auto", callbacks=Stop(5 * epochs + 2), **options)
    check_same(cached[0], train("auto", **options))


def test_what_is_kept_is_the_same_with_or_without_a_cache(cached):
    whole, log_dir = cached
    check_same(whole, train(False, resume=True, log_dir=log_dir))


def test_an_interrupted_training_on_shuffled_data_ends_the_same(tmp_path):
    def run(folder, callbacks=()):
        pairs = tf.data.Dataset.from_tensor_slices(pictures())
        data = pairs.shuffle(40, seed=3).batch(8), as_dataset(pictures(20))
        return train(
            "auto",
            [kt.Phase("head", 3, 0.05)],
            data,
            resume=True,
            log_dir=tmp_path / folder,
            callbacks=callbacks,
        )

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("killed", Stop())
    check_same(whole, run("killed"))


class Ordered(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, n):
        return pictures(8, seed=n)


def test_it_says_what_is_cached_and_if_not_why(capsys):
    flip = keras.layers.RandomFlip(name="flip")

    def shaken():
        random = tf.random.Generator.from_seed(0)
        return as_dataset(pictures()).map(
            lambda x, y: (x + random.uniform(tf.shape(x)), y)
        )

    cases = [
        ({"model": build(augmentation=flip)}, "cached: `augmentation` may"),
        ({"data": (Ordered(),)}, "cached: a `PyDataset` may give other"),
        ({"data": (shaken(),)}, "cached: the data differs from one pass to"),
    ]
    head = kt.Phase("head", 2, 0.1)
    for options, text in cases:
        train("auto", [head], verbose=2, **options)
        assert text in capsys.readouterr().out
    short = kt.Phase("head", 1, 0.1)
    train("auto", [short, head, kt.Phase("all", 2, 0.1)], verbose=2)
    output = capsys.readouterr().out
    for text in (
        "cached: the phase lasts a",
        "Cached: the frozen part is computed once for each of 60 exampl",
        "cached: nothing that is fr",
    ):
        assert output.count(text) == 1


def test_validation_data_that_cannot_be_cached_is_taken_as_ever():
    data = (pictures(), Ordered())
    check_same(*(train(c, PHASES[:1], data) for c in (False, "auto")))


def test_on_real_weights():
    def result(cache):
        keras.utils.set_random_seed(0)
        backbone = kt.load_backbone(
            "bundled:efficientnet_lite0", input_shape=(65, 65, 3)
        )
        model = kt.build_classifier(backbone, 3)
        random = np.random.default_rng(0)
        x = random.uniform(0, 255, (24, 65, 65, 3)).astype("float32")
        phases = [kt.Phase("top:2", 2, 0.001)]
        data = (x, np.arange(24) % 3), (x[:9], np.arange(9) % 3)
        return train(cache, phases, data, model)

    check_same(result(False), result("auto"))


def test_a_folder_keeps_what_is_computed(uncached_twice, tmp_path):
    plain = uncached_twice
    model = build()
    check_same(plain, train(tmp_path / "kept", PHASES[:2], model=model))
    first = int(COUNTERS["counter"])
    model = build()
    check_same(plain, train(str(tmp_path / "kept"), PHASES[:2], model=model))
    # Two examples of each data set tell the shapes of features, and two are
    # compared with those that are there.
    assert int(COUNTERS["counter"]) == 2 * (2 + 2)
    assert first > 60


def test_what_is_cached_is_not_computed_from_itself(tmp_path):
    """The engine that starts from pictures does not start from features."""
    phases = [kt.Phase(train, 2, 0.02) for train in ("top:1", "head", "head")]
    plain = train(False, phases)
    for engine, cache in (
        ("tensorflow", True),
        ("tensorflow", tmp_path / "tensorflow"),
        (None, tmp_path / "none"),
    ):
        model = build()
        del COUNTERS["counter"]  # which no engine could have
        result = train(cache, phases, model=model, engine=engine)
        for name, values in plain.history.items():
            np.testing.assert_allclose(values, result.history[name], atol=1e-4)


def test_rounded_features_are_not_what_others_are_made_from(tmp_path):
    phases = [kt.Phase("top:1", 2, 0.02), kt.Phase("head", 3, 0.02)]
    cache = kt.FeatureCache(dtype="float16")

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    model = build()
    log_dir = tmp_path / "whole"
    whole = train(cache, phases, model=model, resume=True, log_dir=log_dir)
    # Each cut from the pictures, where float32 goes on from the one before;
    # and six of them for Grad-CAM after each phase.
    assert int(COUNTERS["counter"]) == 2 * (60 + 6)
    killed = {"resume": True, "log_dir": tmp_path / "killed"}
    with pytest.raises(KeyboardInterrupt):
        train(cache, phases, callbacks=Stop(), **killed)
    again = train(cache, phases, **killed)
    for one, other in zip(
        whole.model.get_weights(), again.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_disk_instead_of_memory(uncached_twice, tmp_path, capsys):
    cache = kt.FeatureCache(tmp_path / "kept", memory_limit=0)
    result = train(cache, PHASES[:2], verbose=2)
    assert "MB on disk)" in capsys.readouterr().out
    check_same(uncached_twice, result)


class Shift(keras.layers.Layer):
    """Adds one of two numbers to a picture, in training only."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = (keras.ops.shape(inputs)[0], 1, 1, 1)
        draws = keras.random.uniform(shape, seed=self.seed_generator)
        return inputs + 40 * keras.ops.cast(draws < 0.5, inputs.dtype)


def count_views(views, epochs, cache="auto", **options):
    """Train, and return how many different features an example had."""
    seen = {}

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            cached = self.model._cut.cached[0]
            for features, _ in cached.dataset:
                for row in np.concatenate(list(features.values())):
                    seen.setdefault(epoch, []).append(row.tobytes())

    phases = [kt.Phase("head", epochs, 0.01)]
    result = train(
        cache,
        phases,
        model=build(augmentation=Shift()),
        cached_views=views,
        callbacks=Watch(),
        **options,
    )
    different = set().union(*seen.values())
    return result, len(different), [sorted(rows) for rows in seen.values()]


def test_views_of_augmented_examples():
    _, one, _ = count_views(1, 3)
    assert one == 40
    result, several, epochs = count_views(4, 6)
    # Two pictures of each example, and with four views, hardly ever but one.
    assert 60 < several <= 80
    assert len({str(rows) for rows in epochs}) == 6
    again, _, the_same = count_views(4, 6)
    assert the_same == epochs
    check_same(result, again)


def test_one_view_is_no_augmentation(uncached_twice):
    model = build(augmentation=Shift())
    result = train("auto", PHASES[:2], model=model, cached_views=1)
    check_same(uncached_twice, result)


def test_views_of_a_shuffled_data_set(tmp_path):
    pairs = tf.data.Dataset.from_tensor_slices(pictures()).shuffle(40)
    data = pairs.batch(8), as_dataset(pictures(20, seed=1))
    for cache in ({}, {"cache": tmp_path}):
        _, several, epochs = count_views(4, 4, data=data, **cache)
        assert 60 < several <= 80
        assert all(len(rows) == 40 for rows in epochs)


def test_mixup_trains_and_repeats_itself():
    results = [
        train("auto", PHASES[:1], mixup=0.2, class_weight={0: 1, 1: 2, 2: 3})
        for _ in range(2)
    ]
    check_same(*results)
    plain = train("auto", PHASES[:1], class_weight={0: 1, 1: 2, 2: 3})
    assert plain.history["loss"] != results[0].history["loss"]


@pytest.mark.parametrize(
    "options",
    [
        {"cached_views": 0},
        {"cached_views": 1.5},
        {"mixup": -1},
        {"mixup": "a lot"},
        {"cache": False, "mixup": 0.2},
        {"cache": 3},
        {"cache": None},
        {"cache": ""},
        {"engine": "steam"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ValueError, match="Received: "):
        kt.fine_tune(build(), pictures(), **options)

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import keras_transfer as kt
from tests import networks
from tests.networks import tiny_backbone

CLIPART = pathlib.Path(__file__).parents[2] / "examples/data/clipart14"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pictures(count=48, classes=3, seed=0):
    """Squares whose mean colour tells their class, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    colours = 60 + 120 * np.eye(3)[labels % 3]
    noise = rng.normal(0, 20, (count, 8, 8, 3))
    return (colours[:, None, None] + noise).clip(0, 255).astype("uint8"), labels


def small_backbone():
    """Load one of two groups: most of a test's time goes into tracing."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(6, 3, name="block1_conv")(x)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    x = keras.layers.ReLU(name="block1_relu")(x)
    x = keras.layers.Conv2D(6, 3, strides=2, name="block2_conv")(x)
    x = keras.layers.ReLU(name="block2_relu")(x)
    return kt.load_backbone(keras.Model(inputs, x, name="small"))


def dataset(*args, names=None, **options):
    data = tf.data.Dataset.from_tensor_slices(pictures(*args, **options))
    data = data.batch(16)
    data.class_names = names or ["red", "green", "blue"]
    return data


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training in three phases, and each epoch's weights."""
    folder = tmp_path_factory.mktemp("logs")
    model = kt.build_classifier(tiny_backbone(), 3)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append({w.path: w.numpy() for w in self.model.weights})

    before = {w.path: w.numpy() for w in model.weights}
    result = kt.fine_tune(
        model,
        dataset(),
        dataset(seed=1),
        strategy=[
            kt.Phase("head", 3, 0.01, name="first"),
            kt.Phase("top:1", 2, 0.001),
            kt.Phase("all", 2, 0.001, schedule="cosine"),
        ],
        log_dir=folder / "run",
        callbacks=[Watch()],
        seed=0,
        verbose=0,
    )
    return model, result, [before, *seen]


def moved(before, after):
    return {p for p in before if not np.array_equal(before[p], after[p])}


def test_each_phase_trains_its_groups_and_nothing_else(trained):
    model, _, seen = trained
    groups = {
        group.name: {
            v.path
            for v in group.variables
            if "moving" not in v.path and "_bn" not in v.path
        }
        for group in kt.layer_groups(model)
    }
    changes = [moved(a, b) for a, b in zip(seen[:-1], seen[1:], strict=True)]
    top = [group for group in groups][-2:]
    assert all(change == groups["head"] for change in changes[:3])
    # Weights that were put back at a phase's end move, too.
    assert changes[4] == set().union(*(groups[name] for name in top))
    assert changes[6] == set().union(*groups.values())


def test_history_is_continuous(trained):
    _, result, _ = trained
    lengths = {key: len(values) for key, values in result.history.items()}
    assert set(lengths.values()) == {7}
    assert {"accuracy", "loss", "val_accuracy", "val_loss"} <= set(lengths)


def test_the_best_weights_are_kept(trained):
    model, result, seen = trained
    scores = list(
        zip(
            result.history["val_accuracy"],
            [-loss for loss in result.history["val_loss"]],
            strict=True,
        )
    )
    best = scores.index(max(scores))
    for weight in model.weights:
        np.testing.assert_array_equal(weight, seen[best + 1][weight.path])
    assert f"those of epoch {best + 1}." in str(result.report)
    x, y = pictures(seed=1)
    right = model.predict(x, verbose=0).argmax(axis=1) == y
    assert result.report.accuracy == pytest.approx(right.mean())
    assert result.report.accuracy == pytest.approx(scores[best][0])


def test_report_tells_phases_and_classes(trained):
    model, result, _ = trained
    records = result.report.phases
    assert [r.name for r in records] == ["first", "top:1", "all"]
    assert [r.epochs for r in records] == [3, 2, 2]
    assert result.phases[1] == kt.Phase("top:1", 2, 0.001)
    names = [row["class"] for row in result.report.classes]
    assert names == ["red", "green", "blue"] == model.class_names
    assert sum(row["support"] for row in result.report.classes) == 48
    live, total = records[0].trainable
    assert live == 6 * 3 + 3 and total == model.count_params()


def test_one_run_of_logs(trained):
    _, result, _ = trained
    folder = pathlib.Path(result.log_dir)
    folders = sorted(p.name for p in folder.iterdir() if p.is_dir())
    assert folders == ["projector", "train", "validation"]
    # Beside them, the settings that all runs are compared by.
    [settings] = [p.name for p in folder.iterdir() if p.is_file()]
    assert "tfevents" in settings
    run = kt.read_run(folder)
    assert str(result.report) in run.texts["report"]


def test_nothing_changes_at_learning_rate_0():
    model = kt.build_classifier(small_backbone(), 3)
    before = model.get_weights()
    phases = [kt.Phase("head", 1, 0.0), kt.Phase("all", 2, 0.0)]
    kt.fine_tune(
        model, dataset(), strategy=phases, log_dir=False, verbose=0, seed=0
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_same_seed_same_result():
    def losses(seed):
        keras.utils.set_random_seed(7)
        model = kt.build_classifier(small_backbone(), 3)
        return kt.fine_tune(
            model,
            pictures(),
            strategy="extraction",
            epochs=2,
            log_dir=False,
            verbose=0,
            seed=seed,
        ).history["loss"]

    assert losses(1) == losses(1) != losses(2)


def test_logs_lie_under_logs_by_default():
    model = kt.build_classifier(small_backbone(), 3)
    result = kt.fine_tune(
        model, dataset(), strategy="extraction", epochs=1, verbose=0
    )
    folder = pathlib.Path(result.log_dir)
    assert folder.parent == pathlib.Path("logs")
    assert folder.name.endswith("-small_classifier-extraction")
    assert list(folder.glob("train/events*"))
    assert result.report.measured_on == "training"
    assert result.report.weights == ""


@pytest.mark.parametrize("kind", ["binary", "multi-label", "one-hot"])
def test_other_kinds_of_labels(kind):
    x, y = pictures(classes=2 if kind == "binary" else 3)
    many = np.eye(3, dtype="float32")[y]
    if kind == "multi-label":
        many[:, 0] = 1
    model = kt.build_classifier(
        small_backbone(),
        1 if kind == "binary" else 3,
        multi_label=kind == "multi-label",
    )
    data = (x, y if kind == "binary" else many)
    result = kt.fine_tune(model, data, data, epochs=4, log_dir=False, verbose=0)
    expected = {
        "binary": "binary_crossentropy",
        "multi-label": "binary_crossentropy",
        "one-hot": "categorical_crossentropy",
    }
    assert model.loss == expected[kind]
    assert 0 <= result.report.accuracy_before <= 1
    head, *_ = result.report.phases
    assert result.report.accuracy >= head.accuracy


def test_class_weight_reaches_the_loss():
    def loss(class_weight):
        keras.utils.set_random_seed(3)
        model = kt.build_classifier(small_backbone(), 3, dropout=0)
        return kt.fine_tune(
            model,
            dataset(),
            strategy=[kt.Phase("head", 1, 0.0)],
            class_weight=class_weight,
            log_dir=False,
            verbose=0,
        ).history["loss"][0]

    assert loss({0: 2, 1: 2, 2: 2}) == pytest.approx(2 * loss(None), rel=1e-5)
    # As many of each class: nothing to balance.
    assert loss("balanced") == pytest.approx(loss(None), rel=1e-5)


def test_early_stopping_ends_the_training_and_patience_a_phase():
    model = kt.build_classifier(small_backbone(), 3)
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=1e9)

    def train(phases, callbacks=()):
        return kt.fine_tune(
            model,
            dataset(),
            dataset(seed=1),
            strategy=phases,
            callbacks=callbacks,
            log_dir=False,
            verbose=0,
        )

    phases = [kt.Phase("head", 5, 0.01), kt.Phase("all", 5, 0.01)]
    stopped = train(phases, [stop])
    assert len(stopped.history["loss"]) == 2
    assert [r.epochs for r in stopped.report.phases] == [2]
    patient = kt.Phase("head", 5, 0.01, patience=1, min_delta=1e9)
    result = train([patient, phases[1]])
    assert [r.epochs for r in result.report.phases] == [2, 5]


@pytest.mark.parametrize(
    "strategy",
    ["extraction", "fine_tuning", "gradual", "lp_ft", "scratch", "surgical"],
)
def test_every_strategy_learns_the_colours(strategy):
    model = kt.build_classifier(small_backbone(), 3)
    result = kt.fine_tune(
        model,
        dataset(),
        dataset(seed=1),
        strategy=strategy,
        epochs=40,
        log_dir=False,
        seed=0,
        verbose=0,
    )
    assert sum(r.epochs for r in result.report.phases) == 40
    check_what_was_learnt(result)


def check_what_was_learnt(result):
    assert result.report.accuracy > 0.6
    rates = [phase.learning_rate for phase in result.phases]
    assert all(isinstance(rate, float) for rate in rates)


def test_small_data_gets_as_many_steps():
    """By default, which is "auto", where an epoch is three steps long."""
    model = kt.build_classifier(small_backbone(), 3)
    result = kt.fine_tune(
        model, dataset(), dataset(seed=1), log_dir=False, verbose=0
    )
    assert len(result.history["loss"]) == 84  # 250 steps
    check_what_was_learnt(result)
    assert "The weights are" in str(result.report)


def test_a_finished_training_resumed_trains_nothing(tmp_path, capsys):
    def train(**options):
        return kt.fine_tune(
            kt.build_classifier(small_backbone(), 3),
            pictures(),
            pictures(seed=1),
            epochs=4,
            # At its end, `fit` puts averages in the place of weights.
            optimizer=keras.optimizers.Adam(use_ema=True, ema_momentum=0.9),
            log_dir=tmp_path / "run",
            resume=True,
            seed=0,
            **options,
        )

    first = train(verbose=0)
    again = train(verbose=2)
    assert "has ended after 4 epochs" in capsys.readouterr().out
    assert again.history == first.history
    assert again.phases == first.phases
    assert [r.accuracy for r in again.report.phases] == [
        r.accuracy for r in first.report.phases
    ]
    for a, b in zip(
        first.model.get_weights(), again.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


class Pairs(keras.utils.PyDataset):
    """Never raises `IndexError`: whoever counts on it goes on for ever."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        x, y = pictures()
        return x[index % 3 :: 3], y[index % 3 :: 3]


def test_surgery_on_a_py_dataset_ends():
    model = kt.build_classifier(tiny_backbone(), 3)
    result = kt.fine_tune(
        model, Pairs(), strategy="surgical", epochs=3, log_dir=False, verbose=0
    )
    assert len(result.phases[1].train) == 4


def test_a_rate_of_0_is_a_rate():
    model = kt.build_classifier(small_backbone(), 3)
    result = kt.fine_tune(
        model, dataset(), epochs=2, learning_rate=0.0, log_dir=False, verbose=0
    )
    assert result.phases[1].learning_rate == 0


@pytest.mark.parametrize(
    ("strategy", "has_validation"),
    [("auto", True), ("surgical", False)],
)
def test_an_interrupted_strategy_ends_the_same(
    strategy, has_validation, tmp_path
):
    """What is looked at when a phase begins moves no later epoch's order."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 6:  # well after the second phase began
                raise KeyboardInterrupt

    def train(folder, callbacks=()):
        keras.utils.set_random_seed(0)
        model = kt.build_classifier(small_backbone(), 3)
        return kt.fine_tune(
            model,
            pictures(),
            pictures(seed=1) if has_validation else None,
            strategy=strategy,
            epochs=9,
            optimizer=keras.optimizers.Adam(use_ema=True, ema_momentum=0.5),
            log_dir=tmp_path / folder,
            resume=True,
            callbacks=callbacks,
            verbose=0,
        )

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("cut", [Stop()])
    resumed = train("cut")
    assert resumed.history == whole.history
    for a, b in zip(
        whole.model.get_weights(), resumed.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_balanced_weights_are_told(capsys):
    x, y = pictures(count=40)
    kt.fine_tune(
        kt.build_classifier(small_backbone(), 3),
        (x, y),
        strategy="extraction",
        epochs=1,
        class_weight="balanced",
        log_dir=False,
        verbose=2,
    )
    text = "Class weights by inverse frequency: 0: 0.95, 1: 1.03, 2: 1.03"
    assert text in capsys.readouterr().out


def test_bad_input_is_refused_before_anything_trains():
    model = kt.build_classifier(small_backbone(), 3)
    before = model.get_weights()
    wrong = [
        ({"strategy": "gradul"}, "extraction"),
        ({"strategy": [kt.Phase("haed", 1, 0.1)]}, "haed"),
        ({"train": dataset(names=["a", "b"])}, "2 classes"),
        ({"validation_data": dataset(names=["a", "b"])}, "2 classes"),
        ({"optimizer": "adamm"}, "adamm"),
        ({"train": 3}, "Received: train"),
        ({"class_weight": "equal"}, "Received: class_weight='equal'"),
        ({"class_weight": [1, 2, 3]}, r"Received: class_weight=\[1, 2, 3\]"),
        ({"resume": True}, "Received: log_dir=None"),
    ]
    for arguments, reason in wrong:
        with pytest.raises(ValueError, match=reason):
            kt.fine_tune(
                model, **{"train": dataset(), "verbose": 0, **arguments}
            )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not pathlib.Path("logs").exists()


@pytest.mark.parametrize("learning_rate", [None, 1e-3])
def test_auto_compares_answers_of_classifiers_only(learning_rate):
    model = networks.mlp()
    model.compile("adam", "mse")
    before = networks.values(model.weights)
    x = networks.batch_for(model)
    data = (x, np.linspace(-1, 1, len(x) * 3).reshape(-1, 3))
    with pytest.raises(ValueError, match='"auto" compares the answers'):
        kt.fine_tune(
            model,
            data,
            data,
            learning_rate=learning_rate,
            log_dir=False,
            verbose=0,
        )
    assert not networks.moved(model.weights, before)


def test_batches_of_a_py_dataset_come_in_another_order_each_epoch():
    class Ordered(keras.utils.PyDataset):
        seen = []

        def __len__(self):
            return 8

        def __getitem__(self, n):
            self.seen.append(n)
            return pictures(4, seed=n)

    kt.fine_tune(
        kt.build_classifier(small_backbone(), 3),
        Ordered(),
        dataset(),
        strategy="extraction",
        epochs=4,
        log_dir=False,
        seed=0,
        verbose=0,
    )
    epochs = [tuple(Ordered.seen[-8 * n :][:8]) for n in range(1, 5)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len(set(epochs)) == 4


def test_only_phases_that_ran_are_told():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    result = kt.fine_tune(
        kt.build_classifier(small_backbone(), 3),
        dataset(),
        strategy="lp_ft",
        epochs=4,
        callbacks=Stop(),
        log_dir=False,
        verbose=0,
    )
    assert [phase.name for phase in result.phases] == ["extraction"]


def test_extraction_matches_logistic_regression_on_real_pictures():
    """The issue's bar: within two points of scikit-learn, on real weights."""
    train, validation = kt.load_image_folder(CLIPART, image_size=64)
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(64, 64, 3)
    )
    model = kt.build_classifier(backbone, train.class_names)
    features = keras.Model(model.input, model.get_layer("head_pooling").output)

    def extract(data):
        pairs = [(features.predict_on_batch(x), y) for x, y in data]
        x, y = zip(*pairs, strict=True)
        return np.concatenate(x), np.concatenate(y)

    with threadpool_limits(1):  # On a busy machine, threads wait for long.
        regression = LogisticRegression(max_iter=2000).fit(*extract(train))
        oracle = regression.score(*extract(validation))
    result = kt.fine_tune(
        model,
        train,
        validation,
        strategy="extraction",
        log_dir=False,
        verbose=0,
        seed=0,
    )
    assert result.report.accuracy >= oracle - 0.02
    assert result.report.accuracy > 0.45 > result.report.accuracy_before

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.forgetting.linear_cka import linear_cka
from tests import networks
from tests.recipes.test_recommend import pictures


def trained_classifier():
    keras.utils.set_random_seed(0)
    model = kt.build_classifier(networks.tiny_backbone(), 3)
    kt.set_trainable(model, "all")
    model.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(*pictures(), epochs=8, verbose=0)
    return model


def swapped(seed=0):
    """The same pictures with other labels: what it knew is wrong now."""
    x, y = pictures(seed=seed)
    return x, (y + 1) % 3


def test_it_sees_an_old_task_being_forgotten():
    model = trained_classifier()
    old = pictures(seed=1)
    before = model.evaluate(*old, verbose=0)[1]
    monitor = kt.ForgettingMonitor(old)
    x, y = swapped()
    history = model.fit(x, y, epochs=4, callbacks=[monitor], verbose=0)
    first, *others = monitor.rows
    assert [row["epoch"] for row in monitor.rows] == [0, 1, 2, 3, 4, 4]
    assert first["accuracy"] == pytest.approx(before)
    assert all(v == pytest.approx(1) for v in first["cka"].values())
    assert set(first["drift"].values()) == {0.0}
    after = model.evaluate(*old, verbose=0)[1]
    assert others[-1]["accuracy"] == pytest.approx(after)
    assert after < before - 0.3
    assert history.history["old_accuracy"] == [
        row["accuracy"] for row in others[:-1]
    ]
    assert all(row["drift"]["head"] > 0 for row in others)
    assert f"{after:.3f} now" in monitor.describe()


def test_cka_is_that_of_what_a_group_makes():
    model = trained_classifier()
    x, _ = pictures(seed=1)
    head = kt.layer_groups(model)[-1].layers[-1]
    before = model.predict(x, verbose=0)
    monitor = kt.ForgettingMonitor(pictures(seed=1))
    model.fit(*swapped(), epochs=2, callbacks=[monitor], verbose=0)
    expected = linear_cka(before, model.predict(x, verbose=0))
    assert monitor.rows[-1]["cka"]["head"] == pytest.approx(expected, abs=1e-5)
    assert head.units == 3
    assert all(
        0 <= monitor.rows[-1]["chance"][name] < 1
        for name in monitor.rows[-1]["cka"]
    )


def test_what_is_frozen_stays_the_same():
    model = trained_classifier()
    kt.set_trainable(model, "head")
    model.compile("adam", "sparse_categorical_crossentropy")
    monitor = kt.ForgettingMonitor(pictures(seed=1))
    model.fit(*swapped(), epochs=2, callbacks=[monitor], verbose=0)
    for row in monitor.rows:
        for name, value in row["cka"].items():
            assert name == "head" or value == pytest.approx(1, abs=1e-9)
            assert name == "head" or row["drift"].get(name, 0) == 0


def test_watching_changes_nothing():
    found = []
    for callbacks in ([], [kt.ForgettingMonitor(pictures(seed=1))]):
        model = trained_classifier()
        model.fit(*swapped(), epochs=2, callbacks=callbacks, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_old_head_on_a_shared_backbone_answers():
    old = trained_classifier()
    new = kt.replace_head(old, 2)
    x, y = pictures()
    old_data = tf.data.Dataset.from_tensor_slices(pictures(seed=1)).batch(16)
    monitor = kt.ForgettingMonitor(old_data, old_model=old)
    result = kt.fine_tune(
        new,
        (x, y % 2),
        strategy=[kt.Phase("all", 3, 0.05)],
        log_dir=False,
        callbacks=monitor,
        seed=0,
        verbose=0,
    )
    after = float(
        (
            old.predict(pictures(seed=1)[0], verbose=0).argmax(axis=1)
            == pictures(seed=1)[1]
        ).mean()
    )
    assert monitor.rows[-1]["accuracy"] == pytest.approx(after)
    assert monitor.describe() in str(result.report)
    assert len(result.history["old_accuracy"]) == 3


def test_the_board_shows_it(tmp_path):
    model = trained_classifier()
    monitor = kt.ForgettingMonitor(pictures(seed=1), freq=2)
    board = kt.TransferBoard(tmp_path, projector_limit=0)
    model.fit(*swapped(), epochs=4, callbacks=[board, monitor], verbose=0)
    steps, values = kt.read_run(tmp_path).curve("old_task/accuracy", "train")
    assert list(steps) == [1, 3]
    measured = [row["accuracy"] for row in monitor.rows[1:-1]]
    np.testing.assert_allclose(values, measured, rtol=1e-6)
    tags = kt.read_run(tmp_path).tags["train"]
    assert {"cka/stem", "cka_chance/stem", "drift/stem"} <= set(tags)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "old_data=None"),
        ((3,), "=3"),
        ((pictures(), 0), "freq=0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    old_data, *freq = arguments
    with pytest.raises(ValueError, match=message):
        kt.ForgettingMonitor(old_data, **({"freq": freq[0]} if freq else {}))

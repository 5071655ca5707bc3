import pathlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.insight.rank_backbones import rank_backbones
from keras_transfer.insight.ridge_probe import fit_ridge_probe
from keras_transfer.insight.scorers.h_score import h_score
from keras_transfer.insight.scorers.leep import leep
from keras_transfer.insight.scorers.log_me import log_me
from keras_transfer.insight.scorers.nce import nce

PICTURES = pathlib.Path(__file__).parents[2] / "examples/data/clipart14"
SHAPE = (6, 6, 3)


def make_pictures(examples=61, seed=0):
    """Draw pictures whose channels tell their class, from 0 to 2."""
    rng = np.random.default_rng(seed)
    y = np.arange(examples) % 3
    x = rng.uniform(0, 120, (examples, *SHAPE))
    x[np.arange(examples), :, :, y] += 100
    return x.astype("float32"), y


def sees_colors(name="colors", shape=SHAPE):
    """Build a network whose features are the means of the channels."""
    inputs = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(3, 1, use_bias=False, name="block1_conv")(x)
    model = keras.Model(inputs, x, name=name)
    model.layers[-1].set_weights([np.eye(3).reshape(1, 1, 3, 3)])
    return model


def sees_nothing(name="nothing", shape=SHAPE):
    model = sees_colors(name, shape)
    model.layers[-1].set_weights([np.zeros((1, 1, 3, 3))])
    return model


def with_head(name="with_head"):
    base = sees_colors()
    x = layers.GlobalAveragePooling2D()(base.output)
    outputs = layers.Dense(4, activation="softmax")(x)
    return keras.Model(base.input, outputs, name=name)


class Slow(layers.Layer):
    def call(self, x):
        def wait():
            time.sleep(0.05)
            return np.float32(0)

        # Whatever else the machine does, a batch of the others takes less.
        return x + tf.numpy_function(wait, [], tf.float32)

    def compute_output_shape(self, shape):
        return shape


def slow(name="slow"):
    base = sees_colors()
    return keras.Model(base.input, Slow()(base.output), name=name)


def rank(candidates, data=None, **options):
    data = make_pictures() if data is None else data
    return rank_backbones(data, candidates, verbose=False, **options)


def test_scores_are_those_of_the_features():
    x, y = make_pictures()
    model = sees_colors()
    ranking = rank([model], (x, y))
    features = x.mean(axis=(1, 2)) / 255
    probe = fit_ridge_probe(features, y)
    (row,) = ranking.rows
    assert row["probe"] == probe.accuracy
    share = row["probe"] * (1 - row["probe"]) / 61
    assert row["spread"] == pytest.approx(share**0.5)
    assert row["log_me"] == pytest.approx(log_me(features, y), abs=1e-4)
    assert row["h_score"] == pytest.approx(h_score(features, y), rel=1e-4)
    assert row["feature_dim"] == 3
    assert row["parameters"] == 9e-6
    assert row["milliseconds"] > 0
    assert row["error"] is row["leep"] is row["nce"] is None
    assert ranking.best == ranking.recommended == "colors"
    assert (ranking.examples, ranking.classes) == (61, 3)


@pytest.mark.parametrize("examples", [3, 5, 31, 32, 33, 64, 129])
def test_every_example_counts_once(examples, monkeypatch):
    x, y = make_pictures(examples)
    seen = []

    def keep(features, labels):
        seen.append((features, labels))
        return fit_ridge_probe(features, labels)

    module = "keras_transfer.insight.rank_backbones.fit_ridge_probe"
    monkeypatch.setattr(module, keep)
    rank([sees_colors()], (x, y))
    np.testing.assert_allclose(seen[0][0], x.mean(axis=(1, 2)) / 255, rtol=1e-5)
    np.testing.assert_array_equal(seen[0][1], y)


def test_the_better_comes_first():
    ranking = rank({"bad": sees_nothing(), "good": sees_colors()})
    assert [row["candidate"] for row in ranking.rows] == ["good", "bad"]
    assert ranking.best == ranking.recommended == "good"
    good, bad = ranking.rows
    for score in ("probe", "log_me", "h_score"):
        assert good[score] > bad[score]
    text = str(ranking)
    assert "Recommended: good. None faster is as good" in text
    assert text.index("good") < text.index("bad ")


def test_of_equals_the_fast_one_is_recommended():
    ranking = rank([slow(), sees_colors(), sees_nothing()])
    rows = {row["candidate"]: row for row in ranking.rows}
    assert rows["slow"]["probe"] == rows["colors"]["probe"]
    assert rows["slow"]["milliseconds"] > 2 * rows["colors"]["milliseconds"]
    assert ranking.best == "slow"  # as it came first
    assert ranking.recommended == "colors"
    assert "times as fast as slow," in str(ranking)


def test_a_fast_one_that_is_worse_is_not_recommended():
    ranking = rank([sees_nothing(), slow()])
    good, bad = ranking.rows
    assert bad["milliseconds"] < good["milliseconds"] / 2
    assert ranking.recommended == "slow"
    assert "None faster is as good" in str(ranking)


def test_an_old_head_is_scored_in_the_same_pass():
    x, y = make_pictures()
    model = with_head()
    row = rank([model], (x, y)).rows[0]
    probabilities = model.predict(x, verbose=0)
    assert row["leep"] == pytest.approx(leep(probabilities, y), rel=1e-4)
    assert row["nce"] == pytest.approx(nce(probabilities, y), rel=1e-4)
    assert row["feature_dim"] == 3
    plain = rank([sees_colors()], (x, y)).rows[0]
    assert row["probe"] == plain["probe"]
    assert row["log_me"] == pytest.approx(plain["log_me"], abs=1e-4)


def test_heads_that_are_no_softmax_are_not_scored():
    base = sees_colors()
    x = layers.GlobalAveragePooling2D()(base.output)
    sigmoid = layers.Dense(4, activation="sigmoid")(x)
    row = rank([keras.Model(base.input, sigmoid)]).rows[0]
    assert row["error"] is row["leep"] is row["nce"] is None
    text = str(rank([sees_colors()]))
    assert "LEEP" not in text
    assert "LEEP and NCE look at the old head alone" in str(rank([with_head()]))


def test_those_that_fail_do_not_cost_the_others():
    ranking = rank(
        {
            "unknown": "no such network",
            "no network": 3,
            "other size": sees_colors(shape=(9, 9, 3)),
            "vectors": keras.Sequential([keras.Input((4,)), layers.Dense(2)]),
            "broken": overflowing(),
            "good": sees_colors(),
        }
    )
    assert ranking.best == ranking.recommended == "good"
    errors = {row["candidate"]: row["error"] for row in ranking.rows}
    assert errors.pop("good") is None
    assert "(9, 9, 3)" in errors["other size"]
    assert "(6, 6, 3)" in errors["other size"]
    assert "(4,)" in errors["vectors"]
    assert "must be finite" in errors["broken"]
    assert all(errors.values())
    lines = str(ranking).splitlines()
    assert sum("failed: " in line for line in lines) == 5


def overflowing():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.ops.log(inputs - 1e6))


def test_says_why_all_failed():
    with pytest.raises(ValueError, match="No candidate.*first: It takes"):
        rank({"first": sees_colors(shape=(9, 9, 3)), "second": "nonsense"})


def test_names():
    backbone = kt.load_backbone(sees_colors("one"))
    ranking = rank([backbone, sees_nothing("one"), sees_nothing("two"), "x"])
    names = [row["candidate"] for row in ranking.rows]
    assert names == ["one", "one (2)", "two", "x"]


def test_the_table_fits_and_keeps_odd_names():
    x, y = make_pictures()
    long = "https://example.org/" + "very/" * 30 + "long"
    ranking = rank(
        {long: with_head(), "猫": sees_nothing(), f"{long}!": "nonsense"},
        (x, y),
    )
    lines = str(ranking).splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith(f"…{long[-25:]}") for line in lines)
    assert any(line.startswith("猫") for line in lines)
    assert ranking.best == long


def test_data_of_every_kind(tmp_path):
    x, y = make_pictures()
    expected = rank([sees_colors()], (x, y)).rows[0]["log_me"]
    dataset = tf.data.Dataset.from_tensor_slices((x, np.eye(3)[y])).batch(16)
    nothing = dataset.take(0)
    for data in (dataset, (dataset, nothing), (x, 7 * y), (x, y[:, None])):
        found = rank([sees_colors()], data).rows[0]["log_me"]
        assert found == pytest.approx(expected, abs=1e-4)


def test_no_more_examples_than_asked_for():
    x, y = make_pictures(300)
    first, again = (
        rank([sees_colors()], (x, y), most_examples=90) for _ in range(2)
    )
    assert first.examples == 90
    assert first.rows[0]["log_me"] == again.rows[0]["log_me"]
    other = rank([sees_colors()], (x, y), most_examples=90, seed=1)
    assert first.rows[0]["log_me"] != other.rows[0]["log_me"]


def test_a_cache_is_used_and_changes_nothing(tmp_path):
    data, models = make_pictures(), [sees_colors(), with_head()]
    plain = rank(models, data)
    scores = "probe", "log_me", "h_score", "leep", "nce"
    for _ in range(2):
        cached = rank(models, data, cache=tmp_path)
        for old, new in zip(plain.rows, cached.rows, strict=True):
            for score in scores:
                assert new[score] == pytest.approx(old[score], abs=1e-4)
            assert new["milliseconds"] > 0
    assert any(tmp_path.iterdir())


def test_candidates_stay_as_they_are():
    model = with_head()
    before = [w.copy() for w in model.get_weights()]
    layers_before = list(model.layers)
    rank([model])
    assert model.layers == layers_before
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_prints_a_line_for_each(capsys):
    rank_backbones(make_pictures(), {"a": sees_colors(), "b": "nonsense"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1/2 a: probe ")
    assert lines[1].startswith("2/2 b: `source` must be")
    rank([sees_colors()])
    assert not capsys.readouterr().out


def test_the_plot_names_all_that_can_be_drawn():
    ranking = rank({"$a$": sees_colors(), "b": sees_nothing(), "c": "none"})
    (axes,) = ranking.plot().axes
    assert [text.get_text() for text in axes.texts] == ["$a$", "b"]


@pytest.mark.parametrize(
    "candidates, message",
    [
        ([], "a candidate or more"),
        ({}, "a candidate or more"),
        ("MobileNetV2", "must be a list"),
        (None, "must be a list"),
    ],
)
def test_refuses_what_are_no_candidates(candidates, message):
    with pytest.raises(ValueError, match=message):
        rank(candidates)
    with pytest.raises(ValueError, match="must be a list"):
        rank(sees_colors())


def test_refuses_data_that_tells_nothing():
    x, y = make_pictures()
    with pytest.raises(ValueError, match="two classes or more"):
        rank([sees_colors()], (x, 0 * y))
    with pytest.raises(ValueError, match="two classes or more"):
        rank([sees_colors()], (x[:1], y[:1]))
    with pytest.raises(ValueError, match="most_examples=1"):
        rank([sees_colors()], most_examples=1)
    with pytest.raises(ValueError, match="one class for each"):
        rank([sees_colors()], (x, np.ones((61, 3))))


def test_the_bundled_network_is_better_than_a_random_one():
    train, _ = kt.load_image_folder(
        PICTURES, image_size=(96, 96), verbose=False
    )
    # The data set comes in another order each time.
    x, y = next(iter(train.unbatch().batch(120)))
    data = x.numpy(), y.numpy()
    random = kt.load_backbone(
        "bundled:efficientnet_lite0", weights=None, input_shape=(96, 96, 3)
    )
    named = {"random": random, "pretrained": "bundled:efficientnet_lite0"}
    ranking = rank(named, data)
    good, bad = ranking.rows
    assert good["candidate"] == ranking.recommended == "pretrained"
    assert good["probe"] > bad["probe"] + 0.1
    assert good["log_me"] > bad["log_me"]
    assert good["parameters"] == pytest.approx(3.41, abs=0.01)
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(96, 96, 3)
    )
    images = backbone.preprocess(data[0])
    features = backbone.model.predict(images, verbose=0).mean(axis=(1, 2))
    assert good["probe"] == pytest.approx(
        fit_ridge_probe(features, data[1]).accuracy, abs=0.02
    )

"""What `fine_tune` holds a training against."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.insight import baselines as named
from keras_transfer.insight import model_baselines
from tests.recipes.test_fine_tune import small_backbone

PHASES = [kt.Phase("head", 2, 0.01), kt.Phase("all", 10, 1e-3)]
SHORT = [kt.Phase("head", 1, 0.01), kt.Phase("all", 2, 1e-3)]
SIDES = np.repeat(["left", "right"], 15)


def pictures(count=48, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    colours = 60 + 120 * np.eye(3)[labels]
    noise = random.normal(0, 20, (count, 8, 8, 3))
    return (colours[:, None, None] + noise).clip(0, 255).astype("uint8"), labels


def train(model=None, strategy=PHASES, validation=None, **options):
    model = model or kt.build_classifier(small_backbone(), 3)
    options = {"log_dir": False, "verbose": 0, "seed": 0, **options}
    validation = pictures(30, 1) if validation is None else validation
    return kt.fine_tune(
        model, pictures(), validation, strategy=strategy, **options
    )


@pytest.fixture(scope="module")
def report():
    return train(slices={"side": SIDES}).report


def test_the_report_has_them_and_the_verdict_says_what_they_mean(report):
    assert named.REGRESSION in report.baselines.right
    assert all(len(r) == 30 for r in report.baselines.right.values())
    assert "on the frozen features gives" in report.verdict
    assert "The best without what the source knows" in report.verdict
    assert report.baselines.fitted_on is None


def test_answers_are_paired_with_the_same_examples():
    # Were they not, an accuracy of 1 on some would meet others.
    x, y = pictures(30, 1)
    y = np.where(np.arange(30) < 10, 1 - y % 2, y)
    few = [kt.Phase("head", 1, 0.01)]
    report = train(strategy=few, validation=(x, y), baselines=True).report
    labels, outputs = report.answers
    assert np.array_equal(labels, y)
    assert np.array_equal(report.right, outputs.argmax(axis=1) == y)
    pixels = report.baselines.right[named.PIXELS]
    # The colours tell the class, but of those that were mislabelled.
    assert pixels[10:].mean() == 1
    assert pixels[:10].mean() == (y == np.arange(30) % 3)[:10].mean()


def test_training_is_the_same_with_and_without(tmp_path):
    """On pictures in a folder; of arrays, see `from_scratch` below."""
    make_folder(tmp_path)
    found = []
    for baselines in (True, False):
        keras.utils.set_random_seed(1)
        model = kt.build_classifier(small_backbone(), 3)
        data = kt.load_image_folder(
            tmp_path, image_size=8, batch_size=8, verbose=False
        )
        result = kt.fine_tune(
            model,
            *data,
            strategy=SHORT,
            baselines=baselines,
            log_dir=False,
            verbose=0,
            seed=0,
        )
        found.append(result)
    assert found[0].report.baselines and not found[1].report.baselines
    first, second = (result.model.get_weights() for result in found)
    assert all(map(np.array_equal, first, second))


def make_folder(folder):
    x, y = pictures()
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        path = folder / str(label) / f"{number}.png"
        keras.utils.save_img(path, image, scale=False)


def test_of_many_examples_some_are_drawn(monkeypatch):
    monkeypatch.setattr(model_baselines, "_MOST_EXAMPLES", 30)
    report = train(strategy=SHORT, baselines=True).report
    assert report.baselines.fitted_on == 30
    assert "features of 30 training examples gives" in report.verdict


def test_a_short_training_is_not_worth_the_pass():
    """Unless it is asked for, as in other tests."""
    assert train(strategy="extraction", epochs=1).report.baselines is None
    few = [kt.Phase("head", 9, 0.01), kt.Phase("top:1", 9, 1e-3)]
    assert train(strategy=few).report.baselines is None


def test_from_scratch_it_learns_as_long_and_leaves_the_model():
    keras.utils.set_random_seed(1)
    result = train(strategy=SHORT, baselines="scratch")
    right = result.report.baselines.right[named.SCRATCH]
    assert right.shape == (30,) and set(right) <= {0.0, 1.0}
    keras.utils.set_random_seed(1)
    again = train(strategy=SHORT, baselines=False)
    for one, other in zip(
        result.model.get_weights(), again.model.get_weights(), strict=True
    ):
        assert np.array_equal(one, other)


def several_labels():
    x, y = pictures()
    return x, np.eye(3, dtype=int)[y] | np.eye(3, dtype=int)[(y + 1) % 3]


def test_what_has_none_goes_without_unless_asked():
    model = kt.build_classifier(small_backbone(), 3, multi_label=True)
    data = tf.data.Dataset.from_tensor_slices(several_labels()).batch(16)

    def fit(**options):
        return kt.fine_tune(
            model,
            data,
            data,
            strategy=PHASES,
            log_dir=False,
            verbose=0,
            **options,
        )

    report = fit().report
    assert report.baselines is None and not report.is_exclusive
    assert report.right.shape == (48,)
    assert report.calibration is not None
    with pytest.raises(ValueError, match="one class for each example"):
        fit(baselines=True)


def test_slices_are_in_report_and_verdict(report):
    rows = [row for row in report.slices if row["slice"] == "side"]
    assert [row["value"] for row in rows] == ["left", "right"]
    assert rows[0]["accuracy"] == report.right[:15].mean()
    classes = [row for row in report.slices if row["slice"] == "class"]
    assert [row["examples"] for row in classes] == [10, 10, 10]


@pytest.mark.parametrize(
    "options",
    [
        {"baselines": "all"},
        {"slices": {"side": ["left"]}},
        {"slices": ["left"] * 30},
    ],
)
def test_bad_input_trains_nothing(options):
    model = kt.build_classifier(small_backbone(), 3)
    before = model.get_weights()
    with pytest.raises(ValueError, match="Received: "):
        train(model, **options)
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize("baselines", [True, "scratch"])
def test_they_need_validation_data(baselines):
    with pytest.raises(ValueError, match="validation_data"):
        kt.fine_tune(
            kt.build_classifier(small_backbone(), 3),
            pictures(),
            strategy=PHASES,
            log_dir=False,
            baselines=baselines,
        )

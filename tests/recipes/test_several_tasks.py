"""`fine_tune` with a model for several tasks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.recipes.task_scores import score_tasks
from keras_transfer.recipes.training_data import as_dataset, label_spec
from tests.callbacks.test_transfer_board import read
from tests.several_tasks import TASKS, build, dataset, examples

PHASES = [kt.Phase("head", 2, 0.05), kt.Phase("top:1", 1, 0.001)]


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_weights())


def train(folder, **options):
    watch = Watch()
    model = build(balance="uncertainty")
    result = kt.fine_tune(
        model,
        dataset(),
        dataset(seed=1),
        strategy=PHASES,
        log_dir=folder,
        callbacks=[watch],
        seed=0,
        verbose=0,
        **options,
    )
    return model, result, watch.seen


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "run"
    return *train(folder, cache=True, engine=None), folder


def test_the_weights_are_those_of_the_lowest_validation_loss(trained):
    model, result, seen, _ = trained
    best = int(np.argmin(result.history["val_loss"]))
    for weight, value in zip(model.get_weights(), seen[best], strict=True):
        np.testing.assert_array_equal(weight, value)
    assert f"those of epoch {best + 1}." in str(result.report)


def test_curves_are_the_same_without_the_cache(trained):
    model, result, _, _ = trained
    other, expected, _ = train(False, cache=False)
    assert result.history == expected.history
    assert model.task_weights() == other.task_weights()
    assert all(weight != 1 for weight in model.task_weights().values())


def test_the_report_has_a_line_for_each_task(trained, tmp_path):
    model, result, _, _ = trained
    x, y = examples(seed=1)
    outputs = model.predict(x, verbose=0)
    scores = {row["task"]: row for row in result.report.tasks}
    assert list(scores) == list(TASKS)

    known = y["colour"] >= 0
    right = outputs["colour"].argmax(axis=1) == y["colour"]
    assert scores["colour"]["value"] == pytest.approx(right[known].mean())
    most = np.bincount(y["colour"][known]).max() / known.sum()
    assert scores["colour"]["constant"] == pytest.approx(most)
    assert scores["colour"]["labels"] == known.sum()

    known = ~np.isnan(y["dark"])
    right = (outputs["dark"][:, 0] > 0.5) == y["dark"]
    assert scores["dark"]["value"] == pytest.approx(right[known].mean())

    errors = np.abs(outputs["shade"][:, 0] - y["shade"])
    assert scores["shade"]["value"] == pytest.approx(np.nanmean(errors))
    assert scores["shade"]["measure"] == "mean absolute error"
    best = min(np.nanmean(abs(y["shade"] - c)) for c in np.linspace(0, 1, 2001))
    assert scores["shade"]["constant"] == pytest.approx(best, abs=1e-3)

    known = y["tags"] >= 0
    right = (outputs["tags"] > 0.5) == y["tags"]
    assert scores["tags"]["value"] == pytest.approx(right[known].mean())
    assert scores["tags"]["labels"] == known.sum()
    shares = [y["tags"][known[:, n], n] for n in (0, 1)]
    most = sum(max(s.sum(), len(s) - s.sum()) for s in shares) / known.sum()
    assert scores["tags"]["constant"] == pytest.approx(most)

    text = str(result.report)
    assert "nan" not in text and "accuracy   epochs" not in text
    lines = [line.split() for line in text.splitlines() if line]
    value = f"{scores['shade']['value']:.3f}"
    assert any(line[0] == "shade" and value in line for line in lines)
    for name in ("page.html", "card.md", "report.txt"):
        result.report.save(tmp_path / name)
        written = (tmp_path / name).read_text()
        assert "shade" in written and value in written
        assert ">nan<" not in written and " nan " not in written


def test_the_board_has_pages_of_each_task(trained):
    *_, folder = trained
    logs = read(folder / "validation")
    for name in ("colour", "dark"):
        assert f"confusion_matrix/{name}" in logs
        assert f"epoch_{name}_accuracy" in logs
    assert "class_report/tags" in logs
    assert "epoch_shade_mean_absolute_error" in logs
    assert "task_weight/shade" in read(folder / "train")


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"strategy": "auto"}, "strategy='auto'"),
        (
            {"strategy": kt.strategies.extraction(solver="lbfgs")},
            "solver='lbfgs'",
        ),
        ({"class_weight": "balanced"}, "class_weight='balanced'"),
        ({"class_weight": {0: 2.0}}, "class_weight={0: 2.0}"),
        ({"baselines": True}, "baselines=True"),
        ({"slices": {"camera": ["a"] * 48}}, "slices={'camera'"),
    ],
)
def test_what_is_about_a_single_classifier_is_refused(options, received):
    model = build()
    with pytest.raises(
        ValueError, match=f"several tasks.*Received: {received}"
    ):
        kt.fine_tune(
            model,
            dataset(),
            dataset(seed=1),
            log_dir=False,
            **{"strategy": PHASES, **options},
        )
    assert not model.compiled


def test_labels_must_be_those_of_each_task():
    x, y = examples()
    model = build()
    for labels in (y["colour"], {"colour": y["colour"]}):
        with pytest.raises(ValueError, match="colour, dark, shade, tags"):
            kt.fine_tune(model, (x, labels), strategy="extraction")
    data = tf.data.Dataset.from_tensor_slices((x[:, :4], y)).batch(8)
    with pytest.raises(ValueError, match="another shape"):
        kt.fine_tune(model, data, strategy="extraction")
    assert not model.compiled


def test_arrays_and_other_data_have_batches_of_examples():
    x, y = examples(600)
    data = as_dataset((x, y), shuffle=True, seed=0, name="train")
    images, labels = next(iter(data))
    assert len(images) == 32 and set(labels) == set(TASKS)

    class Pairs(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return x[:4], {name: part[:4] for name, part in y.items()}

    shapes = {name: part.shape for name, part in label_spec(Pairs()).items()}
    assert shapes["tags"] == (4, 2) and shapes["dark"] == (4,)


def test_of_no_labels_there_is_no_score():
    model = build({"colour": 3, "shade": "regression"})
    answers = {
        "colour": (np.full(5, -1), np.ones((5, 3))),
        "shade": (np.full((5, 1), np.nan), np.ones((5, 1))),
    }
    for row in score_tasks(model, answers):
        assert np.isnan([row["value"], row["constant"]]).all()
        assert row["labels"] == 0

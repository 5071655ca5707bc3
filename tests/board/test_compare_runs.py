"""Runs side by side: the table and the picture."""

import io

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.board.compare_runs import compare_runs
from keras_transfer.board.read_run import Run, read_run
from tests.board.test_read_run import log_run


def make_run(folder, curves, split="validation"):
    """Make a run of curves by name, or by split and tag."""
    scalars = []
    for name, values in curves.items():
        key = name if isinstance(name, tuple) else (split, f"epoch_{name}")
        for step, value in enumerate(values):
            row = {"split": key[0], "tag": key[1]}
            scalars.append({**row, "step": step, "value": value})
    return Run(str(folder), scalars, {})


def draw(comparison) -> np.ndarray:
    file = io.BytesIO()
    comparison.plot().savefig(file)
    return tf.io.decode_png(file.getvalue(), channels=3).numpy()


def lines(figure) -> list:
    """List the curves: those drawn in the units of the data."""
    (axes,) = figure.axes
    return [
        line
        for line in axes.lines
        if line.get_transform().contains_branch(axes.transData)
    ]


def test_table_of_two_runs(tmp_path):
    first = log_run(tmp_path / "a" / "run", epochs=3)
    second = log_run(tmp_path / "b" / "run", epochs=2, phases=2, seed=1)
    run = read_run(tmp_path / "b" / "run")
    comparison = compare_runs([tmp_path / "a" / "run", run])
    assert (comparison.metric, comparison.split) == ("accuracy", "validation")
    names = ["a/run", "b/run"]
    for name, row, history in zip(
        names, comparison.table, (first, second), strict=True
    ):
        assert row["run"] == name
        assert row["epochs"] == len(history["loss"])
        expected = {
            "best": max(history["val_accuracy"]),
            "last": history["val_accuracy"][-1],
            "train_loss": history["loss"][-1],
            "validation_loss": history["val_loss"][-1],
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected)
    seconds = [
        row["value"] for row in run.scalars if row["tag"] == "speed/seconds"
    ]
    assert comparison.table[1]["seconds"] == sum(seconds)


def test_table_as_text():
    runs = [
        make_run(
            "logs/head",
            {
                "accuracy": [0.5, 0.75, 0.625],
                "loss": [2.0, 1.0, 0.001234],
                ("train", "epoch_loss"): [3.0, 2.0, 12345.6],
                ("train", "speed/seconds"): [10.0, 1.0, 1.25],
            },
        ),
        make_run("logs/everything", {"accuracy": [1.0, float("nan")]}),
    ]
    assert str(compare_runs(runs)).splitlines() == [
        "Higher validation accuracy is better:",
        "run          epochs   best accuracy   last accuracy   training loss   "
        "validation loss     time",
        "head              3           0.750           0.625        1.23e+04   "
        "        0.00123   12.2 s",
        "everything        2           1.000             nan               -   "
        "              -        -",
    ]


@pytest.mark.parametrize(
    ("metrics", "expected", "best"),
    [
        (["loss", "accuracy", "auc"], "accuracy", 3),
        (["loss", "f1", "categorical_accuracy"], "categorical_accuracy", 3),
        (["loss", "f1", "top_loss"], "f1", 3),
        (["loss", "mean_squared_error"], "mean_squared_error", 1),
        (["loss", "mae"], "mae", 1),
        (["loss", "a_loss"], "loss", 1),
    ],
)
def test_choice_of_the_metric(metrics, expected, best):
    curves = {name: [2.0, 3.0, float("nan"), 1.0] for name in metrics}
    comparison = compare_runs([make_run("a", curves)])
    assert comparison.metric == expected
    assert comparison.table[0]["best"] == best
    order = "Lower" if best == 1 else "Higher"
    assert str(comparison).startswith(f"{order} validation {expected} is")


def test_only_a_metric_that_all_have_compares_them():
    runs = [
        make_run("a", {"accuracy": [1.0], "loss": [1.0]}),
        make_run("b", {"f1": [1.0], "loss": [2.0]}),
        make_run("c", {"loss": [3.0]}, "train"),
    ]
    comparison = compare_runs(runs)
    assert comparison.metric == "loss"
    assert [row["last"] for row in comparison.table] == [1.0, 2.0, None]
    assert [row["epochs"] for row in comparison.table] == [1, 1, 1]
    assert len(lines(comparison.plot())) == 2 * 4


def test_without_validation_it_is_the_training(tmp_path):
    log_run(tmp_path / "a", validate=False)
    comparison = compare_runs([tmp_path / "a"])
    assert (comparison.metric, comparison.split) == ("accuracy", "train")
    assert comparison.table[0]["validation_loss"] is None
    assert str(comparison).startswith("Higher training accuracy is better")
    (axes,) = comparison.plot().axes
    assert axes.get_title("left") == "Training accuracy"
    assert draw(comparison).shape == (450, 800, 3)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["logs/a", "logs/b"], ["a", "b"]),
        (["x/a", "y/a", "y/b"], ["x/a", "y/a", "b"]),
        (["x/1/run", "y/1/run", "y/2/run"], ["x/1/run", "y/1/run", "2/run"]),
        (["run/", "run/run"], [None, "run/run"]),
    ],
)
def test_names_are_short_and_unambiguous(folders, names):
    runs = [make_run(folder, {"loss": [1.0]}) for folder in folders]
    table = compare_runs(runs).table
    for row, name in zip(table, names, strict=True):
        assert name is None or row["run"] == name
    assert len({row["run"] for row in table}) == len(table)


def test_what_cannot_be_compared(tmp_path):
    run = make_run("a", {"loss": [1.0]})
    for wrong in ("logs/a", tmp_path, run):
        with pytest.raises(ValueError, match="must be a list.*Received"):
            compare_runs(wrong)
    for wrong in ([], [run, run]):
        with pytest.raises(ValueError, match="one folder or more.*Received"):
            compare_runs(wrong)
    with pytest.raises(ValueError, match="A run is"):
        compare_runs([tmp_path])
    other = make_run("b", {"learning_rate": [1.0], "f1": [1.0]})
    with pytest.raises(ValueError, match="share a metric.*'epoch_f1'"):
        compare_runs([run, other])


def test_the_curves_of_the_picture(tmp_path):
    history = log_run(tmp_path, epochs=3, phases=2)
    figure = compare_runs([tmp_path]).plot()
    train, validation, best, starts = lines(figure)
    epochs = np.arange(6)
    for line, name in ((train, "accuracy"), (validation, "val_accuracy")):
        np.testing.assert_array_equal(line.get_xdata(), epochs)
        np.testing.assert_allclose(line.get_ydata(), history[name], rtol=1e-6)
    assert best.get_xdata() == np.argmax(history["val_accuracy"])
    assert starts.get_xdata() == [2.5]
    assert starts.get_ydata() == pytest.approx(
        np.mean(history["val_accuracy"][2:4])
    )
    assert len({line.get_color() for line in lines(figure)}) == 1


def test_names_do_not_overlap_and_lie_in_the_picture():
    curve = np.linspace(0.2, 0.9, 6)
    runs = [
        make_run(f"logs/{'long ' * 9}_$run$ {n}", {"accuracy": curve + n / 999})
        for n in range(12)
    ]
    figure = compare_runs(runs).plot()
    picture = draw(compare_runs(runs))
    assert picture.shape == (450, 800, 3)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts[:12]]
    assert all(box.x1 <= 800 and 0 <= box.y0 for box in boxes)
    boxes.sort(key=lambda box: box.y0)
    for lower, upper in zip(boxes, boxes[1:], strict=False):
        assert lower.y1 <= upper.y0 + 2
    # Colours come again after eight, with another marker.
    styles = {
        (line.get_color(), line.get_marker())
        for line in lines(figure)
        if line.get_markersize() == 7 and line.get_marker() != "None"
    }
    assert len(styles) == 12


@pytest.mark.parametrize(
    "values",
    [[0.5], [0.5, 0.5], [np.nan] * 2, [0.5, np.inf], [-np.inf, 0.5, np.nan]],
)
def test_pictures_of_hardly_anything(values):
    runs = [make_run(name, {"accuracy": values}) for name in "ab"]
    assert draw(compare_runs(runs)).std() > 0


def test_nothing_global_changes(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    run = make_run("a", {"accuracy": [0.1, 0.2]})
    draw(compare_runs([run, make_run("b", {"accuracy": [0.3]})]))
    assert dict(matplotlib.rcParams) == before

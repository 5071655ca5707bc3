"""The numbers of a report as tables of text."""

import datetime

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.board.wilson_interval import wilson_interval
from keras_transfer.insight.baselines import Baselines
from keras_transfer.recipes.report import Report

THIS_MODEL = "this model"
WORSE = "worse"
_MARKS = "against the rest"


def name_report(report: Report) -> str:
    """Name what a report is about: the model and how it was trained."""
    known = (report.settings.get(key) for key in ("model", "strategy"))
    return ", ".join(f"{value}" for value in known if value) or "A training"


def find_interval(report: Report) -> tuple[float, float] | None:
    """Compute the 95 % interval of the accuracy, as in the verdict.

    Args:
        report: The report.

    Returns:
        The lower and the upper end, or `None` where nothing was measured.
    """
    if not report.examples or np.isnan(report.accuracy):
        return None
    return wilson_interval(report.accuracy, report.examples)


def phase_table(report: Report) -> list[tuple[str, ...]]:
    """List the phases, from before the first to after the last.

    Args:
        report: The report.

    Returns:
        Rows of text, as have the other tables: the first one names the
        columns, and the first of each row names what it is about. Without
        rows where there is nothing to tell.
    """
    before = _score(report.accuracy_before)
    rows = [("", "accuracy", "epochs", "time", "trainable weights")]
    rows.append(("before training", before, "", "", ""))
    for phase in report.phases:
        live, total = phase.trainable
        rows.append(
            (
                f"after {phase.name}",
                _score(phase.accuracy),
                str(phase.epochs),
                f"{phase.seconds:.1f} s",
                f"{live:,} of {total:,}",
            )
        )
    if np.isnan([report.accuracy_before, report.accuracy]).all():
        rows = [row[:1] + row[2:] for row in rows]
    return rows


def task_table(report: Report) -> list[tuple[str, ...]]:
    """List the tasks of a model with several, as in `phase_table`."""
    rows = [
        (
            row["task"],
            row["measure"],
            _score(row["value"]),
            _score(row["constant"]),
            f"{row['labels']:,}",
        )
        for row in report.tasks
    ]
    header = ("task", "measure", "value", "best constant answer", "labels")
    return [header, *rows] if rows else []


def compare_rows(report: Report) -> list[dict]:
    """List the model among its baselines, the best first.

    Args:
        report: The report.

    Returns:
        For each a dict as in `Baselines.rows`, and `"gain"`: by how much this
        model is better, and the 95 % interval of that on the examples that
        both answer; `None` for the model itself. Empty where there are no
        baselines.
    """
    known, interval = report.baselines, find_interval(report)
    if known is None or interval is None or report.right is None:
        return []
    right = {THIS_MODEL: np.asarray(report.right, "float64"), **known.right}
    both = Baselines(right, known.measured_on, known.seconds)
    rows = [
        {**row, "gain": both.gain(THIS_MODEL, row["baseline"])}
        for row in known.rows
    ]
    rows.append(
        {
            "baseline": THIS_MODEL,
            "accuracy": report.accuracy,
            "low": interval[0],
            "high": interval[1],
            "examples": report.examples,
            "gain": None,
        }
    )
    # Of equals this model comes first.
    rows.sort(key=lambda row: (-row["accuracy"], row["baseline"] != THIS_MODEL))
    return rows


def baseline_table(report: Report) -> list[tuple[str, ...]]:
    """List the model among its baselines, as in `phase_table`."""
    rows = [
        (
            row["baseline"],
            _score(row["accuracy"]),
            _interval(row["low"], row["high"]),
            _gain(row["gain"]),
        )
        for row in compare_rows(report)
    ]
    header = ("", "accuracy", "95 %", f"{THIS_MODEL} gains (95 %)")
    return [header, *rows] if rows else []


def class_table(report: Report) -> list[tuple[str, ...]]:
    """List the classes, as in `phase_table`.

    Where the report has the slices by class, their intervals and marks stand
    beside the recall, which is the accuracy of that slice.
    """
    if not report.classes:
        return []
    parts = _class_parts(report)
    header = ["class", "examples", "precision", "recall", "F1"]
    if parts:
        header[4:4] = ["recall, 95 %"]
        header += [_MARKS]
    rows = []
    for row in report.classes:
        cells = [row["class"], f"{row['support']:,}"]
        cells += [_score(row[key]) for key in ("precision", "recall", "f1")]
        if parts:
            part = parts.get(row["class"])
            cells[4:4] = [_interval(part["low"], part["high"]) if part else "–"]
            cells += [WORSE if part and part["worse"] else ""]
        rows.append(tuple(cells))
    return _without_marks([tuple(header), *rows])


def slice_table(report: Report) -> list[tuple[str, ...]]:
    """List the slices that are not in `class_table`, as in `phase_table`."""
    shown = report.slices
    if _class_parts(report):
        shown = [row for row in shown if row["slice"] != "class"]
    rows = [
        (
            f"{row['slice']}: {row['value']}",
            f"{row['examples']:,}",
            _score(row["accuracy"]),
            _interval(row["low"], row["high"]),
            WORSE if row["worse"] else "",
        )
        for row in shown
    ]
    header = ("slice", "examples", "accuracy", "95 %", _MARKS)
    return _without_marks([header, *rows]) if rows else []


def calibration_table(report: Report) -> list[tuple[str, ...]]:
    """List what a temperature would change, as in `phase_table`."""
    known = report.calibration
    if known is None:
        return []
    return [
        ("", "as trained", f"at temperature {known.temperature:.2f}"),
        (
            "expected calibration error",
            _score(known.error_before),
            _score(known.error_after),
        ),
        (
            "mean crossentropy",
            _score(known.loss_before),
            _score(known.loss_after),
        ),
    ]


def setting_table(report: Report) -> list[tuple[str, ...]]:
    """List how the model was trained, and with what, as in `phase_table`."""
    import keras_transfer

    rows = [
        (name.replace("_", " "), f"{value}")
        for name, value in report.settings.items()
    ]
    rows += [
        ("keras_transfer", keras_transfer.__version__),
        ("Keras", keras.__version__),
        ("TensorFlow", tf.__version__),
    ]
    if report.log_dir is not None:
        rows.append(("logs", f"{report.log_dir}"))
    rows.append(("report written", datetime.date.today().isoformat()))
    return [("setting", "value"), *rows]


def _class_parts(report) -> dict[str, dict]:
    """Find the slices by class, unless a user calls something else so."""
    parts = {r["value"]: r for r in report.slices if r["slice"] == "class"}
    counts = {row["class"]: row["support"] for row in report.classes}
    counts = {name: count for name, count in counts.items() if count}
    sizes = {name: part["examples"] for name, part in parts.items()}
    return parts if sizes == counts else {}


def _without_marks(rows) -> list[tuple[str, ...]]:
    """Leave the column of marks out where there are none."""
    if rows[0][-1] != _MARKS or any(row[-1] for row in rows[1:]):
        return rows
    return [row[:-1] for row in rows]


def _score(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def _gain(gain) -> str:
    if gain is None:
        return ""
    mean, low, high = gain
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"

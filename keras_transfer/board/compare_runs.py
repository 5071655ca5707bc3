"""Trainings side by side, without a browser."""

import dataclasses
import os
from collections.abc import Iterable, Sequence

import numpy as np

from keras_transfer.board.metric_direction import is_cost
from keras_transfer.board.read_run import Run, read_run
from keras_transfer.board.run_figure import (
    SPLITS,
    draw_runs,
    find_best,
    find_curve,
)

# What Keras logs beside the metrics.
_NO_METRICS = {"learning_rate", "steps_per_second"}


@dataclasses.dataclass(frozen=True, eq=False)
class RunComparison:
    """Some trainings side by side, from `compare_runs`.

    It prints as a table: `print(comparison)`.

    Attributes:
        runs: A tuple of `Run`.
        metric: What they are judged by, such as `"accuracy"`.
        split: What data it was measured on: `"validation"`, or `"train"` if
            no run has validation data.
        table: A list of dicts, one a run, with the keys `"run"` (its name),
            `"epochs"` (their number), `"best"` and `"last"` (of the metric),
            `"train_loss"` and `"validation_loss"` (the last) and `"seconds"`
            (in total). What a run did not log is `None`.
    """

    runs: tuple[Run, ...]
    metric: str
    split: str
    table: list[dict]

    def plot(self):
        """Draw the metric over the epochs, with one line a run.

        Training is dashed. A tick is where a phase starts, the marker is at
        the best value. No display is needed and matplotlib's backend stays as
        it is.

        Example:

        ```python
        comparison.plot().savefig("runs.png")
        ```

        Returns:
            A `matplotlib.figure.Figure` of 800 by 450 pixels.
        """
        return draw_runs(self.runs, self.table, self.metric, self.split)

    def __str__(self) -> str:
        columns = {
            "run": "run",
            "epochs": "epochs",
            "best": f"best {self.metric}",
            "last": f"last {self.metric}",
            "train_loss": "training loss",
            "validation_loss": "validation loss",
            "seconds": "time",
        }
        rows = [list(columns.values())]
        for row in self.table:
            rows.append([_format(key, row[key]) for key in columns])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        order = "Lower" if is_cost(self.metric) else "Higher"
        lines = [f"{order} {SPLITS[self.split]} {self.metric} is better:"]
        for first, *others in rows:
            cells = map(str.rjust, others, widths[1:])
            lines.append("   ".join([first.ljust(widths[0]), *cells]).rstrip())
        return "\n".join(lines)

    __repr__ = __str__


def compare_runs(log_dirs: Iterable[str | os.PathLike | Run]) -> RunComparison:
    """Compare trainings by what they logged: a table and a picture.

    They are judged by the validation accuracy; where there is none, by the
    first other metric that they share; and where there is none, by the loss.
    Less is better if the metric's name says that it is a loss or an error.

    Example:

    ```python
    comparison = kt.compare_runs(["logs/head", "logs/all"])
    print(comparison)
    comparison.plot().savefig("runs.png")
    pandas.DataFrame(comparison.table)
    ```

    Args:
        log_dirs: A list of folders, each of one run, or of `Run`s from
            `read_run`.

    Returns:
        A `RunComparison` with `table` and `plot()`. A run is named by as much
        of the end of its folder's path as tells it from the others.

    Raises:
        ValueError: If this is no list of runs, a folder is no run or is given
            twice, or the runs share no metric.
    """
    if isinstance(log_dirs, str | os.PathLike | Run):
        raise ValueError(
            "`log_dirs` must be a list: `compare_runs([folder, ...])`. "
            f"Received: log_dirs={log_dirs!r}"
        )
    runs = tuple(
        run if isinstance(run, Run) else read_run(run) for run in log_dirs
    )
    names = _name_runs([run.log_dir for run in runs])
    metric, split = _choose_metric(runs)
    table = [
        _summarize(run, name, metric, split)
        for run, name in zip(runs, names, strict=True)
    ]
    return RunComparison(runs, metric, split, table)


def _name_runs(folders: Sequence[str]) -> list[str]:
    paths = [os.path.abspath(folder).split(os.sep) for folder in folders]
    if not paths or len(set(map(tuple, paths))) < len(paths):
        raise ValueError(
            "`log_dirs` must be one folder or more, each of them once. "
            f"Received: log_dirs={list(folders)}"
        )
    names = []
    for path in paths:
        others = [other for other in paths if other is not path]
        length = 1
        while any(path[-length:] == other[-length:] for other in others):
            length += 1
        names.append("/".join(path[-length:]))
    return names


def _choose_metric(runs: Sequence[Run]) -> tuple[str, str]:
    for split in SPLITS:
        shared = [found for run in runs if (found := _metrics(run, split))]
        common = set.intersection(*shared) if shared else ()
        if common:
            return min(common, key=_rank), split
    found = {run.log_dir: run.tags for run in runs}
    raise ValueError(
        "The runs must share a metric, logged as `epoch_...` in `train` or "
        f"`validation`. Received: log_dirs with the curves {found}"
    )


def _metrics(run: Run, split: str) -> set[str]:
    tags = run.tags.get(split, ())
    epoch = {tag[6:] for tag in tags if tag.startswith("epoch_")}
    return epoch - _NO_METRICS


def _rank(metric: str) -> tuple:
    return (
        metric != "accuracy",
        not metric.endswith(("accuracy", "acc")),
        "loss" in metric,
        # Those of single outputs come after the loss of all.
        metric != "loss",
        metric,
    )


def _summarize(run: Run, name: str, metric: str, split: str) -> dict:
    _, values = find_curve(run, f"epoch_{metric}", split)
    _, train_loss = find_curve(run, "epoch_loss", "train")
    _, validation_loss = find_curve(run, "epoch_loss", "validation")
    _, seconds = find_curve(run, "speed/seconds", "train")
    best = find_best(values, metric)
    return {
        "run": name,
        "epochs": max(len(train_loss), len(values)),
        "best": None if best is None else float(values[best]),
        "last": _last(values),
        "train_loss": _last(train_loss),
        "validation_loss": _last(validation_loss),
        "seconds": float(seconds.sum()) if len(seconds) else None,
    }


def _last(values: np.ndarray) -> float | None:
    return float(values[-1]) if len(values) else None


def _format(key: str, value) -> str:
    if value is None:
        return "-"
    if key in ("run", "epochs"):
        return str(value)
    if key == "seconds":
        return f"{value:.1f} s"
    plain = value == 0 or 1e-2 <= abs(value) < 1e4
    return f"{value:.3f}" if plain else f"{value:.3g}"

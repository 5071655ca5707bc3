"""Read back what a training logged, without a browser."""

import dataclasses
import glob
import os
from collections.abc import Iterator

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import (
    EventFileLoader,
)
from tensorboard.util import tensor_util

_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Run:
    """What a training logged, from `read_run`.

    Attributes:
        log_dir: Its folder, as given.
        scalars: A list of dicts with the keys `"split"` (`"train"`,
            `"validation"`, another folder in the run, or `""` for the run's
            own), `"tag"`, `"step"` and `"value"`, in order of the first three.
        texts: From each tag to its last text, in markdown.
    """

    log_dir: str
    scalars: list[dict] = dataclasses.field(repr=False)
    texts: dict[str, str] = dataclasses.field(repr=False)

    @property
    def tags(self) -> dict[str, list[str]]:
        """The tags of the scalars in each split."""
        found = {}
        for row in self.scalars:
            found.setdefault(row["split"], {})[row["tag"]] = None
        return {split: list(tags) for split, tags in found.items()}

    def curve(
        self, tag: str, split: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return one curve.

        Example:

        ```python
        epochs, accuracy = run.curve("epoch_accuracy", "validation")
        ```

        Args:
            tag: As TensorBoard shows it.
            split: Where it was measured. May be left out for a tag that is in
                one split only.

        Returns:
            The steps and the values: two arrays, in order of the steps.

        Raises:
            ValueError: If there is no such curve, or there are several.
        """
        splits = [name for name, tags in self.tags.items() if tag in tags]
        if split is not None:
            splits = [name for name in splits if name == split]
        if len(splits) != 1:
            raise self._no_curve(tag, split, splits)
        points = [
            (row["step"], row["value"])
            for row in self.scalars
            if row["tag"] == tag and row["split"] == splits[0]
        ]
        steps, values = zip(*points, strict=True)
        return np.array(steps), np.array(values)

    def _no_curve(self, tag, split, splits) -> ValueError:
        problem = f"The curves that there are, by split: {self.tags}"
        if splits:
            problem = f"This curve is in several splits. Choose one of {splits}"
        return ValueError(f"{problem}. Received: tag={tag!r}, split={split!r}")


def read_run(log_dir: str | os.PathLike) -> Run:
    """Read the curves and texts that a training logged.

    That is what `TransferBoard`, or any other writer of TensorBoard's event
    files, wrote to a folder and the folders in it. Pictures are passed over.
    Of a file that a crash left broken, all before the break is read. Where a
    training wrote a step twice, as it does when it goes on after a crash, the
    value that was written last counts.

    Example:

    ```python
    run = kt.read_run("logs/flowers")
    print(run.texts["class_report"])
    pandas.DataFrame(run.scalars)
    ```

    Args:
        log_dir: The folder of one run.

    Returns:
        A `Run` with `scalars`, `texts`, `tags` and `curve()`.

    Raises:
        ValueError: If the folder is missing or no run.
    """
    log_dir = os.fspath(log_dir)
    splits = _find_event_files(log_dir)
    if not splits:
        raise _no_run(log_dir)
    points, texts = {}, {}
    for split, files in splits.items():
        for file in files:
            for time, step, tag, value in _read_values(file):
                if isinstance(value, str):
                    _keep_last(texts, tag, time, value)
                else:
                    _keep_last(points, (split, tag, step), time, value)
    scalars = [
        {"split": split, "tag": tag, "step": step, "value": value}
        for (split, tag, step), (_, value) in sorted(points.items())
    ]
    return Run(
        log_dir, scalars, {tag: text for tag, (_, text) in texts.items()}
    )


def _find_event_files(log_dir: str) -> dict[str, list[str]]:
    """Find the files of each split."""
    if not os.path.isdir(log_dir):
        return {}
    with os.scandir(log_dir) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir())
    found = {}
    for split in ("", *folders):
        with os.scandir(os.path.join(log_dir, split)) as entries:
            files = sorted(
                entry.path
                for entry in entries
                if "tfevents" in entry.name and entry.is_file()
            )
        if files:
            found[split] = files
    return found


def _read_values(file: str) -> Iterator[tuple[float, int, str, float | str]]:
    """Give the time, step and tag of each scalar and text, and its value."""
    kinds = {}
    for event in EventFileLoader(file).Load():
        for value in event.summary.value:
            # Some writers name the kind with a tag's first value only.
            kind = kinds.setdefault(
                value.tag, value.metadata.plugin_data.plugin_name
            )
            if kind not in ("scalars", "text"):
                continue
            array = tensor_util.make_ndarray(value.tensor).ravel()
            if kind == "text":
                found = "\n\n".join(
                    part.decode(errors="replace") for part in array
                )
            elif array.size == 1:
                found = float(array[0])
            else:
                continue
            yield event.wall_time, event.step, value.tag, found


def _keep_last(found: dict, key, time: float, value) -> None:
    # By time, as the names of files need not be in the order of writing.
    if key not in found or time >= found[key][0]:
        found[key] = time, value


def _no_run(log_dir: str) -> ValueError:
    if not os.path.isdir(log_dir):
        problem = "which is no folder"
    else:
        problem = "where there are none"
        runs = _find_runs_below(log_dir)
        if runs:
            named = ", ".join(map(repr, runs[:_MOST_NAMED]))
            rest = len(runs) - _MOST_NAMED
            more = f" and {rest} more" if rest > 0 else ""
            problem = f"with runs in folders of their own: {named}{more}"
    return ValueError(
        "A run is the folder that was the `log_dir` of a `TransferBoard`: it, "
        "or the folders `train` and `validation` in it, hold event files "
        f"(`events.out.tfevents...`). Received: log_dir={log_dir!r}, {problem}"
    )


def _find_runs_below(log_dir: str) -> list[str]:
    found = set()
    for depth in (1, 2):
        pattern = os.path.join(
            glob.escape(log_dir), *["*"] * depth, "*", "*tfevents*"
        )
        for file in glob.iglob(pattern):
            found.add(os.path.dirname(os.path.dirname(file)))
    return sorted(found)

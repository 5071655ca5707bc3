"""The short report at the end of a training."""

import dataclasses
import os

import numpy as np

from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.calibrate import Calibration
from keras_transfer.insight.training_signs import describe_signs
from keras_transfer.insight.verdict import (
    describe_accuracy,
    describe_gain,
    describe_slices,
    describe_transfer,
)


@dataclasses.dataclass(frozen=True)
class PhaseRecord:
    """What came of one phase.

    Attributes:
        name: Name of the phase.
        epochs: Number of epochs that were run.
        seconds: How long it took, validation included.
        accuracy: Accuracy of the model at its end, in [0, 1].
        trainable: How many numbers trained, and how many there are.
    """

    name: str
    epochs: int
    seconds: float
    accuracy: float
    trainable: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Report:
    """Accuracy before, after each phase and per class; times; logs.

    It prints as text: `print(result.report)`.

    Attributes:
        measured_on: What the accuracies were measured on: `"validation"` or,
            for want of it, `"training"` data (its first 512 examples).
        accuracy_before: Accuracy before training, in [0, 1].
        phases: A tuple of `PhaseRecord`.
        classes: For each class a dict with the keys `"class"`, `"precision"`,
            `"recall"`, `"f1"` (NaN where no example decides it) and
            `"support"`, after training.
        weights: A sentence on which weights the model has; empty if they are
            just the last.
        log_dir: Folder of the logs, or `None`.
        examples: How many examples the accuracies were measured on; 0 if that
            is not known.
        is_exclusive: Whether each example has one class.
        answers: The labels of these examples, and the probabilities
            `(examples, outputs)` that the model gives them; or `None`.
        right: Whether each of them was answered rightly (all of it, where it
            has several classes), or `None`.
        history: As `History.history`.
        baselines: What can be had without training, measured on the same
            examples, or `None`.
        calibration: How sure the model is, and should be, or `None`.
        slices: The accuracy on each part of the examples, from `slice_rows`.
        settings: How it was trained, by name.
        forgetting: What a `ForgettingMonitor` says of an old task, or "".
        tasks: For a model with several tasks, how good it is at each, from
            `score_tasks`. Its accuracies, which would be of one, are NaN.
    """

    measured_on: str
    accuracy_before: float
    phases: tuple[PhaseRecord, ...]
    classes: list[dict]
    weights: str
    log_dir: str | None
    examples: int = 0
    is_exclusive: bool = True
    answers: tuple[np.ndarray, np.ndarray] | None = None
    right: np.ndarray | None = None
    history: dict = dataclasses.field(default_factory=dict)
    baselines: Baselines | None = None
    calibration: Calibration | None = None
    slices: list[dict] = dataclasses.field(default_factory=list)
    settings: dict = dataclasses.field(default_factory=dict)
    forgetting: str = ""
    tasks: list[dict] = dataclasses.field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Sentences on what the accuracy is worth, and what gave it."""
        supports = {row["class"]: row["support"] for row in self.classes}
        sentences = describe_accuracy(
            self.accuracy,
            self.examples,
            supports if self.is_exclusive else None,
            self.measured_on,
            is_chosen=bool(self.weights),
        )
        if self.baselines is not None:
            sentences += describe_transfer(self.right, self.baselines)
        if len(self.phases) > 1:
            first = self.phases[0].accuracy
            sentences.append(describe_gain(first, self.accuracy, self.examples))
        sentences += describe_signs(
            self.history,
            [(phase.name, phase.epochs) for phase in self.phases],
            self.examples,
        )
        if self.calibration is not None:
            sentences.append(f"{self.calibration} `kt.calibrate` applies it.")
        sentences += describe_slices(self.slices)
        sentences.append(self.forgetting)
        return "\n".join(sentence for sentence in sentences if sentence)

    @property
    def accuracy(self) -> float:
        """Accuracy after training, in [0, 1]."""
        return self.phases[-1].accuracy

    def save(self, path: str | os.PathLike) -> None:
        """Write the report to a file, in the form that its name calls for.

        `.html` or `.htm` is a page with figures, which needs no other file
        and no network; `.md` a model card in Markdown (Mitchell et al. 2019,
        arXiv:1810.03993), with lines to be completed by hand; and any other
        name the text that is printed.

        Args:
            path: The file; it is replaced if it exists.
        """
        # These import reports themselves.
        from keras_transfer.recipes.model_card import make_card
        from keras_transfer.recipes.report_page import make_page

        suffix = os.path.splitext(os.fsdecode(path))[1].lower()
        forms = {".html": make_page, ".htm": make_page, ".md": make_card}
        text = forms.get(suffix, str)(self)
        # Names of folders may hold what is no text.
        with open(
            path, "w", encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(f"{text}\n")

    def __str__(self) -> str:
        parts = [
            self._phase_table(),
            self._task_table(),
            self._class_table(),
            self.verdict,
            self._notes(),
        ]
        return "\n\n".join(part for part in parts if part)

    __repr__ = __str__

    def _phase_table(self) -> str:
        rows = [("", "accuracy", "epochs", "time", "trainable")]
        rows.append(
            ("before training", f"{self.accuracy_before:.3f}", "", "", "")
        )
        for phase in self.phases:
            live, total = phase.trainable
            rows.append(
                (
                    f"after {phase.name}",
                    f"{phase.accuracy:.3f}",
                    str(phase.epochs),
                    f"{phase.seconds:.1f} s",
                    f"{live:,} of {total:,}",
                )
            )
        if self.tasks:
            rows = [row[:1] + row[2:] for row in rows if row[2]]
            return _table(rows)
        return f"On {self.measured_on} data:\n{_table(rows)}"

    def _task_table(self) -> str:
        rows = [("task", "measure", "value", "best constant answer", "labels")]
        for row in self.tasks:
            scores = [_score(row[key]) for key in ("value", "constant")]
            count = f"{row['labels']:,}"
            rows.append((row["task"], row["measure"], *scores, count))
        text = f"On {self.measured_on} data:\n{_table(rows)}"
        return text if self.tasks else ""

    def _class_table(self) -> str:
        rows = [("class", "precision", "recall", "F1", "examples")]
        for row in self.classes:
            scores = [_score(row[key]) for key in ("precision", "recall", "f1")]
            rows.append((row["class"], *scores, str(row["support"])))
        return _table(rows) if self.classes else ""

    def _notes(self) -> str:
        notes = []
        if self.weights:
            notes.append(self.weights)
        if self.log_dir is not None:
            notes.append(f'Logs: tensorboard --logdir "{self.log_dir}"')
        return "\n".join(notes)


def _score(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _table(rows: list[tuple]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [
            cell.rjust(width)
            for cell, width in zip(others, widths[1:], strict=True)
        ]
        lines.append("   ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)

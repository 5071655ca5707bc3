"""The short report at the end of a training."""

import dataclasses
import os

import numpy as np

from keras_transfer.recipes.verdict import describe_verdict


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
    """

    measured_on: str
    accuracy_before: float
    phases: tuple[PhaseRecord, ...]
    classes: list[dict]
    weights: str
    log_dir: str | None
    examples: int = 0

    @property
    def verdict(self) -> str:
        """Sentences on what the accuracy is worth, and what gave it."""
        supports = {row["class"]: row["support"] for row in self.classes}
        is_exclusive = sum(supports.values()) == self.examples
        return describe_verdict(
            [phase.accuracy for phase in self.phases],
            self.examples,
            supports if is_exclusive else None,
            self.measured_on,
            is_chosen=bool(self.weights),
        )

    @property
    def accuracy(self) -> float:
        """Accuracy after training, in [0, 1]."""
        return self.phases[-1].accuracy

    def save(self, path: str | os.PathLike) -> None:
        """Write the report to a text file.

        Args:
            path: The file; it is replaced if it exists.
        """
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{self}\n")

    def __str__(self) -> str:
        parts = [
            self._phase_table(),
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
        return f"On {self.measured_on} data:\n{_table(rows)}"

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

"""What `recommend` returns: what to train, and why."""

import dataclasses
from collections.abc import Mapping

from keras_transfer.board.wilson_interval import wilson_interval
from keras_transfer.freezing.phase import Phase

_FEW, _ENOUGH = 10, 100  # examples of a class
_NEAR, _FAR = 0.65, 0.85  # of the distance of noise
_HARDEST = 3
_COLUMNS = ("train", "experience", "trial", "expected", "s/step")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a recommendation rests on.

    Attributes:
        examples: Number of training examples.
        classes: Number of classes.
        most_frequent: The share of the most frequent class.
        head_accuracy: Accuracy of a head on frozen features, in [0, 1], on
            examples that it was not trained on.
        judged_on: How many examples that is from.
        distance: How far inside of the network the examples are from what it
            was trained on (`measure_distance`), as a share of how far noise
            is; `None` where that is not known.
        gradients: The norm of the loss's gradient over that of the weights,
            for each layer group (`relative_gradient_norms`).
        steps: Length of a trial.
    """

    examples: int
    classes: int
    most_frequent: float
    head_accuracy: float
    judged_on: int
    distance: float | None
    gradients: Mapping[str, float]
    steps: int

    @property
    def per_class(self) -> float:
        """Training examples of a class, on average."""
        return self.examples / self.classes


@dataclasses.dataclass(frozen=True, eq=False)
class Recommendation:
    """What to train of a model, and why.

    It prints as text: `print(recommendation)`. For pandas:
    `pandas.DataFrame(recommendation.rows)`.

    Attributes:
        train: What to train after the head, as for `set_trainable`:
            `"head"`, `"top:N"` or `"all"`.
        groups: How many layer groups below the head that is.
        groups_in_all: How many there are.
        learning_rate: The rate for them.
        strategy: The name of the strategy in `kt.strategies`.
        phases: The list of `Phase` to pass to `fine_tune`.
        seconds: How long they will take, roughly, without the head.
        rows: A list of dicts, one for each choice, with the keys `"train"`,
            `"groups"`; `"prior"`, `"trial"` (`None` for `"head"`) and
            `"expected"`, tuples of the gain in accuracy over the head alone
            and its standard error, by experience, according to a short
            training, and by both; `"seconds"` (a step); and `"possible"`
            (within the budget).
        evidence: The `Evidence`.
    """

    train: str
    groups: int
    groups_in_all: int
    learning_rate: float
    strategy: str
    phases: list[Phase]
    seconds: float
    rows: list[dict]
    evidence: Evidence

    def __str__(self) -> str:
        parts = [
            self._say_what(),
            "",
            *(f"- {sentence}" for sentence in self._say_why()),
            "",
            *self._format_table(),
        ]
        return "\n".join(parts)

    __repr__ = __str__

    def _say_what(self) -> str:
        if not self.groups:
            return (
                "Recommended: train the head alone, and leave the "
                f"{self.groups_in_all} layer groups below it frozen."
            )
        what = (
            f"all {self.groups} layer groups below it"
            if self.groups == self.groups_in_all
            else f"the top {self.groups} of the {self.groups_in_all} layer "
            "groups below it"
        )
        return (
            f"Recommended: train the head, then it and {what}, at a learning "
            f"rate of {self.learning_rate:g} (about {self.seconds:.0f} s)."
        )

    def _say_why(self) -> list[str]:
        known = self.evidence
        return [
            _say_amount(known),
            _say_head(known),
            *_say_distance(known),
            *_say_gradients(known),
            self._say_expected(),
        ]

    def _say_expected(self) -> str:
        chosen = next(r for r in self.rows if r["train"] == self.train)
        best = max(self.rows, key=lambda row: row["expected"])
        if not self.groups:
            return (
                "Nothing deeper is expected to do better by half a point: the "
                f'best, "{best["train"]}", by {_points(best["expected"])}.'
            )
        text = (
            f"This is expected to change the accuracy of the head alone by "
            f"{_points(chosen['expected'])}: by experience with such data "
            f"{_points(chosen['prior'])}, and by a trial of "
            f"{self.evidence.steps} steps {_points(chosen['trial'])}."
        )
        if best is not chosen and best["possible"]:
            text += f' "{best["train"]}" is not worth the time it takes.'
        elif best is not chosen:
            text += f' "{best["train"]}" would take too long.'
        return text

    def _format_table(self) -> list[str]:
        cells = [_COLUMNS]
        for row in self.rows:
            cells.append(
                (
                    row["train"] + ("" if row["possible"] else " (too slow)"),
                    _points(row["prior"]),
                    _points(row["trial"]) if row["trial"] else "–",
                    _points(row["expected"]),
                    f"{row['seconds']:.2g}",
                )
            )
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return [
            "Gain over the head alone, in points, ± one standard error:",
            *(
                "   ".join(
                    [
                        first.ljust(widths[0]),
                        *map(str.rjust, others, widths[1:]),
                    ]
                )
                for first, *others in cells
            ),
        ]


def _points(estimate: tuple[float, float]) -> str:
    mean, error = estimate
    return f"{100 * mean:+.1f} ± {100 * error:.1f}"


def _say_amount(known: Evidence) -> str:
    count = known.per_class
    if count < _FEW:
        means = "so few that deep layers can hardly be judged by them"
    elif count < _ENOUGH:
        means = "few, but enough to change deep layers a little"
    else:
        means = "enough to train deep layers"
    return (
        f"There are {count:.0f} examples of each of {known.classes} classes on "
        f"average: {means}."
    )


def _say_head(known: Evidence) -> str:
    low, high = wilson_interval(known.head_accuracy, known.judged_on)
    return (
        "A head on what the network knows already, frozen, is right about "
        f"{known.head_accuracy:.0%} of {known.judged_on:,} examples ({low:.0%} "
        f"to {high:.0%}); always answering the most frequent class would be "
        f"about {known.most_frequent:.0%}."
    )


def _say_distance(known: Evidence) -> list[str]:
    if known.distance is None:
        return []
    if known.distance < _NEAR:
        means = "like what it was trained on, so little has to change"
    elif known.distance < _FAR:
        means = "somewhat unlike what it was trained on"
    else:
        means = "unlike anything it was trained on, so much has to change"
    return [
        f"Inside of the network, they look {means}: {known.distance:.0%} as "
        "far from it as noise (BatchNorm's statistics)."
    ]


def _say_gradients(known: Evidence) -> list[str]:
    below = {n: norm for n, norm in known.gradients.items() if n != "head"}
    if not below:
        return []
    hardest = sorted(below, key=below.get, reverse=True)[:_HARDEST]
    names = list(below)
    middle = sum(map(names.index, hardest)) / len(hardest) / len(names)
    where = "near the top" if middle > 2 / 3 else "in the middle"
    if middle < 1 / 3:
        where = "near the input"
    return [
        "For their size, the layer groups that the task pulls at hardest are "
        f"{', '.join(hardest)}: {where}."
    ]

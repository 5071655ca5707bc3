"""What a model with several heads is asked for: its tasks."""

import dataclasses
import re
from collections.abc import Mapping

from keras_transfer.builders.heads import count_classes

# What layers of a model around a backbone are called already.
_TAKEN = (
    "augmentation",
    "backbone",
    "head",
    "head_dropout",
    "head_pooling",
    "input",
    "preprocessing",
    "task_balance",
)


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing that a model tells of each example.

    Attributes:
        name: What its head, its output and its labels are called.
        kind: `"classes"`, one of several; `"binary"`, yes or no;
            `"multi_label"`, several of these; or `"regression"`, a number.
        units: Number of values that its head gives for an example.
        class_names: Names of the classes; `None` where they have none.
    """

    name: str
    kind: str
    units: int
    class_names: tuple[str, ...] | None = None


def read_tasks(tasks: Mapping) -> tuple[Task, ...]:
    """Read the `tasks` argument of `build_multitask`.

    Args:
        tasks: By the name of each task a number of classes, a list of their
            names, `"binary"`, `"regression"` or `("multi_label", names)`.

    Returns:
        A tuple of `Task`, in the order of the dictionary.

    Raises:
        ValueError: If it is something else, or a name cannot be that of a
            layer.
    """
    if not isinstance(tasks, Mapping) or not tasks:
        raise ValueError(
            "`tasks` must be a dictionary with something to tell by the name "
            'of each task, such as {"species": 12, "age": "regression"}. '
            f"Received: tasks={tasks!r}"
        )
    for name in tasks:
        if not isinstance(name, str) or not re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9_.-]*", name
        ):
            raise ValueError(
                "The name of a task becomes that of a layer: letters, digits, "
                '"_", "-" and ".", with a letter or digit first. '
                f"Received: tasks with the name {name!r}"
            )
        if name in _TAKEN:
            raise ValueError(
                "The model has a layer of that name already; call the task "
                f"something else than {', '.join(_TAKEN)}. "
                f"Received: tasks with the name {name!r}"
            )
    return tuple(_read_task(name, wanted) for name, wanted in tasks.items())


def _read_task(name: str, wanted) -> Task:
    if wanted == "binary" and isinstance(wanted, str):
        return Task(name, "binary", 1, (f"not {name}", name))
    if wanted == "regression" and isinstance(wanted, str):
        return Task(name, "regression", 1)
    kind, classes = "classes", wanted
    if isinstance(wanted, tuple) and wanted[:1] == ("multi_label",):
        kind, classes = "multi_label", wanted[1] if len(wanted) == 2 else None
    try:
        units, names = count_classes(classes)
    except ValueError:
        units, names = 0, None
    if units < (2 if kind == "classes" else 1):
        raise ValueError(
            "A task is a number of classes, 2 or more, a list of their names, "
            '"binary", "regression", or ("multi_label", names). '
            f"Received: tasks={{{name!r}: {wanted!r}}}"
        )
    return Task(name, kind, units, names and tuple(names))

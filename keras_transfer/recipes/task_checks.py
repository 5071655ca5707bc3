"""What `fine_tune` cannot do with a model for several tasks."""

from keras_transfer.builders.multitask_model import MultitaskModel


def check_task_arguments(
    model: MultitaskModel,
    *,
    strategy,
    class_weight,
    baselines,
    slices,
) -> None:
    """Refuse arguments of `fine_tune` that are about a single classifier.

    Args:
        model: The model.
        strategy: As for `fine_tune`.
        class_weight: As for `fine_tune`.
        baselines: As for `fine_tune`.
        slices: As for `fine_tune`.

    Raises:
        ValueError: If there are any, with what to do instead.
    """
    phases = () if isinstance(strategy, str) else strategy
    solvers = [getattr(phase, "solver", None) for phase in phases]
    refused = {
        '"auto" compares accuracies, of which there are several here: name a '
        'strategy (strategy="lp_ft"), or pass phases': (
            "strategy",
            strategy if isinstance(strategy, str) and strategy == "auto" else 0,
        ),
        "a solver finds a single head: train these by steps": (
            "solver",
            next(filter(None, solvers), 0),
        ),
        "classes are those of one task: pass `sample_weight` in the data, "
        "also as a dictionary by task": ("class_weight", class_weight),
        "baselines are those of one classifier: the report has the best "
        "constant answer of each task": (
            "baselines",
            0 if baselines == "auto" else baselines,
        ),
        "slices are of one accuracy: `model.evaluate` on each part": (
            "slices",
            slices,
        ),
    }
    for reason, (argument, value) in refused.items():
        if value:
            raise ValueError(
                "For a model with several tasks this cannot be had, as "
                f"{reason}. Received: {argument}={value!r}, "
                f"model={model.name}"
            )


def check_task_labels(model: MultitaskModel, labels) -> None:
    """Refuse labels that are not a dictionary of those of each task.

    Args:
        model: The model.
        labels: A structure of what has the shapes of a batch of labels.

    Raises:
        ValueError: If they are something else.
    """
    tasks = {task.name: task for task in model.tasks}
    if not isinstance(labels, dict) or set(labels) != set(tasks):
        found = sorted(labels) if isinstance(labels, dict) else labels
        raise ValueError(
            "The data must have labels for each task, in a dictionary with "
            f"the keys {', '.join(tasks)}; NaN or a negative number where an "
            f"example has none. Received: labels={found!r}"
        )

"""What tells one training from another, and where its logs are."""

import datetime
import os

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.phase import Phase


def describe_run(
    model: keras.Model, strategy, phases: list[Phase], optimizer, **others
) -> dict[str, bool | int | float | str]:
    """List the settings of a training.

    Args:
        model: The model.
        strategy: As for `fine_tune`.
        phases: What it comes to.
        optimizer: The optimizer.
        **others: Other arguments of `fine_tune`.

    Returns:
        Values by name: the same names for each training.
    """
    rates = [phase.learning_rate for phase in phases]
    head = layer_groups(model)[-1].layers
    dropout = [x.rate for x in head if isinstance(x, keras.layers.Dropout)]
    return {
        "model": model.name,
        "strategy": strategy if isinstance(strategy, str) else "phases",
        "phases": ", ".join(phase.name for phase in phases),
        "epochs": sum(phase.epochs for phase in phases),
        "learning_rates": ", ".join(
            "chosen" if callable(rate) else f"{rate:g}" for rate in rates
        ),
        "optimizer": type(optimizer).__name__,
        "dropout": max(dropout, default=0.0),
        **{name: _plain(value) for name, value in others.items()},
    }


def _plain(value) -> bool | int | float | str:
    if value is None or isinstance(value, bool | int | float | str):
        return "none" if value is None else value
    return "given"


def check_resume(resume: bool, log_dir) -> None:
    """Refuse to go on with a training that is in no folder.

    Raises:
        ValueError: If `resume` is set without a folder.
    """
    if resume and not isinstance(log_dir, str | os.PathLike):
        raise ValueError(
            "`resume=True` needs the folder of the training to go on with: "
            f'`log_dir="logs/mine"`. Received: log_dir={log_dir!r}'
        )


def choose_log_dir(log_dir, model: keras.Model, strategy) -> str | None:
    """Choose the folder of the logs, from what `fine_tune` was given."""
    if log_dir is False:
        return None
    if log_dir is None or log_dir is True:
        label = strategy if isinstance(strategy, str) else "phases"
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        return os.path.join("logs", f"{now}-{model.name}-{label}")
    return os.fspath(log_dir)

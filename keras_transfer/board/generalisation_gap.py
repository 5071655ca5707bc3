"""How much better training looks than validation."""

from collections.abc import Mapping

from keras_transfer.board.metric_direction import is_cost


def find_gaps(logs: Mapping[str, float]) -> dict[str, float]:
    """Tell by how much training looks better than validation.

    Args:
        logs: What an epoch gave, with `val_` before names of validation.

    Returns:
        Differences by the name of the metric.
    """
    gaps = {}
    for name, value in logs.items():
        if f"val_{name}" in logs:
            gap = float(value - logs[f"val_{name}"])
            gaps[name] = -gap if is_cost(name) else gap
    return gaps

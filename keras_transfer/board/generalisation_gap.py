"""How much better training looks than validation."""

import re
from collections.abc import Mapping


def find_gaps(logs: Mapping[str, float]) -> dict[str, float]:
    """Tell by how much training looks better than validation.

    Args:
        logs: What an epoch gave, with `val_` before names of validation.

    Returns:
        Differences by the name of the metric. Of losses and errors, and what
        has them in its name, less is better; of all else, more.
    """
    gaps = {}
    for name, value in logs.items():
        if f"val_{name}" in logs:
            gap = float(value - logs[f"val_{name}"])
            gaps[name] = -gap if re.search("loss|error", name) else gap
    return gaps

"""Whether more of a metric is better."""

import re

_COSTS = re.compile(
    "loss|error|crossentropy|divergence|perplexity"
    "|(^|_)(mae|mape|mse|msle|rmse)(_|$)"
)


def is_cost(metric: str) -> bool:
    """Tell a metric that should be low by its name.

    Args:
        metric: A name, as in `compile`.
    """
    return bool(_COSTS.search(metric.lower()))

"""Whether more of a metric is better."""

import re

_COSTS = re.compile(
    "loss|error|crossentropy|divergence|perplexity|hinge|poisson|log_?cosh"
    "|brier|false_(positives|negatives)"
    "|(^|_)(bce|mae|mape|mse|msle|rmse)(_|$)"
)


def is_cost(metric: str) -> bool:
    """Tell a metric that should be low by its name.

    Args:
        metric: A name, as in `compile`.
    """
    return bool(_COSTS.search(metric.lower()))

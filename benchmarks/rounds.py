"""Time several ways to do the same, in turns."""

import statistics
from collections.abc import Callable

import keras


def measure(ways: dict[str, Callable], rounds: int) -> dict[str, dict]:
    """Run each way once a round.

    Args:
        ways: From names to functions of the number of the round, which return
            a dictionary of numbers, or `None` where something is missing that
            they need.
        rounds: How many rounds.

    Returns:
        For each way the median of each number.
    """
    found = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            keras.utils.clear_session()
            result = way(number)
            if result is not None:
                found[name].append(result)
    return {
        name: {
            key: statistics.median(result[key] for result in results)
            for key in results[0]
        }
        for name, results in found.items()
        if results
    }


def print_table(heads: list[str], rows: list[list]) -> None:
    """Print a table in Markdown; floats with three digits."""
    cells = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    for row in cells:
        print("| " + " | ".join(map(_format, row)) + " |")


def _format(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""Whether a model in a graph can be replaced by what is in it."""

from collections.abc import Mapping, Sequence

import keras


def is_plain_call(args: Sequence, kwargs: Mapping) -> bool:
    """Tell whether a model is called with its inputs and nothing else.

    Keras passes the mode of the outermost call over a `training` of its own,
    and a model of several inputs a list of masks, of `None` where there are
    none.

    Args:
        args: Positional arguments of the call.
        kwargs: Its keywords.
    """
    others = [kwargs[name] for name in kwargs if name != "training"]
    return len(args) == 1 and not any(
        value is not None for value in keras.tree.flatten(others)
    )

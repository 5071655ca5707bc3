"""Let random layers draw the same once more."""

import contextlib
from collections.abc import Iterable, Iterator

import keras
import numpy as np


@contextlib.contextmanager
def seeded(layers: Iterable[keras.layers.Layer], seed: int) -> Iterator[None]:
    """Give random layers a seed for a while, and their state back.

    Args:
        layers: The layers.
        seed: The seed. Each generator gets another one of its own from it.
    """
    generators = [
        generator
        for layer in layers
        for inner in layer._flatten_layers()
        for generator in inner._seed_generators
    ]
    states = [keras.ops.convert_to_numpy(g.state) for g in generators]
    children = np.random.SeedSequence(seed).spawn(len(generators))
    try:
        for generator, child in zip(generators, children, strict=True):
            generator.state.assign(child.generate_state(2) >> 1)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.state.assign(state)

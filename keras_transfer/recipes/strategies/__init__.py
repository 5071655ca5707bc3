"""Strategies: lists of phases that have a name in the literature."""

from keras_transfer.recipes.strategies.chosen import auto, surgical
from keras_transfer.recipes.strategies.extraction import extraction
from keras_transfer.recipes.strategies.planned import (
    fine_tuning,
    gradual,
    lp_ft,
    scratch,
)

__all__ = [
    "auto",
    "extraction",
    "fine_tuning",
    "gradual",
    "lp_ft",
    "scratch",
    "surgical",
]

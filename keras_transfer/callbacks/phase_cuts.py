"""Where a model is cut for a phase, and for those after it."""

from collections.abc import Sequence

import keras

from keras_transfer.caching.compute_share import estimate_share
from keras_transfer.caching.cut import Cut
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.freezing.phase import Phase
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.freezing.trainable_state import restore_trainable

_LEAST_SHARE = 0.05


def cut_for_phase(
    model: keras.Model,
    phase: Phase,
    *,
    with_augmentation: bool = False,
    insists: bool = False,
) -> Cut:
    """Cut a model as it trains now, if it pays.

    Args:
        model: The model.
        phase: The phase, which has set what trains.
        with_augmentation: As for `Cut`.
        insists: Whether to cut also where it hardly pays.

    Raises:
        NoCutError: If it cannot be cut, or does not pay, with the reason.
    """
    cut = Cut(model, with_augmentation=with_augmentation)
    if insists:
        return cut
    if phase.epochs < 2:
        raise NoCutError("the phase lasts a single epoch")
    share = estimate_share(cut.steps, cut.tail)
    if share < _LEAST_SHARE:
        raise NoCutError(
            f"the frozen part is {share:.0%} of the work of a step, less than "
            "it takes to read what it gives"
        )
    return cut


def find_cuts_ahead(
    model: keras.Model, cut: Cut, phases: Sequence[Phase], **options
) -> list[Cut]:
    """Find the cuts of later phases that features can be made from now.

    Args:
        model: The model. It is left as it was.
        cut: Where it is cut now.
        phases: The phases that follow.
        **options: As for `cut_for_phase`.

    Returns:
        Cuts nearer to the input than this one, the nearest first.
    """
    found = {}
    with restore_trainable(model):
        for phase in phases:
            if phase.reinitialize:
                break
            if callable(phase.train):
                continue
            set_trainable(
                model,
                phase.train,
                batch_norm=phase.batch_norm,
                parameters=phase.parameters,
            )
            try:
                other = cut_for_phase(model, phase, **options)
            except NoCutError:
                continue
            if other.names != cut.names and cut.from_another(other):
                found[other.names] = other
    return sorted(found.values(), key=lambda other: len(other.steps))

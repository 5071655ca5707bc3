"""What `forgetting.py` compares: ways to learn one task and keep another.

Each takes a `Case`, after its strength if it has one, trains, and returns the
accuracy on the old task and on the new one. All begin from the same head of the
new task.
"""

import functools

import numpy as np
from forgetting_cases import (
    HEAD_EPOCHS,
    RATE,
    accuracy,
    after_head,
    train,
)

import keras_transfer as kt
from keras_transfer.forgetting.copy_model import copy_model
from keras_transfer.recipes.training_data import choose_batch_size

_FISHER_EXAMPLES = 100
_LORA_RANK = 8


def train_plainly(case):
    case.learn_plainly()
    return case.measure()


def train_slowly(case):
    case.train(RATE / 10)
    return case.measure()


def keep_frozen(case):
    return case.measure()


def pull_back(strength, case):
    anchor = kt.L2SP(case.new, strength)
    case.train()
    anchor.remove()
    return case.measure()


def consolidate(strength, case):
    ewc = kt.EWC(
        case.old,
        case.old_train,
        strength,
        examples=_FISHER_EXAMPLES,
        labels="sampled",
        seed=case.seed,
    )
    case.train()
    ewc.remove()
    return case.measure()


def average(alpha, case):
    """Go a part of the way; each task keeps a head of its own."""
    before = case.new.get_weights()
    case.learn_plainly()
    between = kt.interpolate_weights(before, case.new, alpha)
    case.new.set_weights(between.get_weights())
    return case.measure()


def rehearse(case, ratio, per_class=None):
    """Train one head for the classes of both tasks.

    It begins as the two heads that there are. As for the others, it is known
    of each picture which task it belongs to.
    """
    (x_old, y_old), (x, y) = case.old_train, case.new_train
    known = case.old.output_shape[-1]
    old = x_old, y_old
    if per_class is not None:
        old = kt.choose_memory(case.old, old, per_class=per_class)
    # As many steps as without old examples, and as many new ones in each.
    size = round(choose_batch_size(len(y)) / (1 - ratio))
    mixed = kt.rehearse(
        (x, y + known), old, ratio, batch_size=size, seed=case.seed
    )
    joint = kt.replace_head(case.old, known + case.new.output_shape[-1])
    heads = [
        model.get_layer("predictions").get_weights()
        for model in (case.old, case.new)
    ]
    joint.get_layer("predictions").set_weights(
        [np.concatenate(parts, axis=-1) for parts in zip(*heads, strict=True)]
    )
    phases = [*kt.strategies.extraction(HEAD_EPOCHS), *after_head()]
    train(joint, mixed, phases, case.seed)
    return [
        accuracy(joint, case.old_test, slice(0, known)),
        accuracy(joint, case.new_test, slice(known, None)),
    ]


def distil(strength, case):
    """Keep the old answers to new pictures (LwF); there is no old data."""
    model = kt.learn_without_forgetting(case.new, case.old, strength=strength)
    train(model, case.new_train, after_head(), case.seed)
    return case.measure()


def add_column(case):
    """Train a second backbone beside the old one, which stays (progressive)."""
    new = kt.build_progressive(case.old, case.new.output_shape[-1])
    _take_head(new, case.new)
    train(new, case.new_train, after_head(), case.seed)
    return [
        accuracy(kt.old_task(new), case.old_test),
        accuracy(new, case.new_test),
    ]


def adapt(rate, case):
    """Train adapters (LoRA), which the old head then has below it as well.

    Taken off again, they leave the old task as it was, to the bit; this is
    about one backbone for both.
    """
    old = copy_model(case.old)
    new = kt.replace_head(old, case.new.output_shape[-1])
    _take_head(new, case.new)
    kt.add_lora(new, "all", _LORA_RANK)
    train(new, case.new_train, after_head(rate), case.seed)
    return [accuracy(old, case.old_test), accuracy(new, case.new_test)]


def _take_head(model, other):
    head = other.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights(head)


# Methods that have a strength, and those to choose from.
STRENGTHS = {
    "L2-SP": (pull_back, (0.1, 1.0, 10.0)),
    "EWC": (consolidate, (1e1, 1e2, 1e3, 1e4, 1e6)),
    "WiSE-FT, alpha": (average, (0.25, 0.5, 0.75)),
    "LwF": (distil, (0.3, 1.0, 3.0, 10.0)),
    "LoRA, rate": (adapt, (5e-4, 1e-3, 2e-3, 4e-3)),
}
FIXED = {
    "plain": train_plainly,
    "lower rate": train_slowly,
    "frozen": keep_frozen,
    "rehearsal 10 %": functools.partial(rehearse, ratio=0.1),
    "rehearsal 50 %": functools.partial(rehearse, ratio=0.5),
    "progressive": add_column,
}

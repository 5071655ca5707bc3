import keras
import pytest

from keras_transfer.optimizers.apply_hooks import (
    add_apply_hook,
    remove_apply_hook,
)


class Patient(keras.optimizers.SGD):
    """Takes one argument more than Keras's own."""

    seen = None

    def apply(self, grads, trainable_variables=None, note=None):
        self.seen = note
        super().apply(grads, trainable_variables)


def step(optimizer, variable, **kwargs):
    optimizer.apply([keras.ops.ones(())], [variable], **kwargs)


def test_hooks_come_and_go_in_any_order():
    calls, variable = [], keras.Variable(1.0)
    optimizer = keras.optimizers.SGD(0.5)
    hooks = {
        name: lambda grads, variables, name=name: calls.append(
            (name, float(grads[0]), variables == [variable])
        )
        for name in ("a", "b")
    }
    optimizer.build([variable])
    add_apply_hook(optimizer, hooks["a"])
    add_apply_hook(optimizer, hooks["b"])
    add_apply_hook(optimizer, hooks["a"])
    step(optimizer, variable)
    assert calls == [("a", 1.0, True), ("b", 1.0, True)]
    remove_apply_hook(optimizer, hooks["a"])
    remove_apply_hook(optimizer, hooks["a"])
    optimizer.apply([keras.ops.ones(())])
    assert [name for name, *_ in calls] == ["a", "b", "b"]
    remove_apply_hook(optimizer, hooks["b"])
    assert "apply" not in vars(optimizer)
    step(optimizer, variable)
    assert len(calls) == 3
    assert float(variable) == pytest.approx(-0.5)


def test_an_apply_of_the_users_own_is_called_and_put_back():
    variable, optimizer = keras.Variable(1.0), Patient(0.5)
    optimizer.build([variable])
    notes = []

    def own(grads, trainable_variables=None, note=None):
        notes.append(note)

    def hook(grads, variables):
        notes.append("hook")

    add_apply_hook(optimizer, hook)
    step(optimizer, variable, note="here")
    assert optimizer.seen == "here" and notes == ["hook"]
    remove_apply_hook(optimizer, hook)
    vars(optimizer)["apply"] = own
    add_apply_hook(optimizer, hook)
    step(optimizer, variable, note="there")
    remove_apply_hook(optimizer, hook)
    assert notes == ["hook", "hook", "there"]
    assert vars(optimizer)["apply"] is own

"""Functions that an optimizer calls before each of its steps."""

from collections.abc import Callable

import keras


def add_apply_hook(optimizer: keras.optimizers.Optimizer, hook: Callable):
    """Let an optimizer call a function before each step that is traced now on.

    Args:
        optimizer: An optimizer.
        hook: Called with the list of gradients and that of the variables. It
            becomes a part of the train step. A hook that is there already is
            not added again.
    """
    hooks = getattr(vars(optimizer).get("apply"), "hooks", None)
    if hooks is None:
        hooks, before = [], optimizer.apply

        def apply(grads, trainable_variables=None, *args, **kwargs):
            grads, variables = list(grads), trainable_variables
            if variables is None:
                variables = optimizer._trainable_variables
            for each in hooks:
                each(grads, list(variables))
            return before(grads, trainable_variables, *args, **kwargs)

        apply.hooks, apply.replaced = hooks, vars(optimizer).get("apply")
        # Past Keras's tracking: this is not a part of the optimizer.
        vars(optimizer)["apply"] = apply
    if hook not in hooks:
        hooks.append(hook)


def remove_apply_hook(optimizer: keras.optimizers.Optimizer, hook: Callable):
    """Undo `add_apply_hook`, for steps that are traced from now on."""
    apply = vars(optimizer).get("apply")
    hooks = getattr(apply, "hooks", [])
    if hook in hooks:
        hooks.remove(hook)
        if not hooks:
            del vars(optimizer)["apply"]
            if apply.replaced is not None:
                vars(optimizer)["apply"] = apply.replaced

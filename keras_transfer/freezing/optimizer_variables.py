"""Which variables of a model an optimizer knows, and telling it others."""

from collections.abc import Sequence

import keras


def optimizer_chain(optimizer) -> list[keras.optimizers.Optimizer]:
    """List an optimizer and those that it wraps, from the outside in.

    Args:
        optimizer: An optimizer; `LossScaleOptimizer` and ours wrap others.

    Returns:
        A list of at least one optimizer.
    """
    chain = [optimizer]
    while (inner := getattr(chain[-1], "inner_optimizer", None)) is not None:
        chain.append(inner)
    return chain


def known_variables(optimizer, variables: Sequence) -> list:
    """Select the variables that an optimizer was built for.

    Args:
        optimizer: A Keras optimizer.
        variables: A model's variables.

    Returns:
        Those that the optimizer knows, in the order in which it knows them.
    """
    innermost = optimizer_chain(optimizer)[-1]
    position = innermost._trainable_variables_indices
    known = [v for v in variables if innermost._var_key(v) in position]
    return sorted(known, key=lambda v: position[innermost._var_key(v)])


def rebuild_optimizer(optimizer, variables: Sequence) -> None:
    """Build an optimizer again, for other variables: all its state is new.

    The object, its settings and its learning rate stay. Step counts go back
    to 0.

    Args:
        optimizer: A Keras optimizer, built or not.
        variables: All the variables that it is ever to train.
    """
    for part in optimizer_chain(optimizer):
        kept = {id(part._iterations), id(part._learning_rate)}
        for variable in list(part._variables):
            if id(variable) not in kept:
                part._untrack_variable(variable)
        # TensorFlow 2.21 will not export what was deleted from a list.
        part._variables._non_append_mutation = False
        part._variables._update_snapshot()
        part._iterations.assign(0)
        part._trainable_variables_indices = {}
        part.built = False
    optimizer.build(list(variables))

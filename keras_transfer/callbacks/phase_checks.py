"""What must hold before phases can train a model inside one `fit`."""

from collections.abc import Sequence

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.callbacks.companion import find_companions
from keras_transfer.freezing.adapters import find_adapted
from keras_transfer.freezing.freezable_model import batch_norm_layers
from keras_transfer.freezing.optimizer_variables import (
    known_variables,
    optimizer_chain,
    rebuild_optimizer,
)
from keras_transfer.freezing.phase import Phase
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.freezing.trainable_state import restore_trainable


def check_phases(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Return phases as a tuple, if they are some.

    Raises:
        ValueError: If there are none, or something else among them.
    """
    is_sequence = isinstance(phases, list | tuple) and len(phases) > 0
    if is_sequence and all(isinstance(phase, Phase) for phase in phases):
        return tuple(phases)
    raise ValueError(
        f"`phases` must be a list of `kt.Phase`. Received: phases={phases!r}"
    )


def check_trainer(
    model: keras.Model, phases: Sequence[Phase], steps: int | None
) -> None:
    """Refuse settings of `compile` and `fit` that cannot go with phases.

    Args:
        model: A compiled model.
        phases: The phases.
        steps: Number of steps an epoch, where known.

    Raises:
        ValueError: If a phase has a solver and nobody to run it; if the
            optimizer brings a schedule of its own; if a phase has one and
            there is no telling how many steps it lasts; or if the model
            trains on several replicas with settings that Keras 3.15 and
            TensorFlow do not support there.
    """
    solvers = [phase.solver for phase in phases if phase.solver]
    if solvers and "HeadSolver" not in find_companions(model):
        raise ValueError(
            "A solver must see all the data, which `fit` shows to no callback: "
            "use `kt.fine_tune(model, train, validation, strategy=phases)`. "
            f"Received: solver={solvers[0]!r}"
        )
    if steps is None and any(p.schedule != "constant" for p in phases):
        raise ValueError(
            "A schedule must know the number of steps of an epoch. Give the "
            "dataset its size (`dataset.apply(tf.data.experimental."
            "assert_cardinality(n))`), pass `steps_per_epoch`, or use phases "
            f'with schedule="constant". Received: phases={phases}'
        )
    innermost = optimizer_chain(model.optimizer)[-1]
    if not isinstance(innermost._learning_rate, keras.Variable):
        raise ValueError(
            "Each phase sets its own learning rate, which it cannot where "
            "the optimizer has a schedule. Compile the model with a number "
            'and pass schedules to the phases (`Phase(schedule="cosine")`). '
            f"Received: learning_rate={innermost._learning_rate!r}"
        )
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas == 1:
        return
    problems = {
        "`steps_per_execution` above 1": model.steps_per_execution > 1,
        "`jit_compile=True`": model.jit_compile is True,
        "an optimizer with `use_ema=True`": innermost.use_ema,
        "an optimizer with `gradient_accumulation_steps`": bool(
            innermost.gradient_accumulation_steps
        ),
        'phases whose `batch_norm` is not "frozen" (statistics would differ '
        "from replica to replica)": any(
            phase.batch_norm != "frozen" for phase in phases
        )
        and any(batch_norm_layers(group) for group in layer_groups(model)),
    }
    found = [text for text, is_there in problems.items() if is_there]
    if found:
        raise ValueError(
            "A strategy with several replicas does not go with "
            f"{' or '.join(found)}. Received: {replicas} replicas"
        )


def cover_phases(model: keras.Model, phases: Sequence[Phase]) -> None:
    """Make the optimizer know every variable that any phase trains.

    Args:
        model: A compiled model. What is trainable is as before afterwards.
        phases: The phases.

    Raises:
        ValueError: If a phase names groups that there are not; if one starts
            from new weights, and the model has adapters; or if the optimizer
            has made steps already, without some of the variables.
    """
    if find_adapted(model) and any(phase.reinitialize for phase in phases):
        raise ValueError(
            "Adapters go with weights that are pretrained, and a phase starts "
            "from new ones: `kt.merge_lora(model)` first, to train all of "
            f"them. Received: phases={phases}"
        )
    needed = _find_trained(model, phases)
    optimizer = model.optimizer
    if optimizer.built:
        known = set(map(id, known_variables(optimizer, model.weights)))
        missing = [v for v in needed if id(v) not in known]
        if not missing:
            return
        innermost = optimizer_chain(optimizer)[-1]
        steps = int(keras.ops.convert_to_numpy(innermost._iterations))
        if steps:
            raise ValueError(
                f"The optimizer has made {steps} steps, and knows nothing of "
                f"{len(missing)} variables that the phases train "
                f"({missing[0].path}, ...). Compile the model again before "
                "this `fit`: the optimizer is then built for all phases. "
                f"Received: optimizer={optimizer.name}"
            )
    with model.distribute_strategy.scope():
        rebuild_optimizer(optimizer, needed)


def _find_trained(model, phases) -> list:
    """List the variables that some phase trains, in the model's order."""
    trained = set()
    with restore_trainable(model):
        for phase in phases:
            train = "all" if callable(phase.train) else phase.train
            set_trainable(
                model,
                train,
                batch_norm=phase.batch_norm,
                parameters=phase.parameters,
            )
            trained.update(id(v) for v in model.trainable_weights)
    return [v for v in model.weights if id(v) in trained]

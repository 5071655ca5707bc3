"""What models have in common whose frozen layer groups are deterministic."""

import keras
from keras.src.backend.common import global_state

from keras_transfer.freezing.adapter_saving import load_factors, save_factors
from keras_transfer.freezing.adapters import (
    describe_adapters,
    find_adapted,
    restore_adapters,
)
from keras_transfer.freezing.moving_averages import narrow_averages
from keras_transfer.freezing.optimizer_variables import (
    known_variables,
    rebuild_optimizer,
)


class Freezable:
    """What functional and sequential freezable models have in common.

    A cut, at which they can be called as well, and files of Keras that hold
    what trains, the state of the optimizer and adapters as they are.
    """

    # While a `Cut` is here, the model can be called with its tensors as well.
    _cut = None

    def __call__(self, *args, **kwargs):
        if self._cut is not None and args and self._cut.is_of(args[0]):
            return self._cut.run_tail(args[0], kwargs.get("training"))
        # Keras 3.15: a layer leaves its `training` behind for those that are
        # called after it without one, in a subclassed model for instance.
        context = global_state.get_global_attribute("current_call_ctx")
        training = context and context.get_value("training")
        outputs = super().__call__(*args, **kwargs)
        if context:
            context.set_value("training", training)
        return outputs

    def get_config(self):
        layers = self._flatten_layers(include_self=False)
        trained = {
            "weights": [n for n, w in enumerate(self.weights) if w.trainable],
            "layers": [n for n, x in enumerate(layers) if x.trainable],
            "seeds": [
                keras.ops.convert_to_numpy(generator.state).tolist()
                for generator in self._all_seed_generators()
            ],
            "adapters": describe_adapters(self),
        }
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and optimizer.built:
            position = {id(w): n for n, w in enumerate(self.weights)}
            known = known_variables(optimizer, self.weights)
            trained["optimizer"] = [position[id(w)] for w in known]
        return {**super().get_config(), "trained": trained}

    def compile_from_config(self, config):
        super().compile_from_config(config)
        self._restore_optimizer()

    def _restore_optimizer(self) -> None:
        # Keras builds the optimizer for what is trainable, and loses the
        # state of one that knew more.
        if self._known is not None and self.optimizer is not None:
            weights = self.weights
            rebuild_optimizer(self.optimizer, [weights[n] for n in self._known])
            narrow_averages(self)

    def save_own_variables(self, store):
        # Inside of a class of the user's own, whose configuration may not
        # know of adapters, they are merged as Keras does it.
        if not getattr(store, "_h5_entry_path", ""):
            save_factors(find_adapted(self))
        super().save_own_variables(store)

    def load_own_variables(self, store):
        load_factors(find_adapted(self))
        super().load_own_variables(store)

    _known = None

    def _all_seed_generators(self) -> list:
        layers = self._flatten_layers(include_self=False)
        found = [g for layer in layers for g in layer._seed_generators]
        return list(dict.fromkeys(found))

    def _restore(self, trained) -> None:
        if trained is None:
            return
        restore_adapters(self, trained.get("adapters", ()))
        live_weights, live_layers = (
            set(trained[kind]) for kind in ("weights", "layers")
        )
        for n, weight in enumerate(self.weights):
            weight.trainable = n in live_weights
        # Not by the setter, which would carry on to what the layer holds.
        for n, layer in enumerate(self._flatten_layers(include_self=False)):
            layer._trainable = n in live_layers
        generators = self._all_seed_generators()
        for generator, state in zip(
            generators, trained.get("seeds", ()), strict=False
        ):
            generator.state.assign(state)
        self._known = trained.get("optimizer")

"""A network that answers as it did, whatever becomes of the model."""

import keras

from keras_transfer.caching.prefix_key import digest_prefix, digest_weights
from keras_transfer.caching.unrolled_graph import unroll_graph
from keras_transfer.forgetting.answer_logits import answer_logits
from keras_transfer.forgetting.likelihood import Likelihood


class Teacher(keras.layers.Layer):
    """The frozen network of an old task, as a layer without weights.

    Its weights are not among those of the model that it is in, and in none of
    its files. It never runs in training mode, so that a cache may keep what
    it answers.

    Args:
        network: A functional model. It must share nothing with any that
            trains.
        likelihood: What its outputs mean.
        **kwargs: As for `keras.layers.Layer`.
    """

    def __init__(self, network: keras.Model, likelihood: Likelihood, **kwargs):
        # The network casts its inputs, each layer as it was made to.
        super().__init__(autocast=False, dtype="float32", **kwargs)

        # As attributes, or in a list of them, Keras would find its weights.
        def answer(inputs):
            return answer_logits(network(inputs, training=False), likelihood)

        def digest():
            graph = unroll_graph(network)
            weights = digest_weights(network.weights)
            return digest_prefix(
                graph.steps, graph.inputs, graph.outputs, weights
            )

        self._answer, self._digest = answer, digest

    def call(self, inputs):
        return keras.ops.stop_gradient(self._answer(inputs))

    def get_config(self):
        # It is never loaded: this is what a cache knows its answers by.
        return {**super().get_config(), "network": self._digest()}

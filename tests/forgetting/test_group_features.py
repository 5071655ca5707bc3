import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.forgetting.group_features import make_group_features
from tests import networks


@pytest.mark.parametrize("name", ["mlp", "cnn", "nested", "text_rnn"])
def test_there_is_a_vector_of_each_group(name):
    model = networks.build(name)
    x = networks.batch_for(model, 5)
    found = make_group_features(model)(x)
    names = [group.name for group in kt.layer_groups(model)]
    assert list(found) == names
    assert all(part.shape[0] == 5 and part.ndim == 2 for part in found.values())
    # The last group gives what the model does.
    np.testing.assert_allclose(
        found[names[-1]], model.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_they_are_those_of_a_model_up_to_there():
    backbone = networks.tiny_backbone()
    model = kt.build_classifier(backbone, 3)
    networks.randomize(model)
    x = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3))
    features = make_group_features(model)
    layer = backbone.model.get_layer("block2_relu")
    part = keras.Model(backbone.model.input, layer.output)
    expected = part.predict(x, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(features(x)["block_1"], expected, rtol=1e-5)
    # They follow the weights.
    kernel = backbone.model.get_layer("block1_conv").kernel
    kernel.assign(kernel * 1.5)
    after = part.predict(x, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(features(x)["block_1"], after, rtol=1e-5)
    assert not np.allclose(after, expected)


def test_a_model_without_a_graph_is_refused():
    with pytest.raises(ValueError, match="functional or sequential.*model="):
        make_group_features(networks.subclassed())

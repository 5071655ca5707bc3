"""A delta goes with the base that it was made from, or not at all."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.freezing.adapters import find_adapted
from keras_transfer.freezing.add_lora import add_lora
from keras_transfer.freezing.load_delta import load_delta
from keras_transfer.freezing.merge_lora import merge_lora
from keras_transfer.freezing.save_delta import save_delta
from tests import networks
from tests.freezing.test_add_lora import factor_paths, shake
from tests.freezing.test_save_delta import classifier, nudge, pictures


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with adapters, and its delta."""
    model = classifier()
    add_lora(model, "top:1", 2, alpha=3)
    shake(model)
    nudge(model.layers[-1].weights)
    path = tmp_path_factory.mktemp("delta") / "delta.npz"
    save_delta(model, path, classifier())
    return model, path


def test_what_trains_stays_and_goes_on(saved, tmp_path):
    model, path = saved
    other = classifier(seed=2)
    x = pictures()
    other.compile("adam", "sparse_categorical_crossentropy")
    other.fit(x, np.zeros(6), verbose=0)
    other.predict(x, verbose=0)  # compiled, without adapters
    load_delta(other, path)
    outputs = model.predict(x, verbose=0)
    np.testing.assert_array_equal(other.predict(x, verbose=0), outputs)
    head = {weight.path for weight in other.layers[-1].weights}
    assert {weight.path for weight in other.trainable_weights} == head
    other.save(tmp_path / "other.keras")
    again = keras.models.load_model(tmp_path / "other.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), outputs)
    kt.set_trainable(again, "top:1")
    assert {weight.path for weight in again.trainable_weights} == (
        factor_paths(again) | {w.path for w in again.layers[-1].weights}
    )
    merge_lora(again)
    np.testing.assert_allclose(again.predict(x, verbose=0), outputs, atol=1e-6)


def test_into_a_model_with_the_same_adapters(saved):
    model, path = saved
    other = classifier(seed=2)
    add_lora(other, "top:1", 2, alpha=3)
    load_delta(other, path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_augmentation_may_differ(saved):
    model, path = saved
    keras.utils.set_random_seed(0)
    backbone = networks.tiny_backbone()
    networks.randomize(backbone.model)
    other = kt.build_classifier(
        backbone, 3, augmentation=layers.RandomFlip(), dropout=0.5
    )
    load_delta(other, path)
    x = pictures()
    np.testing.assert_array_equal(
        other.predict(x, verbose=0), model.predict(x, verbose=0)
    )


def with_other_adapters():
    model = classifier()
    add_lora(model, "top:1", 2)  # another alpha
    return model


def with_another_bit():
    model = classifier()
    nudge([model.get_layer("backbone").weights[0]])
    return model


OTHERS = {
    "another base": (with_another_bit, "another network: the 18 weights"),
    "other adapters": (with_other_adapters, "1 adapters.*into a model that"),
    "more classes": (
        lambda: classifier(names=4),
        r"predictions/kernel .'kernel', .6, 4.* for .'kernel', .6, 3",
    ),
    "another order": (
        lambda: classifier(names=("b", "a", "c")),
        r"the classes .'a', 'b', 'c'.*Received: .'b', 'a', 'c'",
    ),
    "another network": (lambda: networks.build("mlp"), "20 weights.*: 6, "),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_models_are_refused_and_left_alone(other, saved):
    make, message = OTHERS[other]
    model = make()
    before, adapters = model.get_weights(), len(find_adapted(model))
    with pytest.raises(ValueError, match=f"(?s){message}.*path="):
        load_delta(model, saved[1])
    assert len(find_adapted(model)) == adapters
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_files_that_are_none(saved, tmp_path):
    model, content = classifier(), saved[1].read_bytes()
    before = model.get_weights()
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 1
    np.savez(tmp_path / "other.npz", header=np.zeros(3))
    files = {
        "empty": b"",
        "text": b"weights",
        "cut": content[:-100],
        "damaged": bytes(damaged),
        "other": (tmp_path / "other.npz").read_bytes(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"kt.save_delta.*{name}'$"):
            load_delta(model, tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_delta(model, tmp_path / "missing")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

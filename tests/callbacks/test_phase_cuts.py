import pytest

import keras_transfer as kt
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.callbacks.phase_cuts import cut_for_phase, find_cuts_ahead
from tests.networks import application

HEAD = kt.Phase("head", 2, 0.1)


@pytest.fixture(scope="module")
def model():
    return kt.build_classifier(kt.load_backbone(application("MobileNetV2")), 3)


def cut(model, phase, **options):
    kt.set_trainable(model, phase.train, batch_norm=phase.batch_norm)
    return cut_for_phase(model, phase, **options)


def test_what_hardly_pays_is_cut_on_demand(model):
    once, first = kt.Phase("head", 1, 0.1), kt.Phase("top:16", 2, 0.1)
    for phase, reason in ((once, "single epoch"), (first, r"is \d% of")):
        with pytest.raises(NoCutError, match=reason):
            cut(model, phase)
        assert cut(model, phase, insists=True).steps


def test_cuts_ahead_are_nearer_to_the_input(model):
    top = [kt.Phase(f"top:{n}", 2, 0.1) for n in (2, 4, 2)]
    now, *expected = (cut(model, phase).names for phase in (HEAD, *top[:2]))
    found = find_cuts_ahead(model, cut(model, HEAD), [HEAD, *top])
    assert [other.names for other in found] == expected[::-1]
    assert now not in expected
    # From features of the head, nothing below it is made.
    assert not find_cuts_ahead(model, cut(model, top[0]), [HEAD])


def test_they_leave_the_model_as_it_was(model):
    model.compile("sgd", "mse")
    now = cut(model, HEAD)
    model.make_train_function()
    before = model.train_function
    trains = [weight.trainable for weight in model.weights]
    layers = [layer.trainable for layer in model._flatten_layers()]
    assert find_cuts_ahead(model, now, [kt.Phase("top:4", 2, 0.1)])
    assert trains == [weight.trainable for weight in model.weights]
    assert layers == [layer.trainable for layer in model._flatten_layers()]
    assert model.train_function is before

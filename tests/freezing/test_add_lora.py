"""Adapters train in place of kernels, and nothing else below the head."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.callbacks.group_scalars import GroupScalars
from keras_transfer.freezing.adapters import factors_of, find_adapted, kernel_of
from keras_transfer.freezing.add_lora import add_lora
from tests import networks

RANK = 2


def paths(variables):
    return {variable.path for variable in variables}


def factor_paths(model, only=lambda layer: True):
    found = filter(only, find_adapted(model))
    return paths(factor for layer in found for factor in factors_of(layer))


def head_of(model):
    return paths(kt.layer_groups(model)[-1].variables)


def shake(model, seed=1):
    """Give adapters factors as training would."""
    random = np.random.default_rng(seed)
    for layer in find_adapted(model):
        for factor in factors_of(layer):
            factor.assign(random.normal(0, 0.3, factor.shape))


NAMES = {
    "nested_twice": {
        "stem": ("first_conv",),
        "block_1": ("res_a_conv", "res_a_short"),
        "block_2": ("res_b_conv", "res_b_short"),
        "block_3": ("res_c_conv", "res_c_short"),
    },
    "transformer": 2 + 2 * 6 - 1,
    "blocks": 3,
}


@pytest.mark.parametrize("name", NAMES)
def test_only_adapters_and_the_head_train(name):
    model = networks.build(name)
    x = networks.batch_for(model)
    outputs = model.predict(x, verbose=0)
    weights = len(model.weights)
    adapted = add_lora(model, rank=RANK)
    if name == "nested_twice":
        assert adapted == NAMES[name]
    kernels = list(map(kernel_of, find_adapted(model)))
    count = sum(map(len, adapted.values()))
    assert count == len(kernels) == len(factor_paths(model)) / 2
    assert name == "nested_twice" or count == NAMES[name]
    assert len(model.weights) == weights + 2 * count
    np.testing.assert_array_equal(model.predict(x, verbose=0), outputs)

    expected = factor_paths(model) | head_of(model)
    assert paths(model.trainable_weights) == expected
    count = sum(np.prod(w.shape) for w in kt.layer_groups(model)[-1].variables)
    for kernel in kernels:
        count += RANK * (np.prod(kernel.shape[:-1]) + kernel.shape[-1])
    assert count == sum(np.prod(w.shape) for w in model.trainable_weights)
    before = networks.values(model.weights)
    networks.train(model, x, epochs=2)
    assert networks.moved(model.weights, before) == expected
    assert not np.array_equal(model.predict(x, verbose=0), outputs)


def test_what_adapted_layers_compute():
    """Against NumPy in double precision, brute force for the convolution."""
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(9, 6, name="embedding")(inputs)
    x = layers.Reshape((2, 2, 6))(x)
    x = layers.Conv2D(5, 2, name="conv")(x)
    x = layers.EinsumDense("bhwi,ihj->bwhj", (1, 1, 3), name="einsum")(x)
    x = layers.Dense(4, name="dense")(x)
    outputs = layers.Dense(2, name="out")(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    add_lora(model, ["stem", *block_names(model)], 3, alpha=1.5)
    assert len(find_adapted(model)) == 4
    shake(model)
    tokens = networks.batch_for(model)[:, :4] % 9
    x = effective(model, "embedding")[tokens].reshape(-1, 2, 2, 6)
    kernel = effective(model, "conv")
    y = np.zeros((len(x), 1, 1, 5))
    for example in range(len(x)):
        for channel in range(5):
            y[example, 0, 0, channel] = sum(
                x[example, i, j, k] * kernel[i, j, k, channel]
                for i in range(2)
                for j in range(2)
                for k in range(6)
            )
    y += model.get_layer("conv").bias.numpy()
    y = np.einsum("bhwi,ihj->bwhj", y, effective(model, "einsum"))
    dense, out = model.get_layer("dense"), model.get_layer("out")
    y = y @ effective(model, "dense") + dense.bias.numpy()
    y = y.reshape(len(x), -1) @ out.kernel.numpy() + out.bias.numpy()
    np.testing.assert_allclose(model(tokens), y, rtol=1e-4, atol=1e-5)


def block_names(model):
    return [g.name for g in kt.layer_groups(model) if "block" in g.name]


def effective(model, name):
    """Compute `W + alpha / r * A B`, with alpha 1.5 and r 3."""
    layer = model.get_layer(name)
    arrays = (kernel_of(layer), *factors_of(layer))
    kernel, a, b = (w.numpy().astype("float64") for w in arrays)
    return kernel + 1.5 / 3 * np.tensordot(a, b, 1)


def test_choices_of_an_adapted_model():
    model = networks.build("nested")
    add_lora(model, "block_1|block_3", RANK)
    head = head_of(model)
    low, high = (
        {path for path in factor_paths(model) if f"res_{letter}" in path}
        for letter in "ac"
    )
    groups = {group.name: group for group in kt.layer_groups(model)}
    norms = [
        variable
        for variable in groups["block_3"].variables
        if variable.name in ("gamma", "beta")
    ]
    biases = [
        variable
        for variable in groups["block_3"].variables
        if variable.name in ("bias", "beta")
    ]
    for train, options, expected in [
        ("all", {}, low | high | head),
        ("head", {}, head),
        ("top:1", {}, high | head),
        ("top:2", {}, high | head),
        ("stem", {}, set()),
        ("block_3", {"batch_norm": "statistics"}, high),
        ("block_3", {"batch_norm": "train"}, high | paths(norms)),
        ("block_3", {"parameters": "batch_norm"}, paths(norms)),
        ("block_3", {"parameters": "bias"}, paths(biases)),
        ("top:3", {}, low | high | head),
    ]:
        kt.set_trainable(model, train, **options)
        assert paths(model.trainable_weights) == expected, (train, options)
        live = [
            layer.name
            for layer in model._flatten_layers()
            if isinstance(layer, layers.BatchNormalization) and layer.trainable
        ]
        adapts = options.get("batch_norm", "frozen") != "frozen"
        assert live == (["res_c_bn"] if adapts else [])
    summary = kt.trainable_summary(model).splitlines()
    assert summary[2].endswith("trains adapters, BatchNorm frozen")
    assert summary[3].endswith("frozen")


def test_a_head_has_adapters_only_if_it_is_named():
    for groups in ("all", "top:1"):
        model = networks.build("mlp")
        assert "head" not in add_lora(model, groups, RANK)
    model = networks.build("mlp")
    assert add_lora(model, "head", RANK) == {"head": ("dense_8",)}
    head = model.layers[-1]
    expected = paths([*factors_of(head), head.bias])
    assert paths(model.trainable_weights) == expected
    # Below it nothing has adapters, and groups train as a whole.
    kt.set_trainable(model, "top:1")
    assert paths(model.trainable_weights) == expected | paths(
        kt.layer_groups(model)[-2].variables
    )


def test_phases_of_one_fit():
    model = networks.build("nested")
    add_lora(model, "top:2", RANK)
    model.compile("adam", "mse")
    kernels = list(map(kernel_of, find_adapted(model)))
    before, seen = networks.values(kernels), []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if seen:
                moved.append(networks.moved(model.weights, seen[-1]))
            seen.append(networks.values(model.weights))

    moved = []
    phases = [kt.Phase(train, 2, 0.01) for train in ("head", "top:2")]
    unfreezing = kt.GradualUnfreezing(phases)
    x = networks.batch_for(model)
    model.fit(
        x,
        np.zeros((6, 3)),
        epochs=4,
        verbose=0,
        callbacks=[unfreezing, Watch()],
    )
    assert moved[0] == head_of(model)
    assert moved[2] == head_of(model) | factor_paths(model)
    assert not networks.moved(kernels, before)


def test_a_model_that_was_compiled_and_has_trained():
    model = networks.build("mlp")
    x = networks.batch_for(model)
    optimizer = kt.DiscriminativeOptimizer(
        keras.optimizers.SGD(0.5, momentum=0.9), multipliers={"stem": 0}
    )
    model.compile(optimizer, "mse")
    scalars = GroupScalars(model)
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    model.fit(x, y, verbose=0)
    drift = scalars.measure()["drift/head"]
    outputs = model.predict(x, verbose=0)  # compiled before there were any
    add_lora(model, "all", RANK)
    assert int(optimizer.iterations) == 0
    followed = GroupScalars(model, scalars)
    assert not scalars.are_of(model) and followed.are_of(model)
    assert followed.measure()["drift/head"] == drift > 0
    before = networks.values(model.weights)
    model.fit(x, y, epochs=2, verbose=0)
    expected = factor_paths(model, lambda layer: layer is model.layers[2])
    moved = networks.moved(model.weights, before)
    assert moved == expected | head_of(model)  # the stem has a rate of 0
    shake(model)
    assert not np.allclose(model.predict(x, verbose=0), outputs)
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), rtol=1e-5)


def test_fine_tune_with_a_cache_and_what_comes_after_a_file(tmp_path):
    random = np.random.default_rng(0)
    data = random.uniform(0, 255, (24, 8, 8, 3)), np.arange(24) % 3
    backbone = networks.tiny_backbone()
    networks.randomize(backbone.model)
    model = kt.build_classifier(backbone, 3, dropout=0.0)
    add_lora(model, "top:1", RANK, alpha=3)
    kernel = kernel_of(find_adapted(model)[0])
    before = networks.values([kernel])
    kt.fine_tune(
        model,
        data,
        strategy=[kt.Phase("top:1", 2, 0.01), kt.Phase("all", 2, 0.01)],
        cache=True,
        log_dir=False,
        seed=0,
        verbose=0,
    )
    assert not networks.moved([kernel], before)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert [x.lora_alpha for x in find_adapted(loaded)] == [3]
    for each in (model, loaded):
        each.fit(*data, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert networks.moved(
        loaded.trainable_weights,
        networks.values(keras.models.load_model(path).trainable_weights),
    ) == paths(loaded.trainable_weights)


def test_adapters_inside_of_other_layers_survive_files(tmp_path):
    """The configurations of these layers do not know of them."""
    model = networks.build("transformer")
    add_lora(model, "all", RANK, alpha=5)
    shake(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(model.weights, loaded.weights, strict=True):
        assert a.trainable == b.trainable
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    x = networks.batch_for(model)
    np.testing.assert_array_equal(model(x), loaded(x))
    model.save_weights(tmp_path / "saved.weights.h5")
    shake(model, seed=2)
    model.load_weights(tmp_path / "saved.weights.h5")
    np.testing.assert_array_equal(model(x), loaded(x))


def test_weights_of_a_model_without_adapters_can_be_loaded(tmp_path):
    plain, model = networks.build("mlp"), networks.build("mlp")
    plain.save_weights(tmp_path / "plain.weights.h5")
    add_lora(model, "all", RANK)
    shake(model)
    model.load_weights(tmp_path / "plain.weights.h5")
    x = networks.batch_for(model)
    np.testing.assert_array_equal(model(x), plain(x))
    for layer in find_adapted(model):
        a, b = factors_of(layer)
        assert np.any(a) and not np.any(b)
    # The other way, nothing is lost without a word.
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match="expected 2 variables"):
        plain.load_weights(tmp_path / "model.weights.h5")


def test_a_class_of_the_users_own_saves_them_merged(tmp_path):
    model = networks.build("subclassed")
    add_lora(model, "all", RANK)
    shake(model)
    x = networks.batch_for(model)
    outputs = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), outputs)


def test_layers_that_are_passed_over():
    inputs = keras.Input((6, 6, 3))
    x = layers.DepthwiseConv2D(3, name="depthwise")(inputs)
    x = layers.Conv2D(4, 1, kernel_constraint="max_norm", name="bounded")(x)
    x = layers.SpectralNormalization(layers.Conv2D(4, 1), name="spectral")(x)
    x = layers.Conv2DTranspose(4, 2, name="transposed")(x)
    quantized = layers.Dense(4, name="quantized")
    x = quantized(x)
    x = layers.Conv2D(4, 1, name="conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    quantized.quantize("int8")
    adapted = add_lora(model, "all", RANK)
    assert [n for names in adapted.values() for n in names] == ["conv"]
    with pytest.raises(ValueError, match="No layer of .*groups='all'"):
        add_lora(model, "all", RANK)


def test_more_groups_one_after_another():
    model = networks.build("nested")
    add_lora(model, "block_3", RANK)
    add_lora(model, ["block_2", "block_3"], 1)
    ranks = {x.name: x.lora_rank for x in find_adapted(model)}
    assert ranks == {
        "res_b_conv": 1,
        "res_b_short": 1,
        "res_c_conv": RANK,
        "res_c_short": RANK,
    }
    expected = factor_paths(model) | head_of(model)
    assert paths(model.trainable_weights) == expected


def test_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = networks.build("mlp")
        x = networks.batch_for(model)
        before = np.asarray(model(x), "float32")
        add_lora(model, "all", RANK)
        np.testing.assert_array_equal(np.asarray(model(x), "float32"), before)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": "block_9"}, "stem, block_1, head.*groups='block_9'"),
        ({"groups": "none"}, "groups='none'"),
        ({"groups": ["stem", "tail"]}, r"groups=\['stem', 'tail'\]"),
        ({"rank": 0}, "rank=0"),
        ({"rank": 2.0}, "rank=2.0"),
        ({"rank": True}, "rank=True"),
        ({"alpha": 0}, "alpha=0"),
        ({"alpha": float("inf")}, "alpha=inf"),
        ({"alpha": "2"}, "alpha='2'"),
    ],
)
def test_bad_arguments_change_nothing(arguments, message):
    model = networks.build("mlp")
    with pytest.raises(ValueError, match=f"(?s){message}$"):
        add_lora(model, **arguments)
    assert not find_adapted(model)
    assert len(model.trainable_weights) == len(model.weights)


def test_phases_from_new_weights_are_refused():
    model = networks.build("mlp")
    add_lora(model, "all", RANK)
    model.compile("sgd", "mse")
    unfreezing = kt.GradualUnfreezing(kt.strategies.scratch(1))
    x = networks.batch_for(model)
    with pytest.raises(ValueError, match="merge_lora.*Received: phases="):
        model.fit(x, np.zeros((6, 3)), callbacks=[unfreezing], verbose=0)


def test_upstream_loads_adapters_that_are_dead(tmp_path):
    """Keras 3.15; once mended, `adapter_saving` can go, and alpha's copy."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.layers[0].enable_lora(1, lora_alpha=4)
    shake(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    [layer] = loaded.layers
    assert not any(map(np.any, factors_of(layer)))
    assert layer.lora_alpha == 1
    # `set_trainable` lets them train.
    kt.set_trainable(loaded, "all")
    a, b = factors_of(layer)
    assert np.any(a) and not np.any(b)

"""Low-rank adapters, as Keras's own layers have them beside their kernels."""

import keras


def is_adapted(layer) -> bool:
    """Tell whether a layer has an adapter."""
    has = getattr(layer, "lora_enabled", False)
    return bool(has) and not isinstance(layer, keras.Model)


def find_adapted(model: keras.Model) -> list[keras.layers.Layer]:
    """List the layers of a model that have adapters, inside others too."""
    return [layer for layer in model._flatten_layers() if is_adapted(layer)]


def can_be_adapted(layer) -> bool:
    """Tell whether Keras can give a layer an adapter, and merge it again."""
    constraints = (
        getattr(layer, f"{name}_constraint", None)
        for name in ("kernel", "embeddings")
    )
    return (
        hasattr(layer, "lora_enabled")
        and not isinstance(layer, keras.Model)
        and not layer.lora_enabled
        and layer.built
        and layer.quantization_mode is None
        and not any(constraints)
    )


def kernel_of(layer) -> keras.Variable:
    """Return the weight of a layer that an adapter stands beside."""
    if isinstance(layer, keras.layers.Embedding):
        return layer._embeddings
    return layer._kernel


def factors_of(layer) -> tuple[keras.Variable, keras.Variable]:
    """Return the factors `A` and `B` of the adapter of a layer."""
    if isinstance(layer, keras.layers.Embedding):
        return layer.lora_embeddings_a, layer.lora_embeddings_b
    return layer.lora_kernel_a, layer.lora_kernel_b


def weights_without_factors(model: keras.Model) -> list[keras.Variable]:
    """List the weights that a model has without its adapters, in order."""
    factors = {id(v) for x in find_adapted(model) for v in factors_of(x)}
    return [weight for weight in model.weights if id(weight) not in factors]


def describe_adapters(model: keras.Model) -> list[list]:
    """Describe the adapters of a model, as JSON can hold it.

    Args:
        model: A built Keras model.

    Returns:
        For each its place, rank and alpha. The place is that of its kernel in
        `weights_without_factors`.
    """
    weights = weights_without_factors(model)
    place = {id(weight): n for n, weight in enumerate(weights)}
    return [
        [place[id(kernel_of(layer))], layer.lora_rank, layer.lora_alpha]
        for layer in find_adapted(model)
    ]


def find_places(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """Map places, as in `describe_adapters`, to layers that can be adapted."""
    weights = weights_without_factors(model)
    place = {id(weight): n for n, weight in enumerate(weights)}
    return {
        place[id(kernel_of(layer))]: layer
        for layer in model._flatten_layers()
        if is_adapted(layer) or can_be_adapted(layer)
    }


def restore_adapters(model: keras.Model, described: list[list]) -> None:
    """Give a model the adapters that another one of its kind has.

    Args:
        model: A built model, with some of these adapters or none.
        described: From `describe_adapters`.
    """
    places = find_places(model)
    for place, rank, alpha in described:
        layer = places[place]
        if not is_adapted(layer):
            layer.enable_lora(rank)
        # Keras 3.15: `Dense` and `Embedding` lose it when they are rebuilt.
        layer.lora_alpha = alpha


def revive_adapter(layer) -> None:
    """Let an adapter train whose factors are both 0.

    Keras 3.15 merges an adapter when it is saved, and loads zeros for both
    factors: their gradients are 0, too, and it never trains again.
    """
    a, b = factors_of(layer)
    is_dead = not (keras.ops.any(a.value) or keras.ops.any(b.value))
    if is_dead:
        a.assign(keras.initializers.HeUniform()(a.shape, a.dtype))

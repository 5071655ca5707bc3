"""What every source of pretrained networks gives: a `Backbone`."""

import dataclasses

import keras

from keras_transfer.backbones.layer_groups import LayerGroup, layer_groups


@dataclasses.dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network without its head, and how to feed it.

    Attributes:
        model: The network, from preprocessed inputs to features: a feature
            map `(batch, height, width, channels)`, a sequence
            `(batch, steps, channels)` or vectors `(batch, channels)`.
        preprocess: A layer that turns raw inputs (RGB in [0, 255]) into what
            the network was trained on.
        source: Where it came from, as it was asked for.
        modality: `"image"` or `"other"`.
    """

    model: keras.Model
    preprocess: keras.layers.Layer
    source: str
    modality: str = "image"

    def __post_init__(self):
        shape = self.model.output_shape
        if len(self.model.inputs) != 1 or not isinstance(shape, tuple):
            raise ValueError(
                "A backbone has one input and one output tensor. "
                f"Received: input_shape={self.model.input_shape}, "
                f"output_shape={shape}"
            )

    @property
    def name(self) -> str:
        """The name of the network."""
        return self.model.name

    @property
    def groups(self) -> tuple[LayerGroup, ...]:
        """The layer groups of the network, from input to output."""
        return layer_groups(self.model, with_head=False)

    @property
    def input_shape(self) -> tuple:
        """Shape of one input, without the batch."""
        return tuple(self.model.input_shape[1:])

    @property
    def input_dtype(self) -> str:
        """Dtype of the inputs of the network."""
        return self.model.inputs[0].dtype

    @property
    def feature_dim(self) -> int:
        """Number of channels of the features."""
        return self.model.output_shape[-1]


def check_backbone(backbone) -> None:
    """Refuse what is no `Backbone`.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(backbone, Backbone):
        raise ValueError(
            "`backbone` must come from `kt.load_backbone(source)`. "
            f"Received: backbone={backbone!r}"
        )

"""Transfer learning for Keras 3: backbones, layer groups, phases, TensorBoard."""

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.backbones.layer_groups import LayerGroup, layer_groups
from keras_transfer.backbones.loading import list_backbones, load_backbone
from keras_transfer.backbones.split import split_model
from keras_transfer.builders.classifier import build_classifier
from keras_transfer.builders.decoding import decode_predictions
from keras_transfer.builders.replace_head import replace_head
from keras_transfer.data.augmentation import TrainingOnly
from keras_transfer.data.image_folder import load_image_folder
from keras_transfer.freezing.phase import Phase
from keras_transfer.freezing.summary import trainable_summary
from keras_transfer.freezing.trainable import set_trainable

__version__ = "0.1.0"

__all__ = [
    "Backbone",
    "HubLayer",
    "LayerGroup",
    "Phase",
    "TrainingOnly",
    "build_classifier",
    "decode_predictions",
    "layer_groups",
    "list_backbones",
    "load_backbone",
    "load_image_folder",
    "replace_head",
    "set_trainable",
    "split_model",
    "trainable_summary",
]

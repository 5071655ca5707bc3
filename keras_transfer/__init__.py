"""Transfer learning for Keras 3: backbones, layer groups, phases, TensorBoard.

```python
import keras_transfer as kt

train, validation = kt.load_image_folder("photos")
backbone = kt.load_backbone("bundled:efficientnet_lite0")
model = kt.build_classifier(backbone, train.class_names)
result = kt.fine_tune(model, train, validation)
print(result.report)
```
"""

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.efficientnet_lite import EfficientNetLite0
from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.backbones.layer_groups import LayerGroup, layer_groups
from keras_transfer.backbones.loading import list_backbones, load_backbone
from keras_transfer.backbones.split import split_model
from keras_transfer.board.compare_runs import compare_runs
from keras_transfer.board.grad_cam import grad_cam
from keras_transfer.board.read_run import read_run
from keras_transfer.builders.classifier import build_classifier
from keras_transfer.builders.decoding import decode_predictions
from keras_transfer.builders.extend_classes import extend_classes
from keras_transfer.builders.multitask import build_multitask
from keras_transfer.builders.old_task import old_task
from keras_transfer.builders.progressive import build_progressive
from keras_transfer.builders.replace_head import replace_head
from keras_transfer.caching.cache_features import cache_features
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.callbacks.best_weights import BestWeights
from keras_transfer.callbacks.forgetting_monitor import ForgettingMonitor
from keras_transfer.callbacks.gradual_unfreezing import GradualUnfreezing
from keras_transfer.callbacks.phase_backup import PhaseBackup
from keras_transfer.callbacks.transfer_board import TransferBoard
from keras_transfer.data.augmentation import TrainingOnly
from keras_transfer.data.image_folder import load_image_folder
from keras_transfer.forgetting.choose_memory import choose_memory
from keras_transfer.forgetting.ewc import EWC
from keras_transfer.forgetting.interpolate_weights import interpolate_weights
from keras_transfer.forgetting.l2sp import L2SP
from keras_transfer.forgetting.learn_without_forgetting import (
    learn_without_forgetting,
)
from keras_transfer.forgetting.recompute_batch_norm import (
    recompute_batch_norm,
)
from keras_transfer.forgetting.rehearse import rehearse
from keras_transfer.forgetting.soup_weights import soup_weights
from keras_transfer.forgetting.sweep_weights import sweep_weights
from keras_transfer.forgetting.weight_soup import WeightSoup
from keras_transfer.forgetting.weight_sweep import WeightSweep
from keras_transfer.freezing.add_lora import add_lora
from keras_transfer.freezing.load_delta import load_delta
from keras_transfer.freezing.merge_lora import merge_lora
from keras_transfer.freezing.phase import Phase
from keras_transfer.freezing.save_delta import save_delta
from keras_transfer.freezing.summary import trainable_summary
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.insight.audit.audit_report import AuditReport
from keras_transfer.insight.audit_images import audit_images
from keras_transfer.insight.backbone_ranking import BackboneRanking
from keras_transfer.insight.baseline import baseline
from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.calibrate import Calibration, calibrate
from keras_transfer.insight.rank_backbones import rank_backbones
from keras_transfer.insight.recommendation import Recommendation
from keras_transfer.optimizers.discriminative_optimizer import (
    DiscriminativeOptimizer,
)
from keras_transfer.optimizers.learning_rate_finder import find_learning_rate
from keras_transfer.recipes import strategies
from keras_transfer.recipes.fine_tune import fine_tune
from keras_transfer.recipes.recommend import recommend
from keras_transfer.recipes.transfer_result import TransferResult
from keras_transfer.recipes.update import update
from keras_transfer.recipes.update_result import UpdateResult

__version__ = "0.1.0"

__all__ = [
    "EWC",
    "L2SP",
    "AuditReport",
    "Backbone",
    "BackboneRanking",
    "Baselines",
    "BestWeights",
    "Calibration",
    "DiscriminativeOptimizer",
    "EfficientNetLite0",
    "FeatureCache",
    "ForgettingMonitor",
    "GradualUnfreezing",
    "HubLayer",
    "LayerGroup",
    "Phase",
    "PhaseBackup",
    "Recommendation",
    "TrainingOnly",
    "TransferBoard",
    "TransferResult",
    "UpdateResult",
    "WeightSoup",
    "WeightSweep",
    "add_lora",
    "audit_images",
    "baseline",
    "build_classifier",
    "build_multitask",
    "build_progressive",
    "cache_features",
    "calibrate",
    "choose_memory",
    "compare_runs",
    "decode_predictions",
    "extend_classes",
    "find_learning_rate",
    "fine_tune",
    "grad_cam",
    "interpolate_weights",
    "layer_groups",
    "learn_without_forgetting",
    "list_backbones",
    "load_backbone",
    "load_delta",
    "load_image_folder",
    "merge_lora",
    "old_task",
    "rank_backbones",
    "read_run",
    "recommend",
    "recompute_batch_norm",
    "rehearse",
    "replace_head",
    "save_delta",
    "set_trainable",
    "soup_weights",
    "split_model",
    "strategies",
    "sweep_weights",
    "trainable_summary",
    "update",
]

"""What a run is, in words."""

import platform
import time
from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.board.class_report import escape_markdown


def run_markdown(
    model: keras.Model, run: str, settings: Mapping[str, object] | None
) -> str:
    """Describe in markdown what trains, how, on what, and since when.

    Args:
        model: A compiled Keras model.
        run: Name of the run.
        settings: Its settings by name, if there are any.

    Returns:
        A heading and a table.
    """
    devices = tf.config.list_physical_devices("GPU")
    names = [
        tf.config.experimental.get_device_details(device).get(
            "device_name", device.name
        )
        for device in devices
    ]
    rows = [
        ("model", model.name),
        ("weights", f"{count_weights(model.weights):,}"),
        ("optimizer", type(model.optimizer).__name__),
        *(settings or {}).items(),
        ("begun", time.strftime("%Y-%m-%d %H:%M")),
        ("on", ", ".join(names) or f"CPU ({platform.machine()})"),
        ("with", f"Keras {keras.__version__}, TensorFlow {tf.__version__}"),
    ]
    lines = [
        f"| {escape_markdown(str(name).replace('_', ' '))} | "
        f"{escape_markdown(value)} |"
        for name, value in rows
    ]
    heading = f"### {escape_markdown(run)}"
    return "\n".join([heading, "", lines[0], "|:--|:--|", *lines[1:]])

"""The settings of a run, for TensorBoard's table of hyperparameters."""

from collections.abc import Iterable, Mapping

import tensorflow as tf
from tensorboard.plugins.hparams import api, plugin_data_pb2, summary_v2

_SHOWN = 5


def write_settings(
    settings: Mapping[str, bool | int | float | str],
    run: str,
    metrics: Iterable[str],
) -> None:
    """Write settings, and which metrics go beside them in the table.

    They go to the summary writer that is the default one, which is that of
    the folder around those of training and validation.

    Args:
        settings: Values by name. What is no number, truth value or text is
            shown as text.
        run: Name of the run.
        metrics: Names of metrics as an epoch gives them; those of validation
            begin with `val_`.
    """
    shown = {name: _plain(value) for name, value in settings.items()}
    config = summary_v2.hparams_config_pb(
        hparams=[api.HParam(name) for name in shown],
        metrics=[_describe(name) for name in metrics],
    )
    [value] = config.value
    _mark_first(value.metadata.plugin_data)
    tf.summary.experimental.write_raw_pb(config.SerializeToString(), step=0)
    api.hparams(shown, trial_id=run)


def _mark_first(plugin_data) -> None:
    """Let the table begin with the first settings.

    It shows those that are said to differ, or the first five by the alphabet.
    """
    content = plugin_data_pb2.HParamsPluginData.FromString(plugin_data.content)
    for info in content.experiment.hparam_infos[:_SHOWN]:
        info.differs = True
    plugin_data.content = content.SerializeToString()


def _describe(metric: str) -> api.Metric:
    name = metric.removeprefix("val_")
    group = "train" if name == metric else "validation"
    return api.Metric(
        f"epoch_{name}", group=group, display_name=f"{group} {name}"
    )


def _plain(value) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)

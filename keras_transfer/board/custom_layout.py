"""One page of TensorBoard's Custom Scalars for a training in phases."""

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2, metadata

# From charts to patterns of the tags that they show.
_PAGES = {
    "Learning": {
        "loss": ["epoch_loss$"],
        "metrics": [r"epoch_(?!loss$|learning_rate$|steps_per_second$).*"],
        "gap between training and validation, loss": ["gap/loss$"],
        "gap between training and validation, metrics": [r"gap/(?!loss$).*"],
    },
    "What trains": {
        "phase": ["phase/number$"],
        "trainable share": ["phase/trainable_share$"],
        "learning rates": ["learning_rate/.*"],
        "gradient norms": ["gradient/.*"],
        "updates, as a share of the weights": ["update/.*"],
    },
    "Drift": {
        "drift from the first weights": ["drift/(?!head$).*"],
        # From random weights, it goes far beyond the others.
        "drift of the head": ["drift/head$"],
    },
    "Speed": {
        "examples a second": ["speed/examples_per_second$"],
        "seconds an epoch": ["speed/seconds$"],
        "examples from the cache": ["speed/cached_examples$"],
    },
}


def write_layout() -> None:
    """Write the page to the summary writer that is the default one."""
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(
                        title=chart,
                        multiline=layout_pb2.MultilineChartContent(tag=tags),
                    )
                    for chart, tags in charts.items()
                ],
            )
            for title, charts in _PAGES.items()
        ]
    )
    kind = metadata.create_summary_metadata().SerializeToString()
    tf.summary.write(
        metadata.CONFIG_SUMMARY_TAG,
        tf.constant(layout.SerializeToString()),
        step=0,
        metadata=tf.compat.v1.SummaryMetadata.FromString(kind),
    )

"""BatchNorm folded into the weights of the operation before it."""

import math
from collections import defaultdict

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.python.grappler import tf_optimizer

_LINEAR = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_BATCH_NORM = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def fold_scales(
    graph_def: tf.compat.v1.GraphDef, outputs: list[str]
) -> tf.compat.v1.GraphDef:
    """Fold what scales and shifts the channels of an operation into it.

    Convolutions and matrix products with constant weights take in the
    constants by which their result, which nothing else reads, is multiplied
    or to which it is added: biases, frozen BatchNorm. What TensorFlow does by
    itself leaves out all but `Conv2D` that a product follows at once.

    Args:
        graph_def: A graph without variables.
        outputs: Names of the nodes that are wanted.

    Returns:
        A graph with the same outputs and no node that they do not need.
    """
    graph_def = _compute_constants(graph_def, outputs)
    nodes = {node.name: node for node in graph_def.node}
    readers = defaultdict(list)
    for node in graph_def.node:
        for read in node.input:
            name = read.lstrip("^").partition(":")[0]
            readers[name].append((node, read))
    for node in list(graph_def.node):
        if node.op in _LINEAR:
            _fold_into(node, graph_def, nodes, readers)
    return _compute_constants(graph_def, outputs)


def _compute_constants(graph_def, outputs):
    config = ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.append("constfold")
    rewrite.min_graph_nodes = -1  # small graphs as well
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.extend(outputs)
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _fold_into(linear, graph_def, nodes, readers) -> None:
    constant = _find_constant(nodes, linear.input[1])
    if constant is None or not _has_last_channels(linear):
        return
    shape = [side.size for side in constant.tensor_shape.dim]
    by_channel = shape[-2:] if "Depthwise" in linear.op else shape[-1:]
    channels, rank = math.prod(by_channel), len(shape)
    scale, shift = np.ones(channels), np.zeros(channels)
    last = linear
    while len(readers[last.name]) == 1:
        ((reader, read),) = readers[last.name]
        step = None
        if read == last.name:
            step = _read_step(reader, read, nodes, readers, channels, rank)
        if step is None:
            break
        factor, summand = step
        scale, shift, last = scale * factor, shift * factor + summand, reader
    if last is linear:
        return
    folded = graph_def.node.add()
    folded.CopyFrom(linear)
    folded.name = f"{last.name}/folded"
    scale = scale.reshape(by_channel).astype("float32")
    weights = tf.make_ndarray(constant) * scale
    folded.input[1] = _add_constant(graph_def, f"{folded.name}/scale", weights)
    bias = _add_constant(graph_def, f"{folded.name}/shift", shift)
    name = last.name
    last.Clear()
    last.name, last.op = name, "BiasAdd"
    last.input.extend([folded.name, bias])
    last.attr["T"].type = tf.float32.as_datatype_enum


def _read_step(node, read, nodes, readers, channels, rank):
    """Read by what a node multiplies what it reads, and what it adds."""

    def read_vector(name):
        constant = _find_constant(nodes, name)
        shape = [1]
        if constant is not None:
            shape = [side.size for side in constant.tensor_shape.dim] or [1]
        whole = math.prod(shape) == shape[-1] in (1, channels)
        if constant is None or len(shape) > rank or not whole:
            return None
        return tf.make_ndarray(constant).reshape(-1).astype("float64")

    if node.op in _BATCH_NORM:
        vectors = [read_vector(name) for name in node.input[1:5]]
        if (
            node.input[0] != read
            or _read_attribute(node, "is_training").b
            or not _has_last_channels(node)
            or any(vector is None for vector in vectors)
            or any(name != node.name for _, name in readers[node.name])
        ):
            return None
        gamma, beta, mean, variance = vectors
        factor = gamma / np.sqrt(variance + _read_attribute(node, "epsilon").f)
        return factor, beta - mean * factor
    if node.op not in ("Add", "AddV2", "BiasAdd", "Mul"):
        return None
    if not _has_last_channels(node):
        return None
    first, second = node.input[:2]
    vector = read_vector(second if first == read else first)
    if vector is None:
        return None
    return (vector, 0.0) if node.op == "Mul" else (1.0, vector)


def _has_last_channels(node) -> bool:
    layout = _read_attribute(node, "data_format").s
    transposes = _read_attribute(node, "transpose_b").b
    return layout in (b"", b"NHWC") and not transposes


def _read_attribute(node, name):
    # `node.attr[name]` would make an empty attribute where there is none.
    return node.attr.get(name, AttrValue())


def _find_constant(nodes, name):
    node = nodes.get(name)
    if node is None or node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    return tensor if tensor.dtype == tf.float32.as_datatype_enum else None


def _add_constant(graph_def, name, value) -> str:
    node = graph_def.node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    tensor = tf.make_tensor_proto(value.astype("float32"))
    node.attr["value"].tensor.CopyFrom(tensor)
    return name

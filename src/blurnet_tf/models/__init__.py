"""Models: the LISA-CNN and its variants, and any model from a file. The network is Keras alone."""

from blurnet_tf.models.lisa_cnn import feature_layer, lisa_cnn
from blurnet_tf.models.network import NETWORKS, Network, build_network
from blurnet_tf.models.variants import (
    INPUT_VARIANTS,
    KERNEL_VARIANTS,
    TRAINED_VARIANTS,
    TRANSFER_VARIANTS,
    VARIANTS,
    Defense,
    Variant,
)
from blurnet_tf.models.weights import LayerWeights, layer_weights, set_layer_weights, weights_sha256

__all__ = [
    "INPUT_VARIANTS", "KERNEL_VARIANTS", "NETWORKS", "TRAINED_VARIANTS", "TRANSFER_VARIANTS", "VARIANTS", "Defense",
    "LayerWeights", "Network", "Variant", "build_network", "feature_layer", "layer_weights", "lisa_cnn",
    "set_layer_weights", "weights_sha256",
]  # fmt: skip

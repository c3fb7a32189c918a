"""Models: the LISA-CNN and its variants, and anybody's model from a file. The network is Keras alone."""

from blurnet_tf.models.lisa_cnn import (
    TRAINED_VARIANTS,
    TRANSFER_VARIANTS,
    VARIANTS,
    Variant,
    feature_layer,
    layer_weights,
    lisa_cnn,
    set_layer_weights,
    weights_sha256,
)

__all__ = [
    "TRAINED_VARIANTS",
    "TRANSFER_VARIANTS",
    "VARIANTS",
    "Variant",
    "feature_layer",
    "layer_weights",
    "lisa_cnn",
    "set_layer_weights",
    "weights_sha256",
]

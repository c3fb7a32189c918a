"""Defences: blur layers, penalties, the LISA-CNN and its variants. Keras alone, so any Keras backend runs them."""

from blurnet_tf.defenses.callbacks import TVLossCallback
from blurnet_tf.defenses.kernels import KERNELS, blur_kernel
from blurnet_tf.defenses.layers import FixedBlur, LearnableBlur
from blurnet_tf.defenses.lisa_cnn import (
    TRAINED_VARIANTS,
    TRANSFER_VARIANTS,
    VARIANTS,
    Variant,
    feature_layer,
    layer_weights,
    lisa_cnn,
    set_layer_weights,
)
from blurnet_tf.defenses.regularizers import ChannelLInf, TotalVariation
from blurnet_tf.defenses.retrofit import defend
from blurnet_tf.defenses.training import train

__all__ = [
    "KERNELS",
    "TRAINED_VARIANTS",
    "TRANSFER_VARIANTS",
    "VARIANTS",
    "ChannelLInf",
    "FixedBlur",
    "LearnableBlur",
    "TVLossCallback",
    "TotalVariation",
    "Variant",
    "blur_kernel",
    "defend",
    "feature_layer",
    "layer_weights",
    "lisa_cnn",
    "set_layer_weights",
    "train",
]

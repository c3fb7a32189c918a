"""Defences for any Keras model: blur layers and penalties. Keras alone, so any Keras backend runs them."""

from blurnet_tf.defenses.callbacks import TVLossCallback
from blurnet_tf.defenses.kernels import WINDOWS, blur_kernel
from blurnet_tf.defenses.layers import FixedBlur, LearnableBlur
from blurnet_tf.defenses.regularizers import ChannelLInf, TotalVariation
from blurnet_tf.defenses.retrofit import defend

__all__ = [
    "WINDOWS", "ChannelLInf", "FixedBlur", "LearnableBlur", "TVLossCallback", "TotalVariation", "blur_kernel", "defend",
]  # fmt: skip

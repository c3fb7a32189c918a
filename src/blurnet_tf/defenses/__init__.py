"""Defences for any Keras model: blur layers and penalties. Keras alone, so any Keras backend runs them."""

from blurnet_tf.defenses.callbacks import TVLossCallback
from blurnet_tf.defenses.kernels import WINDOWS, blur_kernel
from blurnet_tf.defenses.layers import FixedBlur, LearnableBlur
from blurnet_tf.defenses.regularizers import ChannelLInf, KernelTotalVariation, TotalVariation
from blurnet_tf.defenses.retrofit import defend
from blurnet_tf.defenses.squeezing import JPEG, BitDepth, MedianFilter
from blurnet_tf.defenses.votes import BoundedVotes

__all__ = [
    "JPEG", "WINDOWS", "BitDepth", "BoundedVotes", "ChannelLInf", "FixedBlur", "KernelTotalVariation", "LearnableBlur",
    "MedianFilter", "TVLossCallback", "TotalVariation", "blur_kernel", "defend",
]  # fmt: skip

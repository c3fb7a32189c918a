"""From attacked images to numbers: records of single predictions, the metrics over them, and what layers see."""

from blurnet_tf.evaluation.feature_maps import layer_maps
from blurnet_tf.evaluation.high_frequency import measure_layers, strongest_maps
from blurnet_tf.evaluation.scoring import confidence, predict
from blurnet_tf.evaluation.spectra import RADIUS

__all__ = ["RADIUS", "confidence", "layer_maps", "measure_layers", "predict", "strongest_maps"]

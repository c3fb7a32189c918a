"""Export: a model as a SavedModel, as `.keras`, and on request for LiteRT and ONNX, for code without this package."""

from blurnet_tf.export.card import model_card
from blurnet_tf.export.resizing import resize
from blurnet_tf.export.saved_model import ENDPOINTS, FORMATS, check_formats, export_model
from blurnet_tf.export.zoo_card import zoo_card

__all__ = ["ENDPOINTS", "FORMATS", "check_formats", "export_model", "model_card", "resize", "zoo_card"]

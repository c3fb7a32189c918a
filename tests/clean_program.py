"""Run in a process without `blurnet_tf`, by tests/test_export.py: load the exports, and ask them everything."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

said = {"blocked": [], "refused": []}
for module in ("blurnet_tf", "experiments", "PIL", "cv2", "cleverhans"):
    try:
        __import__(module)
    except ImportError:
        said["blocked"].append(module)

inputs = np.load("inputs.npz", allow_pickle=False)
image = tf.constant(inputs["image"])
outputs = {}
for name in sys.argv[1:]:
    loaded = tf.saved_model.load(name)
    with tf.GradientTape() as tape:
        tape.watch(image)
        logits = loaded.signatures["serving_default"](image=image)["logits"]
    gradient = tape.gradient(logits, image)
    outputs[f"{name}/logits"] = logits
    outputs[f"{name}/gradient"] = np.zeros(0) if gradient is None else gradient
    outputs[f"{name}/feature_maps"] = loaded.signatures["feature_maps"](image=image)["feature_maps"]

name = sys.argv[1]
loaded = tf.saved_model.load(name)
said["weights"] = len(loaded.trainable_variables)
said["signatures"] = {
    key: [
        {spec.name: [spec.dtype.name, spec.shape.as_list()] for spec in one.structured_input_signature[1].values()},
        {output: [spec.dtype.name, spec.shape.as_list()] for output, spec in one.structured_outputs.items()},
    ]
    for key, one in loaded.signatures.items()
}
files = [Path(f"{number}.bin").read_bytes() for number in range(6)]
for key, answer in {
    "classify": loaded.signatures["classify"](image=tf.constant(inputs["crops"])),
    "classify_encoded": loaded.signatures["classify_encoded"](image_bytes=tf.constant(files)),
}.items():
    words = [word.decode() for word in answer["class_name"].numpy()]
    said[key] = [answer["class_index"].numpy().tolist(), words, answer["probability"].numpy().tolist()]
for ask, wrong in ((loaded.classify, tf.zeros((1, 0, 5, 3), tf.uint8)), (loaded.classify_encoded, tf.constant(["no"]))):
    try:
        ask(wrong)
    except tf.errors.InvalidArgumentError as error:
        said["refused"].append(str(error))

frozen = tf.keras.layers.TFSMLayer(name, call_endpoint="serving_default", trainable=False)
inner = tf.keras.Input((32, 32, 3))
outer = tf.keras.Model(inner, tf.keras.layers.Rescaling(2.0)(frozen(inner)["logits"]))
outputs["outer"] = outer.predict(inputs["image"], verbose=0)

warnings.simplefilter("ignore")  # TensorFlow's own interpreter points to LiteRT's package
runner = tf.lite.Interpreter(f"{name}/{name}.tflite").get_signature_runner("serving_default")
said["litert"] = [sorted(runner.get_input_details()), sorted(runner.get_output_details())]
for count in (3, 1):
    for key, value in runner(image=inputs["image"][:count]).items():
        outputs[f"litert/{key}/{count}"] = value
np.savez("outputs.npz", **outputs)
print(json.dumps(said))

"""A SavedModel is a program: what may do more than compute is not loaded unasked, and a damaged export is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from blurnet_tf import export_model, load_classifier
from blurnet_tf.commands.main import main
from blurnet_tf.models.operations import COMPUTING, unsafe_operations
from tests import foreign

IMAGES = tf.TensorSpec((None, foreign.SIZE, foreign.SIZE, 3), tf.float32, "images")


class _Writes(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
    """A resource whose start, which runs when the model is loaded, writes a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def _create_resource(self) -> Any:
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(), shared_name="written")

    def _initialize(self) -> None:
        tf.io.write_file(self.path, "written")


def _saved(folder: Path, module: tf.Module, answer: Any) -> Path:
    module.model = foreign.keras_model()
    function = tf.function(answer, input_signature=[IMAGES])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


@pytest.fixture
def writer(tmp_path: Path) -> Path:
    """A SavedModel that writes tmp_path/written when it is loaded."""
    module = tf.Module()
    module.resource = _Writes(tmp_path / "written")

    def answer(images: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.raw_ops.VarIsInitializedOp(resource=module.resource.resource_handle)]):
            return {"logits": module.model(images)}

    folder = _saved(tmp_path / "writer", module, answer)
    (tmp_path / "written").unlink(missing_ok=True)
    return folder


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A SavedModel that reads a file when it is called."""
    module = tf.Module()

    def answer(images: Any) -> dict[str, Any]:
        length = tf.strings.length(tf.io.read_file(str(tmp_path / "secret")))
        return {"logits": module.model(images) + tf.cast(length, tf.float32)}

    (tmp_path / "secret").write_text("12345", encoding="utf-8")
    return _saved(tmp_path / "reader", module, answer)


def test_what_would_write_when_it_is_loaded_is_not_loaded(writer: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"may do more than compute.*WriteFile.*trust"):
        load_classifier(writer)
    assert not (tmp_path / "written").exists()
    load_classifier(writer, trust=True)
    assert (tmp_path / "written").exists()  # so this is no empty test


def test_what_would_read_is_not_loaded(reader: Path) -> None:
    with pytest.raises(ValueError, match=r"may do more than compute.*ReadFile"):
        load_classifier(reader)
    assert load_classifier(reader, trust=True).trusted


def test_the_command_asks_for_trust_and_looks_without_it(
    reader: Path, writer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "--model", str(writer), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unsafe"] == ["WriteFile"]
    tf.keras.utils.save_img(tmp_path / "sign.png", tf.zeros((12, 12, 3)).numpy(), scale=False)
    picture = str(tmp_path / "sign.png")
    assert main(["classify", picture, "--model", str(writer)]) == 1
    assert "--trust" in capsys.readouterr().err
    assert not (tmp_path / "written").exists()
    assert main(["classify", picture, "--model", str(reader), "--trust"]) == 0


def _proto(folder: Path) -> Any:
    content = SavedModel()
    content.ParseFromString((folder / "saved_model.pb").read_bytes())
    return content


def test_nothing_hides_among_the_functions_of_the_saver(reader: Path) -> None:
    content = _proto(reader)
    (graph,) = content.meta_graphs
    assert unsafe_operations(content) == ["ReadFile"]
    called = {node.name: node.attr["f"].func.name for node in graph.graph_def.node if "f" in node.attr}
    (serving,) = (name for name, function in called.items() if "signature_wrapper" in function)
    graph.saver_def.restore_op_name = serving  # says that the function of the signature is the saver's
    assert "ReadFile" in unsafe_operations(content)


def test_the_saver_of_tensorflow_1_runs_when_it_is_loaded_and_counts(reader: Path) -> None:
    content = _proto(reader)
    (graph,) = content.meta_graphs
    graph.ClearField("object_graph_def")
    assert {"MergeV2Checkpoints", "ReadFile", "RestoreV2", "SaveV2"} <= set(unsafe_operations(content))


@pytest.mark.parametrize("place", ["function", "bare_concrete_function", "gradient", "nested"])
def test_a_function_of_the_saver_that_is_named_elsewhere_counts(place: str, writer: Path) -> None:
    content = _proto(writer)
    (graph,) = content.meta_graphs
    library, objects = graph.graph_def.library, graph.object_graph_def
    (bad,) = (one.signature.name for one in library.function if any(node.op == "WriteFile" for node in one.node_def))
    name = graph.saver_def.restore_op_name.partition(":")[0]
    (saver,) = (node for node in graph.graph_def.node if node.name == name)
    # Nothing else names it now: it passes for a function of the saver, in which writing files is no news.
    saver.attr["f"].func.name = bad
    objects.concrete_functions.pop(bad, None)
    for one in objects.nodes:
        if bad in one.function.concrete_functions:
            one.function.concrete_functions.remove(bad)
        if one.bare_concrete_function.concrete_function_name == bad:
            one.ClearField("bare_concrete_function")
    inside = (node for one in library.function if one.signature.name != bad for node in one.node_def)
    for node in (*inside, *(node for node in graph.graph_def.node if node.name != name)):
        for value in node.attr.values():
            if value.func.name == bad:
                value.func.name = "none"
    assert unsafe_operations(content) == ["RestoreV2", "WriteFile"]  # the old one counts, and no saver writes like that
    for one in library.function:
        for node in one.node_def:
            if node.op == "WriteFile":
                node.op = "SaveV2"  # as the saver does
    assert unsafe_operations(content) == ["RestoreV2"]
    if place == "function":
        objects.nodes.add().function.concrete_functions.append(bad)
    elif place == "bare_concrete_function":
        objects.nodes.add().bare_concrete_function.concrete_function_name = bad
    elif place == "gradient":
        library.gradient.add(function_name="x", gradient_func=bad)
    else:
        inner = graph.graph_def.node.add(name="call", op="StatefulPartitionedCall").attr["f"].func
        inner.name = "x"
        inner.attr["g"].list.func.add(name=bad)
    assert "SaveV2" in unsafe_operations(content)


def test_a_function_that_tensorflow_may_run_in_place_of_another_is_none_of_the_saver(reader: Path) -> None:
    content = _proto(reader)
    (graph,) = content.meta_graphs
    name = graph.saver_def.restore_op_name.partition(":")[0]
    (saver,) = (node for node in graph.graph_def.node if node.name == name)
    assert unsafe_operations(content) == ["ReadFile"]
    called = saver.attr["f"].func.name
    (function,) = (one for one in graph.graph_def.library.function if one.signature.name == called)
    function.attr["api_implements"].s = b"an interface that a function of the model implements, too"
    assert unsafe_operations(content) == ["ReadFile", "RestoreV2"]


def test_each_of_two_functions_of_one_name_counts(reader: Path) -> None:
    content = _proto(reader)
    library = content.meta_graphs[0].graph_def.library
    (bad,) = (one for one in library.function if any(node.op == "ReadFile" for node in one.node_def))
    harmless = library.function.add()
    harmless.CopyFrom(bad)
    del harmless.node_def[:]
    assert unsafe_operations(content) == ["ReadFile"]


def test_no_function_passes_for_an_operation_of_tensorflow(reader: Path) -> None:
    content = _proto(reader)
    (graph,) = content.meta_graphs
    graph.graph_def.node.add(name="x", op="WriteFile")
    graph.graph_def.library.function.add().signature.name = "WriteFile"
    assert unsafe_operations(content) == ["ReadFile", "WriteFile"]


def test_an_operation_that_is_not_known_is_not_trusted(reader: Path) -> None:
    content = _proto(reader)
    content.meta_graphs[0].graph_def.node.add(name="x", op="ImmutableConst")  # reads a file, by its name nobody's guess
    assert unsafe_operations(content) == ["ImmutableConst", "ReadFile"]
    for name in ("WriteFile", "PyFunc", "EagerPyFunc", "PrintV2", "RestoreV2", "SaveV2", "XlaCallModule", "RemoteCall"):
        assert name not in COMPUTING
    assert all(hasattr(tf.raw_ops, name) for name in COMPUTING)  # each is an operation of TensorFlow


def test_usual_models_need_no_trust(tmp_path: Path) -> None:
    x = image = keras.Input((32, 32, 3))
    for layer in (
        keras.layers.Rescaling(2.0, -1.0), keras.layers.Resizing(24, 24), keras.layers.ZeroPadding2D(),
        keras.layers.SeparableConv2D(8, 3, activation="gelu"), keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(), keras.layers.Conv2DTranspose(4, 3, activation="silu"), keras.layers.Dropout(0.5),
        keras.layers.LayerNormalization(), keras.layers.UpSampling2D(), keras.layers.AveragePooling2D(2),
        keras.layers.Reshape((-1, 4)), keras.layers.LSTM(4, return_sequences=True),
    ):  # fmt: skip
        x = layer(x)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))
    model.export(tmp_path / "keras", verbose=False)
    tf.saved_model.save(model, str(tmp_path / "tensorflow"))
    for kind in ("keras", "tensorflow"):
        assert unsafe_operations(_proto(tmp_path / kind)) == []
        assert load_classifier(tmp_path / kind).classes == 3


def test_a_damaged_export_is_noticed(tmp_path: Path) -> None:
    def export(name: str, class_names: tuple[str, ...]) -> Path:
        network, facts = foreign.keras_model(len(class_names)), {"card": "# Mine", "provenance": {}}
        layer = network.layers[1].name
        return export_model(network, tmp_path / name, layer=layer, class_names=class_names, **facts)

    folder, other = export("mine", ("a", "b")), export("other", ("a", "b", "c"))
    assert load_classifier(folder).classes == 2
    labels = folder / "assets" / "labels.txt"
    labels.write_text("b\na\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must be what was exported there"):
        load_classifier(folder)
    record = folder / "assets" / "provenance.json"
    sums = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({"model_sha256": sums["model_sha256"]}), encoding="utf-8")  # as older exports have it
    labels.unlink()
    assert load_classifier(folder).classes == 2
    record.write_text(json.dumps(sums), encoding="utf-8")
    labels.write_text("a\nb\n", encoding="utf-8")
    assert load_classifier(folder).classes == 2
    for part in ("saved_model.pb", *(f"variables/{path.name}" for path in (folder / "variables").iterdir())):
        shutil.copyfile(other / part, folder / part)  # a whole model, but another one
    with pytest.raises(ValueError, match="must be what was exported there"):
        load_classifier(folder)

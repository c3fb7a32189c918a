"""The entry points: what each reads, how it is called, and which of its files must not be taken up when changed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

import blurnet_tf
from blurnet_tf import PROCEDURES, attacks, defenses
from blurnet_tf.attacks import load_mask, load_palette
from blurnet_tf.attacks.masks import bundled
from blurnet_tf.commands.files import load_perturbation
from blurnet_tf.commands.main import main
from blurnet_tf.data.lisa import read_prepared
from blurnet_tf.data.lisa_official import read_official
from blurnet_tf.data.split import read_split, save_split
from blurnet_tf.evaluation.records import read_records, write_records
from blurnet_tf.files import write_json
from blurnet_tf.models import VARIANTS
from blurnet_tf.models.inspection import endpoints
from blurnet_tf.models.zoo import read_index, read_weights_file, write_weights_file
from blurnet_tf.reporting import write_report
from blurnet_tf.runs.checkpoints import read_checkpoint
from blurnet_tf.runs.store import read_cell
from blurnet_tf.runs.trainings import save
from blurnet_tf.signs import CLASS_NAMES, read_class_names
from tests import foreign, planted
from tests.fuzz.damage import VALUES, WORDS


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry point.

    Attributes:
        make: Writes good files into a folder, once.
        call: Reads them.
        harmed: Patterns of the files that are damaged.
        strict: Patterns of files with a checksum: when they are changed, `call` must refuse.
        command: Whether `call` returns the exit code of a command, which says its mistakes itself.
        lenient: Whether nothing that is damaged may raise an error.
        own: Whether all that is given comes from the caller.
    """

    make: Callable[[Path], None]
    call: Callable[[Path, random.Random], Any]
    harmed: tuple[str, ...] = ("*",)
    strict: tuple[str, ...] = ()
    command: bool = False
    lenient: bool = False
    own: bool = False


def _picture(path: Path, size: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def _pictures(folder: Path) -> None:
    for name in ("1.png", "2.jpg", "3.ppm"):
        _picture(folder / name)
    (folder / "labels.csv").write_text("file,label\n1.png,stop\n2.jpg,yield\n3.ppm,14\n")


def _text(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None


def _array(folder: Path) -> None:
    np.save(folder / "x.npy", np.zeros((32, 32, 3), np.float32))


def _models(folder: Path) -> None:
    foreign.keras_model().save(folder / "own.keras")


def _saved_model(folder: Path) -> None:
    model = foreign.keras_model()
    function = tf.function(lambda pixels: {"logits": model(pixels)})
    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]
    signature = function.get_concrete_function(tf.TensorSpec((None, foreign.SIZE, foreign.SIZE, 3), tf.float32))
    tf.saved_model.save(module, str(folder / "own"), signatures={"serving_default": signature})


def _split(folder: Path) -> None:
    save_split(folder / "split.npz", planted.split())


def _zoo(folder: Path) -> None:
    from blurnet_tf.models import layer_weights, lisa_cnn

    write_weights_file(folder / "w.npz", layer_weights(lisa_cnn(seed=0)), (32, 32))


def _index(folder: Path) -> None:
    from blurnet_tf.models import zoo

    packaged = Path(zoo.__file__).parent.parent / "zoo" / "index.json"
    (folder / "index.json").write_bytes(packaged.read_bytes())


def _records(folder: Path) -> None:
    from tests.examples import RECORD

    write_records(folder / "records.csv", [RECORD] * 3)


def _cell(folder: Path) -> None:
    from blurnet_tf.files import sha256
    from tests.examples import RECORD

    write_records(folder / "cell" / "records.csv", [RECORD] * 3)
    np.savez_compressed(folder / "cell" / "arrays.npz", success=np.zeros(5, np.float32))
    files = {name: sha256(folder / "cell" / name) for name in ("records.csv", "arrays.npz")}
    write_json(folder / "cell" / "provenance.json", {"inputs": {}, "files": files, "seconds": 1, "environment": {}})


def _checkpoint(folder: Path) -> None:
    from blurnet_tf.models import lisa_cnn
    from blurnet_tf.training.recipes import recipe

    how = recipe("smoke", "baseline", seed=0)
    settings = {"variant": VARIANTS["baseline"].settings()} | how.settings()
    test = planted.split(4)
    images = np.zeros((4, 32, 32, 3), np.float32)
    test = blurnet_tf.Split(images=images, labels=np.zeros(4, np.int32), ids=test.ids, class_names=CLASS_NAMES)
    save(folder / "baseline.keras", lisa_cnn(seed=0, dtype="float32"), settings, test, {})


def _official(folder: Path) -> None:
    """Two pages of the annotations of LISA, as the University of California gives them."""
    columns = "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;"
    columns += "Lower right corner Y;Occluded,On another road;Origin file;Origin frame number;Origin track;"
    columns += "Origin track frame number"
    lines = [columns]
    for number, name in enumerate(("stop", "yield", "stop", "merge")):
        file = f"vid0/frame{number}.png"
        _picture(folder / file, 64)
        lines.append(f"{file};{name};4;4;40;40;0,0;vid0.avi;{number};{name}_{number}.avi;1")
    (folder / "allAnnotations.csv").write_text("\n".join([*lines, ""]))


def _prepared(folder: Path) -> None:
    from blurnet_tf.data.lisa import Prepared, write_prepared

    n = 8
    pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)
    labels = np.array(["stop", "yield"] * 4)
    arrays = {
        "split": np.array(["train", "test"] * 4),
        "track": np.array([f"v/{index}" for index in range(n)]),
        "csv_row": np.arange(n),
        "source": np.array(["native"] * n),
    }
    write_prepared(folder / "lisa32.npz", Prepared(images=pixels, labels=labels, **arrays))


def _results(folder: Path) -> None:
    from tests.report_results import write_all

    write_all(folder)


def _nothing(folder: Path) -> None:
    (folder / "x.txt").write_text("x")


def _run(*arguments: str) -> int:
    return main(list(arguments))


def _classify(folder: Path, chance: random.Random) -> int:
    pictures = [str(folder / name) for name in ("1.png", "2.jpg", "3.ppm")]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = _run("classify", *pictures, "--model", "baseline")
    print(said.getvalue())
    if said.getvalue().count("%") < 2:
        raise LookupError("two pictures of three are whole, and are not classified")
    return code


def _apply(folder: Path, chance: random.Random) -> int:
    out = str(folder / "out" / "o.png")
    return _run("apply", str(folder / "1.png"), "--perturbation", str(folder / "x.npy"), "--out", out)


def _print(folder: Path, chance: random.Random) -> int:
    return _run(
        "print", "--perturbation", str(folder / "x.npy"), "--mask", str(folder / "m.png"), "--width-mm", "600",
        "--out", str(folder / "out" / "o.pdf"),
    )  # fmt: skip


def _attack(folder: Path, chance: random.Random) -> int:
    return _run(
        "attack", "--model", "baseline", "--images", str(folder), "--target", "yield", "--steps", "1",
        "--mask", str(folder / "m.png"), "--palette", str(folder / "p.csv"), "--nps", "corrected",
        "--out", str(folder / "out"),
    )  # fmt: skip


def _printable(folder: Path) -> None:
    _picture(folder / "1.png")
    _array(folder)
    (folder / "m.png").write_bytes(bundled("sticker.png").read_bytes())


def _attackable(folder: Path) -> None:
    _pictures(folder)
    (folder / "m.png").write_bytes(bundled("sticker.png").read_bytes())
    (folder / "labels.csv").write_text("file,label\n1.png,stop\n2.jpg,stop\n3.ppm,14\nm.png,stop\n")
    (folder / "p.csv").write_bytes(bundled("palette.csv").read_bytes())


def _info(folder: Path, chance: random.Random) -> int:
    return _run("info", "--model", str(folder / "own.keras"), *(["--json"] * (chance.random() < 0.5)))


def _info_saved(folder: Path, chance: random.Random) -> int:
    return _run("info", "--model", str(folder / "own"))


def _arguments(folder: Path, chance: random.Random) -> int:
    """A command with hostile words among its arguments."""
    picture = folder / "1.png"
    good = {
        "classify": [str(picture), "--model", "baseline"],
        "apply": [str(picture), "--perturbation", str(folder / "x.npy"), "--out", str(folder / "o.png")],
        "print": ["--perturbation", str(folder / "x.npy"), "--mask", str(folder / "m.png"), "--width-mm", "600",
                  "--out", str(folder / "o.pdf")],
        "attack": ["--model", "baseline", "--images", str(folder), "--label", "stop", "--target", "yield",
                   "--steps", "1", "--lambda", "0.1", "--seed", "0", "--out", str(folder / "out")],
        "info": ["--model", "baseline"],
    }  # fmt: skip
    name = chance.choice(sorted(good))
    arguments = good[name]
    places = [place for place, text in enumerate(arguments) if not text.startswith("--")]
    place = chance.choice(places)
    word = chance.choice(WORDS)
    # What is written stays in the folder: elsewhere is for the user to choose.
    arguments[place] = (
        str(folder / word.replace("/", "_").strip(".")) if "--out" in arguments[place - 1 :][:1] else word
    )
    return _run(name, *arguments)


@functools.cache
def _makers() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """What a programmer calls, each with arguments that are right."""
    layers: list[Any] = [
        blurnet_tf.FixedBlur(3), blurnet_tf.LearnableBlur(3), defenses.MedianFilter(3), defenses.BitDepth(4),
        defenses.JPEG(), defenses.BoundedVotes(3), blurnet_tf.TotalVariation(0.1), blurnet_tf.ChannelLInf(0.1),
        blurnet_tf.KernelTotalVariation(0.1),
    ]  # fmt: skip
    parts: list[Any] = [
        attacks.Colour(1, 0, 0), attacks.Palette(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))), attacks.LowFrequency(),
        attacks.NPS(((0.0, 0.0, 0.0),)), attacks.TotalVariation(), attacks.MapsTotalVariation("conv1"),
        attacks.Expectation(), attacks.Margin(), attacks.SPSA(), attacks.RP2(), attacks.SquareAttack(),
        attacks.MaskSearch(), attacks.GradientAttack(method="pgd"), *PROCEDURES.values(),
    ]  # fmt: skip
    model, images = foreign.keras_model(), np.zeros((2, foreign.SIZE, foreign.SIZE, 3), np.float32)
    found = {type(one).__name__: (type(one), one.get_config()) for one in layers}
    for one in parts:
        settings = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
        found[f"attacks.{type(one).__name__}"] = type(one), settings
    shape = {"variant": "baseline", "classes": 18, "image_size": (32, 32), "weights": None, "seed": 0, "dtype": None}
    size = foreign.SIZE
    return found | {
        "lisa_cnn": (blurnet_tf.lisa_cnn, shape),
        "find_model": (blurnet_tf.find_model, {"name": "baseline", "dataset": "lisa", "seed": 0}),
        "load_dataset": (blurnet_tf.load_dataset, {"name": "synthetic"}),
        "predict": (blurnet_tf.predict, {"model": model, "images": images}),
        "defend": (blurnet_tf.defend, {"model": model, "layer": model.layers[1].name, "defense": layers[0]}),
        "load_mask": (blurnet_tf.load_mask, {"path": bundled("sticker.png")}),
        "bundled": (bundled, {"name": "stop.png"}),
        "Split": (blurnet_tf.Split, {"images": images, "labels": [0, 1], "ids": ("a", "b"), "class_names": ("x", "y")}),
        "train": (blurnet_tf.train, {"model": model, "images": images, "labels": [0, 1], "procedure": "plain",
                                     "epochs": 1, "verbose": 0}),
        "attack": (attacks.RP2(steps=1), {"model": model, "images": images, "targets": 1, "labels": None,
                                          "mask": np.ones((size, size, 1), np.float32), "progress": False}),
        "ThreatModel": (blurnet_tf.ThreatModel, {"mask": None, "sharing": "both"}),
    }  # fmt: skip


def _programming(folder: Path, chance: random.Random) -> Any:
    """A function or class of the package with a value of a wrong kind."""
    name = chance.choice(sorted(_makers()))
    maker, good = _makers()[name]
    wrong = chance.choice(sorted(good))
    value = chance.choice(VALUES)
    try:
        return maker(**{**good, wrong: value})
    except Exception as error:
        error.add_note(f"{name}({wrong}={value!r:.40})")
        raise


def _path(call: Callable[[Path], Any], name: str) -> Callable[[Path, random.Random], Any]:
    return lambda folder, chance: call(folder / name)


def _official_call(folder: Path, chance: random.Random) -> Any:
    return read_official(folder)


ENTRIES: dict[str, Entry] = {
    "read_image": Entry(make=_pictures, call=lambda folder, chance: [blurnet_tf.read_image(folder / name) for name in (
        "1.png", "2.jpg", "3.ppm")], harmed=("*.png", "*.jpg", "*.ppm")),
    "load_folder": Entry(make=_pictures, call=lambda folder, chance: blurnet_tf.load_folder(
        folder, class_names=CLASS_NAMES), harmed=("*", "*.csv")),
    "load_mask": Entry(make=_printable, call=_path(load_mask, "m.png"), harmed=("m.png",)),
    "load_palette": Entry(make=_attackable, call=_path(load_palette, "p.csv"), harmed=("p.csv",)),
    "load_perturbation": Entry(make=_array, call=_path(load_perturbation, "x.npy")),
    "class names": Entry(make=_text("labels.txt", "\n".join(CLASS_NAMES)), call=_path(read_class_names, "labels.txt")),
    ".keras": Entry(make=_models, call=_path(blurnet_tf.load_classifier, "own.keras")),
    "SavedModel": Entry(make=_saved_model, call=_path(blurnet_tf.load_classifier, "own"), harmed=("own/**/*",)),
    "SavedModel, endpoints": Entry(make=_saved_model, call=_path(endpoints, "own"), harmed=("own/saved_model.pb",)),
    "split": Entry(make=_split, call=_path(read_split, "split.npz")),
    "zoo weights": Entry(make=_zoo, call=_path(read_weights_file, "w.npz")),
    "zoo index": Entry(make=_index, call=lambda folder, chance: read_index(folder)),
    "records": Entry(make=_records, call=_path(read_records, "records.csv")),
    "cell": Entry(make=_cell, call=lambda folder, chance: read_cell(folder / "cell").arrays, harmed=("cell/*",),
                  strict=("records.csv", "arrays.npz")),
    "checkpoint": Entry(make=_checkpoint, call=_path(read_checkpoint, "baseline.keras"),
                        harmed=("baseline.keras", "*.json")),
    "LISA, official": Entry(make=_official, call=_official_call, harmed=("*.csv", "vid0/*")),
    "LISA, prepared": Entry(make=_prepared, call=_path(read_prepared, "lisa32.npz")),
    "report": Entry(make=_results, harmed=("results/**/*",), lenient=True, call=lambda folder, chance: write_report(
        folder / "results", folder / "checkpoints")),
    "blurnet classify": Entry(make=_pictures, call=_classify, harmed=("*.png", "*.jpg", "*.ppm"), command=True),
    "blurnet apply": Entry(make=_printable, call=_apply, harmed=("1.png", "x.npy"), command=True),
    "blurnet print": Entry(make=_printable, call=_print, harmed=("m.png", "x.npy"), command=True),
    "blurnet attack": Entry(make=_attackable, call=_attack, command=True),
    "blurnet info, .keras": Entry(make=_models, call=_info, command=True),
    "blurnet info, SavedModel": Entry(make=_saved_model, call=_info_saved, harmed=("own/**/*",), command=True),
    "arguments": Entry(make=_printable, call=_arguments, harmed=(), command=True),
    "Python": Entry(make=_nothing, call=_programming, harmed=(), own=True),
}  # fmt: skip

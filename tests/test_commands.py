"""`blurnet` as a user runs it: what it prints and writes, how it ends, and in which words it refuses."""

from __future__ import annotations

import configparser
import importlib
import io
import json
import os
import re
import shutil
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import blurnet_tf
from blurnet_tf import CLASS_NAMES, apply_to_photograph, bundled, export_model, lisa_cnn, load_mask
from blurnet_tf.attacks.masks import regions
from blurnet_tf.commands import print_sticker
from blurnet_tf.commands.main import COMMANDS, main
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.models import zoo
from blurnet_tf.reporting.figures import page_figure
from blurnet_tf.reporting.style import save_figure
from tests import foreign

Capture = pytest.CaptureFixture[str]
DRAW = np.random.default_rng(0)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, images, a mask and a perturbation. Read only."""
    folder = tmp_path_factory.mktemp("own")
    model = lisa_cnn("baseline", seed=0)
    export_model(model, folder / "signs", layer="conv1", class_names=CLASS_NAMES, card="# Mine\n", provenance={})
    foreign.keras_model().save(folder / "small.keras")
    foreign.save(folder / "zoo")
    (folder / "classes.txt").write_text("\n".join(foreign.CLASSES))
    (folder / "images").mkdir()
    for index in range(3):
        save(folder / "images" / f"{index}.png", DRAW.integers(0, 256, (12, 12, 3), np.uint8))
    save(folder / "large.jpg", DRAW.integers(0, 256, (50, 70, 3), np.uint8))
    mask = np.zeros((12, 12), np.uint8)
    mask[2:5, 2:9] = mask[7:9, 4:12] = 255
    save(folder / "mask.png", mask)
    perturbation = DRAW.uniform(-1, 1, (12, 12, 3)).astype(np.float32) * (mask[..., None] > 0)
    np.save(folder / "perturbation.npy", perturbation)
    (folder / "broken.png").write_text("no image")
    return folder


@pytest.fixture(autouse=True)
def _leave_tensorflow_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # These hold for the whole process, where other tests run too.
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    monkeypatch.setattr(tf.config.experimental, "enable_tensor_float_32_execution", lambda _: None)


def save(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    Image.fromarray(pixels).save(path)


def refused(capsys: Capture, *arguments: Any) -> str:
    """The sentence of a command that ends with a mistake."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    return err.removeprefix("error: ").removesuffix("\n")


def answered(capsys: Capture, *arguments: Any) -> dict[str, Any]:
    """The JSON object of a command that ends well."""
    capsys.readouterr()
    assert main([*(str(argument) for argument in arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# The program


def test_help_and_version_end_with_0(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"blurnet {blurnet_tf.__version__}\n"
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(
        re.search(rf"^    {command.NAME}\s+{re.escape(command.HELP)}$", out, re.MULTILINE) for command in COMMANDS
    )


def test_the_entry_point_is_the_function() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).resolve().parent.parent / "setup.cfg")
    name, _, place = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = place.partition(":")
    assert name == "blurnet"
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)
def test_every_command_has_help(command: Any, capsys: Capture) -> None:
    assert main([command.NAME, "--help"]) == 0
    out = capsys.readouterr().out
    assert command.__doc__.splitlines()[0] in out
    assert "--json" in out
    assert "--debug" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["attack"], "the following arguments are required: --model, --images, --target, --out"),
        (["info", "--mod", "x"], "unrecognized arguments: --mod x"),
        (["print", "--dpi", "0"], "argument --dpi: must be above 0, received 0"),
        (["print", "--width-mm", "nan"], "argument --width-mm: must be a finite number of at least 0, received nan"),
        (["print", "--on", "red"], "must be a colour as six hexadecimal digits, red green blue, received red"),
        (["attack", "--steps", "0"], "argument --steps: must be an integer of at least 1, received 0"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_debug_shows_the_traceback(capsys: Capture) -> None:
    assert main(["info", "--model", "x", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupt(_: Any) -> int:
        raise KeyboardInterrupt

    (info,) = (command for command in COMMANDS if command.NAME == "info")
    monkeypatch.setattr(info, "run", interrupt)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_has_read_enough_is_no_mistake(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", output)
    assert main(["info"]) == 0
    output.close()  # which writes what is left, as Python does when it ends: an error here would be one there
    assert capsys.readouterr().err == ""


# classify


@pytest.mark.slow
def test_an_export_classifies_files_of_any_size(own: Path, capsys: Capture) -> None:
    files = [own / "large.jpg", own / "images" / "0.png"]
    result = answered(capsys, "classify", *files, "--model", own / "signs")
    assert [row["file"] for row in result["images"]] == [str(file) for file in files]
    loaded = tf.saved_model.load(str(own / "signs"))
    for file, row in zip(files, result["images"], strict=True):
        said = loaded.classify(tf.constant(np.asarray(Image.open(file))[None]))
        assert row["class"] == CLASS_NAMES[row["class_index"]] == said["class_name"].numpy()[0].decode()
        assert row["probability"] == pytest.approx(float(said["probability"][0]), abs=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["zoo", "--signature", "no"],
            "--signature must be one of those of {own}/zoo: {signatures}. Received: --signature 'no'",
        ),
        (
            ["small.keras", "--signature", "no"],
            "--signature must be left out for a .keras file, which has no signatures. Received: --signature 'no'",
        ),
        (
            ["zoo", "--output-name", "no"],
            "--output-name must be one of the outputs of {own}/zoo: scores. Received: --output-name 'no'",
        ),
        (
            ["zoo", "--signature", "both"],
            "--output-name must be one of the outputs of {own}/zoo: probabilities, scores. Received: no --output-name",
        ),
    ],
)
def test_a_mistake_is_named_by_its_option(more: list[str], message: str, own: Path, capsys: Capture) -> None:
    said = refused(capsys, "classify", own / "images" / "0.png", "--model", own / more[0], *more[1:])
    signatures = ", ".join(sorted(tf.saved_model.load(str(own / "zoo")).signatures))
    assert said == message.format(own=own, signatures=signatures)


def test_any_model_classifies_images_of_its_size(own: Path, capsys: Capture) -> None:
    file = own / "images" / "1.png"
    probabilities = tf.nn.softmax(foreign.keras_model()(np.asarray(Image.open(file), np.float32)[None] / 255))[0]
    index = int(np.argmax(probabilities))
    for model, more, name in (
        ("small.keras", ["--labels", own / "classes.txt"], foreign.CLASSES[index]),
        ("zoo", ["--signature", "softmax", "--output", "probabilities"], str(index)),
    ):
        (row,) = answered(capsys, "classify", file, "--model", own / model, *more)["images"]
        assert (row["class"], row["class_index"]) == (name, index)
        assert row["probability"] == pytest.approx(float(probabilities[index]), abs=1e-5)
    assert refused(capsys, "classify", own / "large.jpg", "--model", own / "small.keras") == (
        f"{own}/large.jpg must have the size that {own}/small.keras takes, 12x12 (height x width). Received: 50x70"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--signature", "softmax"], "Model {own}/zoo gives probabilities. Add --output probabilities."),
        (["--output", "probabilities"], "Model {own}/zoo gives logits. Add --output logits."),
        (["--signature", "nan"], "Model {own}/zoo must return finite logits. Received: NaN or infinity"),
        (["--signature", "broken"], "Model {own}/zoo does not take {own}/large.jpg, 50x70."),
    ],
)
def test_answers_that_are_something_else_are_not_taken_for_probabilities(
    more: list[str], message: str, own: Path, capsys: Capture
) -> None:
    file = own / ("large.jpg" if "broken" in more else "images/0.png")
    assert refused(capsys, "classify", file, "--model", own / "zoo", *more).startswith(message.format(own=own))


def test_an_export_takes_no_file_that_it_would_misread(own: Path, tmp_path: Path, capsys: Capture) -> None:
    signs = own / "signs"
    Image.new("RGBA", (32, 32), (0, 0, 0, 9)).save(tmp_path / "pane.png")
    Image.new("I;16", (32, 32)).save(tmp_path / "deep.png")
    assert refused(capsys, "classify", tmp_path / "pane.png", tmp_path / "deep.png", "--model", signs) == (
        f"{tmp_path}/pane.png must be opaque: put it onto a background first. Received: an alpha channel below 255\n"
        f"error: {tmp_path}/deep.png must have 8 bits a channel. Received: uint16"
    )
    lying, upright = tmp_path / "lying.jpg", tmp_path / "upright.jpg"
    with Image.open(own / "large.jpg") as image:
        exif = image.getexif()
        exif[0x0112] = 6  # as cameras write it that were held upright
        image.save(lying, exif=exif, quality=100, subsampling=0)
        image.transpose(Image.Transpose.ROTATE_270).save(upright, quality=100, subsampling=0)
    turned, straight = answered(capsys, "classify", lying, upright, "--model", signs)["images"]
    assert turned["probability"] == pytest.approx(straight["probability"], abs=1e-3)
    assert turned["class"] == straight["class"]


def test_maps_are_no_classes(own: Path, tmp_path: Path, capsys: Capture) -> None:
    save(tmp_path / "32.png", DRAW.integers(0, 256, (32, 32, 3), np.uint8))
    given = ["classify", tmp_path / "32.png", "--model", own / "signs", "--signature", "feature_maps"]
    assert refused(capsys, *given) == (f"Model {own}/signs must return logits (1, classes). Received: (1, 16, 16, 64)")


def test_an_unreadable_file_stops_no_other(own: Path, capsys: Capture) -> None:
    files = [str(own / "broken.png"), str(own / "large.jpg"), str(own / "no.png")]
    assert main(["classify", *files, "--model", str(own / "signs")]) == 1
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(files[1])}: \w+ \d+\.\d%\n", out)
    assert err == (
        f"error: {files[0]} must be a readable PNG, JPEG or PPM image. Received: another kind of file\n"
        f"error: Image {files[2]} is no file. Give the path of a PNG, JPEG or PPM image.\n"
    )
    assert main(["classify", *files, "--model", str(own / "signs"), "--json"]) == 1
    assert ["error" in row for row in json.loads(capsys.readouterr().out)["images"]] == [True, False, True]


# attack


def attack(own: Path, out: Path, **changes: Any) -> list[str]:
    settings = {
        "model": own / "zoo",
        "labels": own / "classes.txt",
        "images": own / "images",
        "label": "owl",
        "mask": own / "mask.png",
        "target": "eel",
        "steps": 3,
        "out": out,
    }
    chosen = {name: value for name, value in (settings | changes).items() if value is not None}
    return ["attack", *(text for name, value in chosen.items() for text in (f"--{name}", str(value)))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The model takes")
def test_an_attack_writes_a_folder_and_says_what_it_reached(own: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(attack(own, out)) == 0
    words, _ = capsys.readouterr()
    written = ["adversarial", "attack.json", "mask.png", "perturbation.npy", "records.csv"]
    assert sorted(path.name for path in out.iterdir()) == [*written, "table.csv", "table.json", "table.md"]
    assert words == f"{(out / 'table.md').read_text()}\nWritten to {out}\n"
    assert "target reached: eel" in words
    (row,) = json.loads((out / "table.json").read_text())
    assert (row["n"], row["target"], row["seed"]) == (3, "eel", 0)
    assert row["target_reached_low"] <= row["target_reached"] <= row["target_reached_high"]
    records = read_records(out / "records.csv")
    assert [(record.image, record.label, record.target) for record in records] == [
        (f"{index}.png", 3, 4) for index in range(3)
    ]
    perturbation = np.load(out / "perturbation.npy")
    assert (perturbation.dtype, perturbation.shape) == (np.float32, (12, 12, 3))
    assert not perturbation[load_mask(own / "mask.png")[..., 0] == 0].any()
    for index in range(3):
        clean = np.asarray(Image.open(own / "images" / f"{index}.png"))
        attacked = np.asarray(Image.open(out / "adversarial" / f"{index}.png"))
        np.testing.assert_array_equal(attacked, apply_to_photograph(clean, perturbation))
    provenance = json.loads((out / "attack.json").read_text())
    assert provenance["attack"]["target_name"] == "eel"
    assert provenance["model"]["name"] == "zoo"

    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert refused(capsys, *attack(own, out)) == (
        f"{out} is there already. Add --force to replace it, or name another folder."
    )
    result = answered(capsys, *attack(own, out), "--force")
    assert result == {"out": str(out), **row}
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "ant"}, "A class must be an index from 0 to 4 or one of cat, dog, cow, owl, eel. Received: 'ant'"),
        (
            {"target": "owl"},
            "A target must differ from the label of every image. Received: target=3, the label of 3 of 3 images",
        ),
        ({"mask": "{own}/no.png"}, "Mask {own}/no.png is no file. Give the path of an image."),
        ({"labels": None}, "--labels must name a file with the classes of {own}/zoo, which has none beside it."),
        (
            {"model": "{own}"},
            "Model {own} must be a SavedModel folder or a .keras file. Received: a folder without saved_model.pb",
        ),
        (
            {"lambda": "1e40"},
            "The attack must stay finite: lower --lambda. Received: NaN or infinity in the perturbation",
        ),
        (
            {"signature": "softmax"},
            "--output must be 'probabilities' for a model that ends in a softmax. Received: --output 'logits', and "
            "answers of {own}/zoo that lie in [0, 1] and sum to 1",
        ),
        ({"palette": "p.csv"}, "--palette needs --nps original or --nps corrected. Received: --palette alone"),
        (
            {"label": None},
            "Labels {own}/images/labels.csv do not exist. Write lines of file,label, or give one label for all images.",
        ),
        (
            {"mask": None},
            f"Mask {bundled('sticker.png')} must have the size of the images, 12x12 (height x width). Received: 32x32",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The model takes", "ignore:The loss became")
def test_an_attack_that_cannot_be_leaves_nothing(
    changes: dict[str, str | None], message: str, own: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = {name: value and value.format(own=own) for name, value in changes.items()}
    assert refused(capsys, *attack(own, tmp_path / "out", **given)) == message.format(own=own)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
@pytest.mark.parametrize("name", ["letter.txt", "provenance.json"])  # the latter as of `make blackbox` and others
def test_force_removes_no_folder_of_somebody_else(
    name: str, force: list[str], own: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / name).touch()
    assert refused(capsys, *attack(own, tmp_path), *force) == (
        f"{tmp_path} was not written here: it has no attack.json. Move it away, or name another folder."
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_an_attack_is_no_file(force: list[str], own: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert refused(capsys, *attack(own, tmp_path / "file"), *force) == f"{tmp_path}/file is a file. Name a folder."
    assert (tmp_path / "file").is_file()


# apply


def test_a_perturbation_is_put_onto_a_photograph(own: Path, tmp_path: Path, capsys: Capture) -> None:
    photo = DRAW.integers(0, 256, (80, 100, 3), np.uint8)
    save(tmp_path / "photo.png", photo)
    out = tmp_path / "deep" / "attacked.png"
    given = ["apply", tmp_path / "photo.png", "--perturbation", own / "perturbation.npy", "--out", out]
    result = answered(capsys, *given, "--box", 20, 10, 80, 70)
    expected = apply_to_photograph(photo, np.load(own / "perturbation.npy"), box=(20, 10, 80, 70))
    np.testing.assert_array_equal(np.asarray(Image.open(out)), expected)
    assert (result["box"], result["width"], result["height"]) == ([20, 10, 80, 70], 100, 80)
    assert result["changed_pixels"] == (expected != photo).any(axis=2).sum() > 0
    before = out.read_bytes()
    assert refused(capsys, *given) == f"{out} is there already. Add --force to replace it, or name another file."
    assert refused(capsys, *given, "--force", "--box", 0, 0, 101, 80) == (
        "--box must be (left, top, right, bottom) inside a photograph of 100x80. Received: --box (0, 0, 101, 80)"
    )
    assert out.read_bytes() == before
    assert main([str(one) for one in (*given, "--force")]) == 0
    assert out.read_bytes() != before


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("file/a.png", "--out must lie in a folder. Received: {out}, where file is a file"),
        ("file/deep/a.png", "--out must lie in a folder. Received: {out}, where file is a file"),
        ("locked/a.png", "--out must lie in a folder that may be written to. Received: {out}"),
        ("locked/deep/a.png", "--out must lie in a folder that may be written to. Received: {out}"),
    ],
)
@pytest.mark.parametrize("command", ["apply", "print", "attack"])
def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(
    command: str, out: str, message: str, own: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir()
    allowed = os.access
    # Not by its mode: who runs the tests as root may write there all the same.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and allowed(path, mode))
    given: dict[str, list[Any]] = {
        "apply": ["apply", own / "large.jpg", "--perturbation", own / "perturbation.npy", "--out", tmp_path / out],
        "print": printed(own, tmp_path / out),
        "attack": attack(own, tmp_path / out),
    }
    assert refused(capsys, *given[command]) == message.format(out=tmp_path / out)
    assert not list((tmp_path / "locked").iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((2, 4, 4, 3)), "must be a floating array (H, W, 3). Received: float64, shape=(2, 4, 4, 3)"),
        (np.zeros((4, 4, 3), np.uint8), "must be a floating array (H, W, 3). Received: uint8, shape=(4, 4, 3)"),
        (np.full((4, 4, 3), np.nan), "must be finite in float32. Received: NaN or infinity"),
        (np.full((4, 4, 3), 1e300), "must be finite in float32. Received: NaN or infinity"),
        (np.array([{}], object), "must be a .npy file that holds an array of numbers. Received: "),
        (b"text", "must be a .npy file that holds an array of numbers. Received: "),
        (b"PK\x03\x04 no archive", "must be a .npy file that holds an array of numbers. Received: "),
        (b"", "must be a .npy file that holds an array of numbers. Received: "),
    ],
)
def test_what_is_no_perturbation_is_refused(
    content: np.ndarray[Any, Any] | bytes, message: str, own: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "p.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    out = tmp_path / "a.png"
    said = refused(capsys, "apply", own / "large.jpg", "--perturbation", path, "--out", out)
    assert said.startswith(f"Perturbation {path} {message}")
    assert "pickle" not in said
    assert not out.exists()


# print


def printed(own: Path, out: Path, *more: Any) -> list[Any]:
    given = ["print", "--perturbation", own / "perturbation.npy", "--mask", own / "mask.png", "--out", out]
    return [*given, "--width-mm", 120, "--dpi", 150, *more]


def test_a_png_has_the_size_and_the_colours_of_the_sticker(own: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "sticker.png"
    image = own / "images" / "0.png"
    result = answered(capsys, *printed(own, out, "--image", image))
    assert (result["width_mm"], result["height_mm"]) == (120, 120)
    assert result["parts_mm"] == [[20, 20, 90, 50], [40, 70, 120, 90]]
    with Image.open(out) as opened:
        page, dpi = np.asarray(opened), opened.info["dpi"]
    assert page.shape == (709, 709, 4)
    assert (result["width_px"], result["height_px"]) == (709, 709)
    assert abs(709 - 120 / 25.4 * 150) < 1
    assert dpi == pytest.approx((150, 150), abs=0.02)
    assert page[: int(19 / 120 * 709), : int(10 / 120 * 709), 3].max() == 0
    attacked = apply_to_photograph(np.asarray(Image.open(image)), np.load(own / "perturbation.npy"))
    mask = load_mask(own / "mask.png")[..., 0] > 0
    for row, column in np.argwhere(mask):  # in the middle of each pixel of the sticker
        y, x = (int((place + 0.5) / 12 * 709) for place in (row, column))
        assert page[y, x].tolist() == [*attacked[row, column], 255]


def page_of(path: Path, width: float, height: float) -> np.ndarray[Any, Any]:
    """The picture of a PDF file of one page, RGB, which must fill the page of that size in millimetres.

    A picture in a PDF is that of a PNG file without its chunks: with them it is one, for Pillow to read.
    """
    data = path.read_bytes()
    page = [width / 25.4 * 72, height / 25.4 * 72]
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    assert [float(side) for side in box] == pytest.approx(page, abs=1e-6)
    drawing, picture = re.finditer(rb"obj\n<<((?:(?!endobj).)*?)>>\nstream\n(.*?)\nendstream", data, re.DOTALL)
    (place,) = re.findall(rb"([\d. -]+) cm /I1 Do Q", b" ".join(zlib.decompress(drawing[2]).split()))
    # Upside down, so that the rows are stored from below.
    matrix = [float(number) for number in place.split()]
    assert matrix == pytest.approx([page[0], 0, 0, -page[1], 0, page[1]], abs=1e-6)
    header = picture[1]
    rows, columns, depth = (
        int(re.findall(rb"/%s (\d+)" % name, header)[0]) for name in (b"Height", b"Width", b"BitsPerComponent")
    )
    (palette,) = re.findall(rb"/Indexed /DeviceRGB \d+\s\((.*)\) \]", header, re.DOTALL) or [b""]
    palette = re.sub(
        rb"\\(.)", lambda found: {b"n": b"\n", b"r": b"\r"}.get(found[1], found[1]), palette, flags=re.DOTALL
    )
    chunks = {b"IHDR": struct.pack(">IIBBBBB", columns, rows, depth, 3 if palette else 2, 0, 0, 0), b"PLTE": palette}
    png = b"\x89PNG\r\n\x1a\n"
    for kind, body in {**chunks, b"IDAT": picture[2], b"IEND": b""}.items():
        if body or kind == b"IEND":
            png += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    with Image.open(io.BytesIO(png)) as opened:
        return np.asarray(opened.convert("RGB"))[::-1]


@pytest.mark.parametrize(("more", "level"), [(["--on", "#ff0000"], (255, 0, 0)), ([], (128, 128, 128))])
@pytest.mark.filterwarnings("always:The colours are")
def test_a_pdf_has_the_physical_size_and_exact_colours(
    more: list[str], level: tuple[int, int, int], own: Path, tmp_path: Path, capsys: Capture
) -> None:
    np.save(tmp_path / "zero.npy", np.zeros((12, 12, 3), np.float32))
    out = tmp_path / "sticker.pdf"
    given = printed(own, out, "--perturbation", tmp_path / "zero.npy", *more)
    assert main([str(one) for one in given]) == 0
    words, notes = capsys.readouterr()
    assert words == (f"120 x 120 mm, 709 x 709 pixels; the sticker: 70.0 x 30.0 mm, 80.0 x 20.0 mm. Written to {out}\n")
    note = "note: The colours are those on mid-grey. Give what the sticker will cover with --image or --on.\n"
    assert notes == ("" if more else note)
    assert main([*map(str, printed(own, tmp_path / "s.png", "--perturbation", tmp_path / "zero.npy", *more))]) == 0
    with Image.open(tmp_path / "s.png") as opened:
        page = np.asarray(opened)
    np.testing.assert_array_equal(page_of(out, 120, 120), np.where(page[..., 3:] > 0, page[..., :3], 255))
    colours = {tuple(colour) for colour in np.unique(page[page[..., 3] > 0][:, :3], axis=0).tolist()}
    assert colours == {(0, 0, 0), level}
    first = out.read_bytes()
    assert main([*map(str, given), "--force"]) == 0
    assert out.read_bytes() == first
    assert b"Date" not in first


def test_a_pdf_of_many_colours_loses_none(tmp_path: Path) -> None:
    pixels = DRAW.integers(0, 256, (37, 53, 3), np.uint8)  # more than fit into a palette
    save_figure(tmp_path / "page.pdf", page_figure(pixels, (530.5, 370.25)))
    np.testing.assert_array_equal(page_of(tmp_path / "page.pdf", 530.5, 370.25), pixels)


def test_cut_marks_stand_at_the_corners_and_on_no_sticker() -> None:
    page = np.zeros((100, 100, 4), np.uint8)
    page[40:60, 40:60] = page[40:60, 66:70] = (9, 9, 9, 255)
    before = page.copy()
    print_sticker.draw_cut_marks(page, ((40, 40, 60, 60),), 25.4)  # a pixel is a millimetre
    marks = (page != before).any(axis=2)
    expected = np.zeros((100, 100), bool)
    for side in (40, 59):
        for lines in (slice(34, 39), slice(61, 66)):
            expected[side, lines] = expected[lines, side] = True
    np.testing.assert_array_equal(marks, expected)
    np.testing.assert_array_equal(page[40:60, 40:60], before[40:60, 40:60])


def test_regions_are_the_parts_of_a_mask() -> None:
    mask = np.zeros((5, 6, 1), np.float32)
    mask[0, 4:] = mask[3, 1] = mask[4, 2] = 1  # the last two meet at a corner
    assert regions(mask) == ((4, 0, 6, 1), (1, 3, 3, 5))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        *(
            (
                ["--width-mm", width],
                f"A page must be from 1 to 5000 mm a side: change --width-mm. Received: {said} mm (width x height)",
            )
            for width, said in (("5001", "5001 x 5001"), ("1e308", "1e+308 x inf"), ("0.9", "0.9 x 0.9"))
        ),
        (["--dpi", "20000"], "A page must have at most 10000 pixels a side: lower --dpi. Received: 94488.2 x 94488.2"),
        (["--dpi", "1e308"], "A page must have at most 10000 pixels a side: lower --dpi. Received: inf x inf"),
        (
            ["--dpi", "2"],
            "A page must have a pixel for each of the perturbation, 12 x 12 (width x height). Received: 9 x 9",
        ),
        (["--out", "a.tif"], "--out must end in .pdf or .png. Received: a.tif"),
        (
            ["--image", "{own}/large.jpg"],
            "Image {own}/large.jpg must have the size of the perturbation, 12x12 (height x width). Received: 50x70",
        ),
        (
            ["--mask", str(bundled("sticker.png"))],
            f"Mask {bundled('sticker.png')} must have the size of the perturbation, 12x12 (height x width). "
            "Received: 32x32",
        ),
    ],
)
def test_a_sticker_that_cannot_be_printed_leaves_nothing(
    more: list[str], message: str, own: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = [one.format(own=own) for one in more]
    assert refused(capsys, *printed(own, tmp_path / "s.png", *given)) == message.format(own=own)
    assert list(tmp_path.iterdir()) == []


# info


def test_info_says_what_is_installed(capsys: Capture) -> None:
    result = answered(capsys, "info")
    assert result["version"] == blurnet_tf.__version__
    assert set(result["variants"]) == set(blurnet_tf.VARIANTS)
    assert result["packages"]["tensorflow"] == tf.__version__
    assert "blurnet_tf>FixedBlur" in result["registered"]
    assert main(["info"]) == 0
    assert f"version: {blurnet_tf.__version__}\n" in capsys.readouterr().out


def test_info_says_what_a_model_is(own: Path, tmp_path: Path, capsys: Capture) -> None:
    result = answered(capsys, "info", "--model", own / "signs")
    assert result["endpoints"]["classify_encoded"]["inputs"] == {"image_bytes": "string (None,)"}
    assert result["endpoints"]["serving_default"]["outputs"]["logits"] == "float32 (None, 18)"
    assert result["class_names"] == list(CLASS_NAMES)
    assert result["card"] == str(own / "signs" / "assets" / "model_card.md")
    assert result["sha256"] == blurnet_tf.load_classifier(own / "signs").sha256
    result = answered(capsys, "info", "--model", own / "small.keras")
    assert result["inputs"] == {"pixels": "float32 (None, 12, 12, 3)"}
    assert list(result["outputs"].values()) == ["float32 (None, 5)"]
    assert result["class_names"] is None
    assert result["bytes"] == (own / "small.keras").stat().st_size
    damaged = shutil.copytree(own / "zoo", tmp_path / "zoo")
    (damaged / "saved_model.pb").write_bytes(b"\xff\xff")
    assert refused(capsys, "info", "--model", damaged).startswith(
        f"Model {damaged} must be a SavedModel that TensorFlow can load. Received: DecodeError: "
    )


def test_info_describes_a_keras_file_that_no_attack_would_take(tmp_path: Path, capsys: Capture) -> None:
    left, right = (keras.Input((4, 4), dtype="uint8", name=name) for name in ("left", "right"))
    flat = keras.layers.Flatten()(keras.layers.Add()([left, right]))
    stop = keras.layers.Dense(1, activation="sigmoid", name="stop")(flat)
    sign = keras.layers.Dense(18, name="sign")(flat)
    for outputs, names in (([stop, sign], ("stop", "sign")), ({"p": stop, "z": sign}, ("p", "z"))):
        keras.Model([left, right], outputs).save(tmp_path / "two.keras")
        result = answered(capsys, "info", "--model", tmp_path / "two.keras")
        assert result["inputs"] == {"left": "uint8 (None, 4, 4)", "right": "uint8 (None, 4, 4)"}
        assert result["outputs"] == dict(zip(names, ("float32 (None, 1)", "float32 (None, 18)"), strict=True))
        assert result["class_names"] is None
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "labels.txt").write_text("other\nstop\n")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")]).save(tmp_path / "one.keras")
    result = answered(capsys, "info", "--model", tmp_path / "one.keras")
    assert (result["outputs"], result["class_names"]) == ({"output_0": "float32 (None, 1)"}, ["other", "stop"])


def test_info_knows_the_classes_of_lisa(tmp_path: Path, capsys: Capture) -> None:
    foreign.keras_model(len(CLASS_NAMES)).save(tmp_path / "signs.keras")
    assert answered(capsys, "info", "--model", tmp_path / "signs.keras")["class_names"] == list(CLASS_NAMES)


def test_info_of_what_is_no_model(own: Path, tmp_path: Path, capsys: Capture) -> None:
    kinds = "must be a SavedModel folder or a .keras file. Received:"
    assert refused(capsys, "info", "--model", own) == f"Model {own} {kinds} a folder without saved_model.pb"
    missing, image, cut = own / "no.keras", own / "broken.png", tmp_path / "cut.keras"
    assert refused(capsys, "info", "--model", missing) == f"Model {missing} {kinds} nothing is there"
    said = refused(capsys, "info", "--model", image)
    assert said == f"Model {image} must be a .keras file that Keras can load. Received: a file that is no zip archive"
    with zipfile.ZipFile(own / "small.keras") as whole, zipfile.ZipFile(cut, "w") as damaged:
        damaged.writestr("config.json", whole.read("config.json"))
    said = refused(capsys, "info", "--model", cut)
    assert said.startswith(f"Model {cut} must be a .keras file that Keras can load. Received: ")
    assert "\n" not in said


# Models of the zoo


def test_a_model_of_the_zoo_classifies_pictures_of_any_size_as_its_export_does(tmp_path: Path, capsys: Capture) -> None:
    picture = bundled("stop.png")
    (small,) = answered(capsys, "classify", picture, "--model", "baseline")["images"]
    assert (small["class"], small["class_index"]) == ("stop", 14)
    model = blurnet_tf.load_model("baseline")
    folder = tmp_path / "baseline"
    export_model(model, folder, layer="conv1", class_names=CLASS_NAMES, card="# Card\n", provenance={})
    (exported,) = answered(capsys, "classify", picture, "--model", folder)["images"]
    assert exported["class"] == "stop"
    assert exported["probability"] == pytest.approx(small["probability"], abs=1e-5)


def test_info_lists_the_zoo_and_prints_a_card(capsys: Capture) -> None:
    zoo = answered(capsys, "info")["zoo"]
    assert "baseline+stickers" in zoo["trained on lisa"]
    assert "synthetic/baseline" in zoo["trained on synthetic"]
    assert main(["info", "--model", "synthetic/baseline"]) == 0
    assert capsys.readouterr().out.startswith("# baseline: Baseline\n")
    told = answered(capsys, "info", "--model", "baseline")
    assert told["card"].startswith("# baseline: Baseline\n")
    assert told["test_images"] > 1000


def test_attack_takes_a_model_of_the_zoo(tmp_path: Path, capsys: Capture) -> None:
    images = tmp_path / "images"
    images.mkdir()
    sign = blurnet_tf.read_image(bundled("stop.png"), size=(32, 32))
    Image.fromarray(np.rint(255 * sign).astype(np.uint8)).save(images / "stop.png")
    given = ["--images", images, "--label", "stop", "--target", "yield", "--steps", "2", "--out", tmp_path / "out"]
    answered(capsys, "attack", "--model", "synthetic/baseline", *given)
    provenance = json.loads((tmp_path / "out" / "attack.json").read_text())
    entry = blurnet_tf.find_model("baseline", dataset="synthetic")
    assert provenance["model"]["sha256"] == entry.weights_sha256
    given[-1] = tmp_path / "other"
    assert refused(capsys, "attack", "--model", "nothing", *given).startswith("Model nothing does not exist. Give a ")


def test_a_zoo_that_cannot_be_reached_is_one_sentence(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(zoo.PACKAGED / zoo.INDEX, tmp_path)
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path)  # an index without weights
    monkeypatch.setenv("BLURNET_ZOO", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    sentence = refused(capsys, "classify", bundled("stop.png"), "--model", "baseline")
    assert "/lisa/baseline.npz cannot be fetched: no connection to 127.0.0.1:9" in sentence

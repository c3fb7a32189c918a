"""`folder:PATH`: classes, splits, GTSRB's regions and tracks, victims, and what is refused in which words."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blurnet_tf import Dataset, load_dataset, load_folder
from blurnet_tf.commands.main import main
from blurnet_tf.data.class_folders import COLUMNS
from blurnet_tf.data.folder import resize
from blurnet_tf.data.registry import choose_training, choose_victims
from experiments import ablation, train, whitebox


def picture(seed: int, height: int = 40, width: int = 36) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])  # RGB


def load(root: Path, **arguments: Any) -> Dataset:
    return load_dataset(f"folder:{root}", **arguments)


def refused(root: Path, words: str, error: type[Exception] = ValueError, **arguments: Any) -> None:
    with pytest.raises(error, match=words):
        load(root, **arguments)


def by_name(data: Dataset) -> dict[str, np.ndarray]:
    sides = (data.train(), data.test())
    return {name: image for side in sides for name, image in zip(side.ids, side.images, strict=True)}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Three classes of 10, 5 and 5 images, one of each kind of file among them."""
    root = tmp_path / "signs"
    for offset, (name, count) in enumerate((("stop", 10), ("Yield", 5), ("30", 5))):
        for number in range(count):
            suffix = (".png", ".ppm", ".jpg")[number] if number < 3 else ".png"
            write(root / name / f"{number}{suffix}", picture(100 * offset + number))
    (root / ".cache").mkdir()
    (root / "stop" / "notes.txt").touch()
    return root


@pytest.fixture
def gtsrb(tmp_path: Path) -> Path:
    """Two classes with five tracks of three frames each, as GTSRB lays them out."""
    root = tmp_path / "gtsrb"
    for label in (0, 14):
        lines = [";".join(COLUMNS)]
        for track in range(5):
            for frame in range(3):
                height, width = 30 + frame, 29 + track
                name = f"{track:05d}_{frame:05d}.ppm"
                write(root / f"{label:05d}" / name, picture(1000 * label + 10 * track + frame, height, width))
                lines.append(f"{name};{width};{height};5;6;{width - 5};{height - 5};{label}")
        (root / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("\r\n".join(lines) + "\r\n")
    return root


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_classes_are_the_folders_sorted(plain: Path) -> None:
    data = choose_training(f"folder:{plain}", [])
    assert data.class_names == ("30", "Yield", "stop")
    assert data.facts() == {
        "name": f"folder:{plain}",
        "key": "folder-signs",
        "title": "signs, split by image (may leak)",
        "split": "image",
        "leaks": True,
        "photographs": True,
        "licence": "The images belong to their owner.",
        "image_size": [32, 32],
    }
    assert data.reason == f"DATA=folder:{plain}: 3 classes, 16 images to train and 4 to test on"


def test_a_fifth_of_each_class_is_held_out_the_same_each_time(plain: Path) -> None:
    data, again = load(plain), load(plain)
    assert Counter(data.test().labels.tolist()) == {0: 1, 1: 1, 2: 2}
    assert Counter(data.train().labels.tolist()) == {0: 4, 1: 4, 2: 8}
    assert not set(data.train().ids) & set(data.test().ids)
    assert again.train().sha256() == data.train().sha256()
    assert again.test().sha256() == data.test().sha256()
    assert load_dataset(**json.loads(json.dumps(data.source))) == data


def test_images_are_resized_and_keep_their_names(plain: Path) -> None:
    data = load(plain, image_size=(24, 20))
    assert data.image_size == (24, 20)
    images = by_name(data)
    np.testing.assert_array_equal(images["stop/0.png"] * 255, resize(picture(0), (24, 20)))
    np.testing.assert_array_equal(images["Yield/1.ppm"] * 255, resize(picture(101), (24, 20)))
    assert len(images) == 20


def test_folders_for_both_sides_are_the_split(tmp_path: Path) -> None:
    root = tmp_path / "given"
    for number in range(3):
        for name in ("a", "b"):
            write(root / "train" / name / f"{number}.png", picture(number))
    write(root / "test" / "b" / "0.png", picture(9))
    data = load(root)
    assert (data.split, data.leaks, data.title) == ("given", False, "given, given split")
    assert data.class_names == ("a", "b")
    assert (len(data.train()), data.test().ids, data.test().labels.tolist()) == (6, ("test/b/0.png",), [1])
    write(root / "test" / "c" / "0.png", picture(9))
    refused(root, r"test must hold folders of these classes only: 'a', 'b'. Received: c$")


def test_gtsrb_is_cut_to_its_regions_and_split_by_track(gtsrb: Path) -> None:
    data = load(gtsrb)
    assert (data.split, data.leaks, data.key) == ("track", False, "folder-gtsrb")
    assert data.class_names == ("00000", "00014")
    tracks = [{name.rsplit("_", 1)[0] for name in side.ids} for side in (data.train(), data.test())]
    assert not tracks[0] & tracks[1]
    assert (len(tracks[0]), len(tracks[1]), len(data.test())) == (8, 2, 6)
    images = by_name(data)
    whole = picture(1000 * 14 + 10 * 3 + 2, 32, 32)
    np.testing.assert_array_equal(images["00014/00003_00002.ppm"] * 255, resize(whole[6:27, 5:27]))


def test_single_images_of_tracks_leak(gtsrb: Path) -> None:
    data = load(gtsrb, split="random")
    assert (data.split, data.leaks, data.key) == ("random", True, "folder-gtsrb_random")
    assert data.title == "gtsrb, random split (leaks)"
    assert len({name.rsplit("_", 1)[0] for side in (data.train(), data.test()) for name in side.ids}) == 10


def test_victims_are_of_one_class(plain: Path) -> None:
    data = choose_victims(f"folder:{plain}", [])
    assert (data.mask, data.palette, data.authentic) == (None, None, False)
    assert set(data.victims().labels.tolist()) == {2}  # it has the most test images
    assert set(data.victims().ids) <= set(data.test().ids)
    for label in ("Yield", 1):
        assert load(plain, label=label).victims().labels.tolist() == [1]
    assert load(plain, label="30").victims().labels.tolist() == [0]
    refused(plain, "A class must be an index from 0 to 2 or one of 30, Yield, stop. Received: 'owl'", label="owl")


def test_at_most_40_victims_are_spread_over_the_test_images(tmp_path: Path) -> None:
    for name in ("b", "a"):
        for number in range(100):
            write(tmp_path / "test" / name / f"{number}.png", picture(0, 4, 4))
        write(tmp_path / "train" / name / "0.png", picture(0, 4, 4))
    victims = load(tmp_path).victims()
    assert (len(victims), set(victims.labels.tolist())) == (40, {0})  # the first of two with as many images
    numbers = [int(Path(name).stem) for name in victims.ids]
    assert (numbers[0], numbers[-1]) == (0, 99)
    assert set(np.diff(numbers).tolist()) == {2, 3}


def test_the_classes_may_stand_in_the_order_of_a_model(plain: Path) -> None:
    names = ("stop", "owl", "Yield", "30")
    data = load(plain, class_names=names)
    assert data.class_names == data.test().class_names == names
    assert Counter(data.test().labels.tolist()) == {0: 2, 2: 1, 3: 1}
    refused(plain, "must hold folders of these classes only: 'stop', 'Yield'. Received: 30", class_names=names[::2])
    refused(plain, "'owl', which has none", class_names=names, label="owl")


def test_a_flat_folder_has_victims_only(plain: Path) -> None:
    data = load(plain / "stop", label="b", class_names=["a", "b"])
    assert data.victims().sha256() == load_folder(plain / "stop", label="b", class_names=["a", "b"]).sha256()
    assert (data.image_size, data.split) == ((40, 36), "none")
    with pytest.raises(ValueError, match="has no images to train on"):
        choose_training(f"folder:{plain / 'stop'}", [], label="b", class_names=["a", "b"])


def test_a_folder_that_is_none_and_one_without_images_are_refused(plain: Path) -> None:
    refused(plain / "no", rf"DATA=folder:.* must name a folder. Received: {plain}/no, which is none", FileNotFoundError)
    (plain / "empty").mkdir()
    refused(plain, f"Class folder {plain}/empty holds no PNG, JPEG or PPM file", FileNotFoundError)


@pytest.mark.parametrize("names", [(), ("a",)])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        write(tmp_path / name / "0.png", picture(0))
    refused(tmp_path, rf"must hold a folder for each of two classes or more. Received: {len(names)}$")


def test_names_that_differ_in_capitals_alone_are_refused(plain: Path) -> None:
    write(plain / "Stop" / "0.png", picture(0))
    if len(list(plain.glob("[Ss]top"))) == 2:  # not on every disk
        refused(plain, "must differ in more than capitals. Received: 'Stop', 'stop'")


def test_a_class_of_one_image_is_refused(plain: Path) -> None:
    write(plain / "owl" / "0.png", picture(0))
    refused(plain, f"Class folder {plain}/owl must hold two images or more")


def test_an_image_that_cannot_be_read_is_named(plain: Path) -> None:
    for path in plain.glob("Yield/*"):
        path.write_bytes(b"P6 no more")
    with pytest.raises(ValueError, match=rf"{plain}/Yield/\d\.\w+ must be a readable PNG, JPEG or PPM image"):
        load(plain).train()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("00000_00001.ppm;29;31;5;6;24;26;0", "00000_00001.ppm;29;31", "line 3, must hold Filename;Width.* Received: "),
        ("00000_00001.ppm;29;31;5;6;24", "00000_00001.ppm;29;31;-5;6;24", "line 3, must hold Filename;Width"),
        ("00000_00001.ppm;29;31;5;6;24", "00000_00001.ppm;29;31;24;6;24", r"line 3, .*region with pixels.* \(24, 6\)"),
        ("00001_00002.ppm", "00009_00002.ppm", "line 7, must name another image.* 00009_00002.ppm, which is not there"),
        ("00001_00002.ppm", "00001_00001.ppm", "line 7, must name another image.* 00001_00001.ppm again"),
    ],
)
def test_a_damaged_line_is_named(gtsrb: Path, old: str, new: str, words: str) -> None:
    path = gtsrb / "00000" / "GT-00000.csv"
    change(path, old, new)
    refused(gtsrb, f"^{re.escape(str(path))}, {words}")


def test_gtsrb_that_is_not_whole_is_refused(gtsrb: Path) -> None:
    table = gtsrb / "00014" / "GT-00014.csv"
    change(table, "00004_00002.ppm;33;32;5;6;28;27;14\n", "")
    refused(gtsrb, "must have a line for each of 15 images. Received: 14; the first without one is 00004_00002.ppm")
    table.unlink()
    refused(gtsrb, f"Class folder {gtsrb}/00014 must have a GT-\\*.csv, as {gtsrb}/00000 has")
    (gtsrb / "00000" / "stray.ppm").write_bytes((gtsrb / "00000" / "00000_00000.ppm").read_bytes())
    with (gtsrb / "00000" / "GT-00000.csv").open("a") as file:
        file.write("stray.ppm;29;30;5;6;24;25;0\n")
    refused(gtsrb, "stray.ppm must be named by its track and frame")


def test_a_region_outside_its_image_is_named(gtsrb: Path) -> None:
    for path in gtsrb.glob("*/GT-*.csv"):
        text = re.sub(r";5;6;(\d+);(\d+);", r";5;6;50;\2;", path.read_text())
        path.write_text(text)
    with pytest.raises(ValueError, match=r"\.ppm must hold its region of interest, \(5, 6\) to \(50, 2\d\)"):
        load(gtsrb).train()


def test_tracks_of_which_none_can_be_spared_are_refused(gtsrb: Path) -> None:
    for path in gtsrb.glob("*/*"):
        if path.suffix == ".csv":
            lines = [line for line in path.read_text().splitlines() if not re.match("0000[1-4]", line)]
            path.write_text("\n".join(lines))
        elif not path.name.startswith("00000_"):
            path.unlink()
    refused(gtsrb, "must have images to test on. Received: 6 images, all of them to train on")


@pytest.mark.slow
def test_a_folder_is_trained_on_attacked_and_classified(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    given = ["--data", "folder:signs", "--preset", "smoke", "--variant", "baseline", "--precision", "float32"]
    train.main(given)
    model = Path("checkpoints/folder-signs/smoke/baseline.keras")
    settings = json.loads(model.with_suffix(".json").read_text())["settings"]
    assert (settings["data"], settings["train_images"]) == ("signs, split by image (may leak)", 16)
    whitebox.main([*given, "--steps", "2", "--results", "results"])
    assert f"{model}: trained already" in capsys.readouterr().out
    run = json.loads(Path("results/run.json").read_text())
    assert (run["data"]["n"], run["class_names"]) == (2, ["30", "Yield", "stop"])
    (row,) = json.loads(Path("results/table2.json").read_text())
    assert row["n_targets"] == 2
    ablation.main([*given[:4], *given[-2:], "--steps", "2", "--results", "blurs"])
    first, *_ = json.loads(Path("blurs/ablation.json").read_text())
    assert first["n_test"] == len(load_dataset("folder:signs").test())  # of the folder, not of LISA or rendered signs
    Path("labels.txt").write_text("30\nYield\nstop\n")
    write(Path("new.png"), picture(7, 32, 32))
    capsys.readouterr()
    assert main(["classify", "new.png", "--model", str(model), "--labels", "labels.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"][0]["class"] in ("30", "Yield", "stop")

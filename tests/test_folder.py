"""A folder of one's own images: order, labels, pixels, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from blurnet_tf import CLASS_NAMES, STOP, load_folder
from blurnet_tf.data import rp2_release

NAMES = ("cat", "dog", "cow")


def levels(height: int = 4, width: int = 5, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def write(path: Path, image: np.ndarray | None = None) -> None:
    assert cv2.imwrite(str(path), levels() if image is None else image)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("10.png", "2.png", "1.PNG", "b.jpg"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "more.png").mkdir()
    return tmp_path


def sentence(folder: Path, error: type[Exception] = ValueError, label: str | None = "cat") -> str:
    with pytest.raises(error) as caught:
        load_folder(folder, label=label, class_names=NAMES)
    return str(caught.value)


def test_images_come_by_name_with_their_numbers_in_order(folder: Path) -> None:
    split = load_folder(folder, label="dog", class_names=NAMES)
    assert split.ids == ("1.PNG", "2.png", "10.png", "b.jpg")
    assert split.labels.tolist() == [1] * 4
    assert split.class_names == NAMES
    np.testing.assert_array_equal(split.images[0] * 255, levels()[..., ::-1])


def test_labels_come_from_the_file(folder: Path) -> None:
    text = "file,label\n2.png, cow\n\n1.PNG,0\nb.jpg,dog\n10.png,dog\n"
    (folder / "labels.csv").write_text(text, encoding="utf-8-sig")
    assert load_folder(folder, class_names=NAMES).labels.tolist() == [0, 2, 1, 1]
    (folder / "labels.csv").write_text(text.split("\n", 1)[1])
    assert load_folder(folder, class_names=NAMES).labels.tolist() == [0, 2, 1, 1]


def test_grey_and_opaque_images_become_rgb(tmp_path: Path) -> None:
    grey = levels(channels=1)
    write(tmp_path / "grey.png", grey)
    write(tmp_path / "opaque.png", np.concatenate([levels(), np.full((4, 5, 1), 255, np.uint8)], axis=2))
    images = load_folder(tmp_path, label="0", class_names=NAMES).images
    np.testing.assert_array_equal(images[0] * 255, np.repeat(grey, 3, axis=2))
    np.testing.assert_array_equal(images[1] * 255, levels()[..., ::-1])


def test_a_missing_folder_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    assert sentence(tmp_path / "no", FileNotFoundError) == (
        f"{tmp_path}/no is no folder. Give a folder of PNG, JPEG or PPM files."
    )
    assert sentence(tmp_path, FileNotFoundError) == f"Folder {tmp_path} holds no PNG, JPEG or PPM file."


def test_images_of_different_sizes_are_refused(folder: Path) -> None:
    write(folder / "5.png", levels(6, 7))
    assert sentence(folder) == (
        f"The images of {folder} must all have the same size. Received: 1.PNG is 4x5 (height x width), 5.png is 6x7"
    )


def test_files_that_are_no_plain_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for content in (b"", b"\x89PNG but no more"):
        path.write_bytes(content)
        assert sentence(tmp_path).startswith(f"{path} must be a readable PNG, JPEG or PPM image. Received: ")
    write(path, levels().astype(np.uint16))
    assert sentence(tmp_path) == f"{path} must have 8 bits a channel. Received: uint16"
    write(path, levels(channels=4))
    assert sentence(tmp_path) == (
        f"{path} must be opaque: put it onto a background first. Received: an alpha channel below 255"
    )


def test_an_unknown_label_for_all_is_refused(folder: Path) -> None:
    assert sentence(folder, label="cap") == (
        "A class must be an index from 0 to 2 or one of cat, dog, cow. Received: 'cap'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1.PNG,cat\n10.png,cat\n",
            "{path} must have a line for each of 4 images. Received: 2; the first without one is 2.png",
        ),
        (
            "1.PNG,cat\n3.png,cat\n",
            "{path}, line 2, must name another image of the folder. Received: 3.png, which is not there",
        ),
        ("1.PNG,cat\n1.PNG,dog\n", "{path}, line 2, must name another image of the folder. Received: 1.PNG again"),
        ("1.PNG\n", "{path}, line 1, must hold file,label. Received: '1.PNG'"),
        (
            "1.PNG,3\n",
            "{path}, line 1, must name a class. A class must be an index from 0 to 2 or one of cat, dog, cow. "
            "Received: '3'",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(text: str, message: str, folder: Path) -> None:
    (folder / "labels.csv").write_text(text)
    assert sentence(folder, label=None) == message.format(path=folder / "labels.csv")


def test_missing_labels_are_asked_for(folder: Path) -> None:
    assert sentence(folder, FileNotFoundError, label=None) == (
        f"Labels {folder}/labels.csv do not exist. Write lines of file,label, or give one label for all images."
    )


@pytest.mark.realdata
def test_the_victims_of_the_release_are_read_like_any_folder(rp2_folder: Path) -> None:
    own = rp2_release.load_victims(rp2_folder)
    same = load_folder(rp2_folder / rp2_release.VICTIMS, label=STOP, class_names=CLASS_NAMES)
    assert same.sha256() == own.sha256()

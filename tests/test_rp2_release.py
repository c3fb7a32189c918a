"""The release of RP2 is read right, and what is missing or damaged is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.data import rp2_release
from blurnet_tf.signs import CLASS_NAMES, STOP

SHAPES = {
    "convolution2d_1_W": (8, 8, 3, 64),
    "convolution2d_1_b": (64,),
    "convolution2d_2_W": (6, 6, 64, 128),
    "convolution2d_2_b": (128,),
    "convolution2d_3_W": (5, 5, 128, 128),
    "convolution2d_3_b": (128,),
    "dense_1_W": (512, 18),
    "dense_1_b": (18,),
    "noise": (32, 32, 3),
}


def write_checkpoint(folder: Path, values: dict[str, np.ndarray]) -> None:
    prefix = folder / rp2_release.CHECKPOINT
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=list(values.values()),
    )


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def release(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    """A release in which victim N.png is one colour: red N, green 2N, blue 3N."""
    folder = tmp_path / "root" / "rp2"
    for name in rp2_release.REQUIRED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name in rp2_release.VICTIM_FILES:
        number = int(Path(name).stem)
        bgr = np.full((32, 32, 3), (3 * number, 2 * number, number), np.uint8)
        assert cv2.imwrite(str(folder / name), bgr)
    write_checkpoint(folder, values)
    return folder


def test_file_names() -> None:
    assert len(rp2_release.VICTIM_FILES) == 40
    assert rp2_release.VICTIM_FILES[:2] == ("victim-set/1.png", "victim-set/2.png")
    assert rp2_release.VICTIM_FILES[12:14] == ("victim-set/13.png", "victim-set/15.png")
    assert rp2_release.VICTIM_FILES[-1] == "victim-set/41.png"
    assert len(set(rp2_release.REQUIRED_FILES)) == 45


def test_find_takes_the_first_complete_release(release: Path, tmp_path: Path) -> None:
    empty, root = tmp_path / "empty", release.parent
    assert rp2_release.find([]) is None
    assert rp2_release.find([empty]) is None
    assert rp2_release.find([empty, root, root]) == release
    assert rp2_release.missing_files(release) == ()


def test_an_incomplete_release_is_not_taken_and_says_what_it_lacks(release: Path) -> None:
    (release / "npstriplets.txt").unlink()
    assert rp2_release.find([release.parent]) is None
    assert rp2_release.missing_files(release) == ("npstriplets.txt",)
    assert rp2_release.describe_missing(rp2_release.missing_files(release)) == "lacks 1 of 45 files (npstriplets.txt)"
    assert (
        rp2_release.describe_missing(rp2_release.missing_files(release / "elsewhere"))
        == "lacks 45 of 45 files (victim-set/1.png, victim-set/2.png, victim-set/3.png, ...)"
    )


def test_victims_are_rgb_in_numeric_order(release: Path) -> None:
    split = rp2_release.load_victims(release)
    numbers = [number for number in range(1, 42) if number != 14]
    expected = np.array([(n, 2 * n, 3 * n) for n in numbers], np.float32)[:, None, None, :] / np.float32(255)
    assert split.ids == tuple(f"{number}.png" for number in numbers)
    assert split.class_names == CLASS_NAMES
    assert split.images.dtype == np.float32
    np.testing.assert_array_equal(split.images, np.broadcast_to(expected, (40, 32, 32, 3)))
    np.testing.assert_array_equal(split.labels, np.full(40, STOP, np.int32))


def test_a_missing_victim_is_named(release: Path) -> None:
    (release / "victim-set/7.png").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        rp2_release.load_victims(release)
    assert str(caught.value) == f"The RP2 release in {release} lacks 1 of 40 files (victim-set/7.png). Run `make data`."


@pytest.mark.parametrize("kept", [0, 50, 0.5, 0.99])
def test_a_damaged_victim_is_named(release: Path, kept: float) -> None:
    path = release / "victim-set/7.png"
    data = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), data)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=r"7\.png") as caught:
        rp2_release.load_victims(release)
    assert str(caught.value).startswith(f"{path} must be a readable PNG, JPEG or PPM image. Received: ")
    assert str(caught.value).endswith("`make data` replaces a damaged file.")


def test_a_victim_of_another_size_is_named(release: Path) -> None:
    path = release / "victim-set/41.png"
    assert cv2.imwrite(str(path), np.zeros((32, 33, 3), np.uint8))
    with pytest.raises(ValueError, match=r"41\.png") as caught:
        rp2_release.load_victims(release)
    assert str(caught.value) == (
        f"{path} must be an image of 32x32 pixels. Received: 32x33. `make data` replaces a damaged file."
    )


def test_weights_and_noise(release: Path, values: dict[str, np.ndarray]) -> None:
    weights = rp2_release.load_weights(release)
    names = {"conv1": "convolution2d_1", "conv2": "convolution2d_2", "conv3": "convolution2d_3", "logits": "dense_1"}
    assert list(weights) == list(names)
    for layer, name in names.items():
        kernel, bias = weights[layer]
        np.testing.assert_array_equal(kernel, values[f"{name}_W"], strict=True)
        np.testing.assert_array_equal(bias, values[f"{name}_b"], strict=True)
    np.testing.assert_array_equal(rp2_release.load_published_noise(release), values["noise"], strict=True)


@pytest.mark.parametrize("load", [rp2_release.load_weights, rp2_release.load_published_noise])
def test_a_missing_checkpoint_is_named(release: Path, load) -> None:
    name = rp2_release.CHECKPOINT_FILES[1]
    (release / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load(release)
    assert str(caught.value) == (f"The RP2 release in {release} lacks 1 of 2 files ({name}). Run `make data`.")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 0xFF]) + data[101:]


@pytest.mark.parametrize("damage", [cut, flip, lambda data: b""], ids=["cut", "flipped", "empty"])
@pytest.mark.parametrize("name", rp2_release.CHECKPOINT_FILES, ids=["index", "data"])
def test_a_damaged_checkpoint_is_named(release: Path, name: str, damage) -> None:
    path = release / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="checkpoint") as caught:
        rp2_release.load_weights(release)
    cause = caught.value.__cause__
    assert str(caught.value) == (
        f"{release / rp2_release.CHECKPOINT} must be a readable TensorFlow checkpoint. "
        f"Received: {type(cause).__name__}: {cause}. `make data` replaces damaged files."
    )


@pytest.mark.parametrize(
    ("change", "received"), [({}, None), ({"noise": np.zeros((3, 32, 32), np.float32)}, (3, 32, 32))]
)
def test_another_checkpoint_is_named(tmp_path: Path, change: dict[str, np.ndarray], received: object) -> None:
    write_checkpoint(tmp_path, {"other": np.zeros(1, np.float32), **change})
    with pytest.raises(ValueError, match="noise") as caught:
        rp2_release.load_published_noise(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / rp2_release.CHECKPOINT} must hold `noise` with the shape (32, 32, 3). Received: shape={received}"
    )


@pytest.mark.realdata
def test_real_release(rp2_folder: Path) -> None:
    assert rp2_release.missing_files(rp2_folder) == ()
    split = rp2_release.load_victims(rp2_folder)
    assert split.images.shape == (40, 32, 32, 3)
    assert split.ids[-1] == "41.png"
    weights = rp2_release.load_weights(rp2_folder)
    assert sum(kernel.size + bias.size for kernel, bias in weights.values()) == 726_354
    noise = rp2_release.load_published_noise(rp2_folder)
    assert 20 < np.abs(noise).max() < 21


@pytest.mark.realdata
def test_published_numbers(rp2_folder: Path) -> None:
    """40 of 40 victims are classified stop; the published sticker, clipped to +-20, changes 36 of the 40."""
    weights = rp2_release.load_weights(rp2_folder)

    def predict(images: np.ndarray) -> np.ndarray:
        maps = tf.convert_to_tensor(images, tf.float32)
        for layer, stride, padding in (("conv1", 2, "SAME"), ("conv2", 2, "VALID"), ("conv3", 1, "VALID")):
            kernel, bias = weights[layer]
            maps = tf.nn.relu(tf.nn.conv2d(maps, kernel, stride, padding) + bias)
        kernel, bias = weights["logits"]
        return np.argmax(tf.reshape(maps, (len(images), -1)) @ kernel + bias, axis=-1)

    images = rp2_release.load_victims(rp2_folder).images
    mask = cv2.imread(str(rp2_folder / rp2_release.STICKER_MASK), cv2.IMREAD_COLOR)[..., ::-1] / np.float32(255)
    noise = np.clip(rp2_release.load_published_noise(rp2_folder), -20, 20)
    assert (predict(images) == STOP).sum() == 40
    assert (predict(np.clip(images + mask * noise, 0, 1)) != STOP).sum() == 36

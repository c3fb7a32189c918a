"""The authors' release of RP2: 40 stop signs, masks, a palette, and the LISA-CNN's weights with a perturbation.

It belongs to Eykholt et al., "Robust Physical-World Attacks on Deep Learning Visual Classification", CVPR 2018,
arXiv:1707.08945, and is under the MIT license. `blurnet_tf.data.download` fetches it; this module knows its files, with
their sums, and reads them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.data.dataset import DataNotFoundError, Dataset, Query
from blurnet_tf.data.split import Split
from blurnet_tf.files import sha256
from blurnet_tf.pictures import decode
from blurnet_tf.signs import CLASS_NAMES, STOP

FOLDER = "rp2"
"""Name of the release's folder inside a data root. All paths below are relative to that folder."""

STICKER_MASK = "masks/mask_l1loss_uniform_rectangles.png"
PALETTE = "npstriplets.txt"
VICTIMS = "victim-set"
VICTIM_FILES: tuple[str, ...] = tuple(f"{VICTIMS}/{number}.png" for number in range(1, 42) if number != 14)
"""The 40 victims in numeric order. The authors' numbers run to 41, but there is no 14."""

CHECKPOINT = "checkpoint/l1basedmask_uniformrectangles-350"
"""Prefix of the TF1 checkpoint's two files."""

CHECKPOINT_FILES: tuple[str, ...] = (f"{CHECKPOINT}.index", f"{CHECKPOINT}.data-00000-of-00001")
REQUIRED_FILES: tuple[str, ...] = (*VICTIM_FILES, STICKER_MASK, "masks/octagon.png", PALETTE, *CHECKPOINT_FILES)


class ReleaseFile(NamedTuple):
    """One file of a release: its path in the local folder, its SHA-256 sum, its path under the base address."""

    path: str
    sha256: str
    remote: str


FILES: tuple[ReleaseFile, ...] = tuple(
    ReleaseFile(*line.split()) for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
)
"""All that this module reads, and the license of it: the lines of `rp2_release.txt`."""

SIZE = 32
_NOISE = "noise"
_LAYERS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "conv1": ("convolution2d_1", (8, 8, 3, 64)),
    "conv2": ("convolution2d_2", (6, 6, 64, 128)),
    "conv3": ("convolution2d_3", (5, 5, 128, 128)),
    "logits": ("dense_1", (512, len(CLASS_NAMES))),
}


def missing_files(folder: Path, required: Sequence[str] = REQUIRED_FILES) -> tuple[str, ...]:
    """Return the `required` files that `folder` does not hold, in their order; empty for a complete release."""
    return tuple(name for name in required if not (folder / name).is_file())


def describe_missing(missing: Sequence[str], required: Sequence[str] = REQUIRED_FILES) -> str:
    """Put the missing files into words, with the first three names.

    Example:
        >>> describe_missing(["npstriplets.txt"])
        'lacks 1 of 45 files (npstriplets.txt)'
    """
    names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    return f"lacks {len(missing)} of {len(required)} files ({names})"


def find(roots: Iterable[Path]) -> Path | None:
    """Return the first `<root>/rp2` that has every file of the release, or None. The contents are not checked here.

    Example:
        >>> find([Path("data")])
        PosixPath('data/rp2')
    """
    folders = (Path(root) / FOLDER for root in roots)
    return next((folder for folder in folders if not missing_files(folder)), None)


def damaged_files(folder: str | os.PathLike[str], files: Sequence[ReleaseFile] = FILES) -> tuple[str, ...]:
    """Return the paths of the files of a release that are there but do not have their pinned sum."""
    there = ((file, Path(folder) / file.path) for file in files)
    return tuple(file.path for file, path in there if path.is_file() and sha256(path) != file.sha256)


def dataset(query: Query) -> Dataset:
    """Return the release as a data set: victims, with their mask and palette, and nothing to train on."""
    query.refuse("label", "image_size", "class_names")
    places = {place: missing_files(place) for place in query.places(FOLDER)}
    folder = next((place for place, missing in places.items() if not missing), None)
    # A folder that is there but lacks files: a fetch that was interrupted, or a wrong folder.
    incomplete = {place: describe_missing(missing) for place, missing in places.items() if missing and place.is_dir()}
    lacking = " and ".join(f"{place} {words}" for place, words in incomplete.items())
    if folder is None:
        looked = ", ".join(f"{place} ({incomplete.get(place, 'not there')})" for place in places)
        nowhere = f"no RP2 release was found in {', '.join(map(str, places))} (`make data` fetches it)"
        raise DataNotFoundError(
            f"DATA=rp2 needs the RP2 release. Looked at: {looked}. Run `make data` to fetch it, or use DATA=synthetic.",
            because=f"{lacking}; `make data` fetches what is missing" if lacking else nowhere,
        )
    if damaged := damaged_files(folder):
        warnings.warn(f"{folder}: {', '.join(damaged)} differ from the authors' release.", stacklevel=2)
    return Dataset(
        name="rp2",
        key="rp2",
        title="RP2's photographs",
        class_names=CLASS_NAMES,
        image_size=(SIZE, SIZE),
        split="none",
        leaks=False,
        photographs=True,
        licence="The RP2 release is its authors' (Eykholt et al.), under MIT.",
        reason=f"found in {folder}" + (f"; not used: {lacking}" if lacking else ""),
        mask=folder / STICKER_MASK,
        palette=folder / PALETTE,
        authentic=not damaged,
        release=folder,
        loaders={"victims": lambda: load_victims(folder)},
    )


def load_victims(folder: Path) -> Split:
    """Read the 40 victims from the folder of the release.

    Returns:
        Images float32 (40, 32, 32, 3), RGB in [0, 1], in the authors' numeric order; all labels are `STOP`; the ids are
        the file names, "1.png" to "41.png".

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is no readable image, or is not 32x32.

    Example:
        >>> load_victims(Path("data/rp2")).ids[-1]
        '41.png'
    """
    _require(folder, VICTIM_FILES)
    return Split(
        images=np.stack([_read_image(folder / name) for name in VICTIM_FILES]),
        labels=np.full(len(VICTIM_FILES), STOP, np.int32),
        ids=tuple(Path(name).name for name in VICTIM_FILES),
        class_names=CLASS_NAMES,
    )


def load_weights(folder: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Read the weights of the released LISA-CNN from the folder of the release.

    Returns:
        For each of "conv1", "conv2", "conv3" and "logits" the pair (kernel, bias), float32, in the shapes that Keras
        uses: (8, 8, 3, 64), (6, 6, 64, 128), (5, 5, 128, 128) and (512, 18), each with a bias of the last size.

    Raises:
        FileNotFoundError: A file of the checkpoint is missing.
        ValueError: The checkpoint is damaged, or its variables are others.

    Example:
        >>> kernel, bias = load_weights(Path("data/rp2"))["conv1"]
        >>> kernel.shape, bias.shape
        ((8, 8, 3, 64), (64,))
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kernel_shape in _LAYERS.values():
        shapes |= {f"{name}_W": kernel_shape, f"{name}_b": kernel_shape[-1:]}
    values = _read_checkpoint(folder, shapes)
    return {layer: (values[f"{name}_W"], values[f"{name}_b"]) for layer, (name, _) in _LAYERS.items()}


def load_published_noise(folder: Path) -> NDArray[np.float32]:
    """Read the published perturbation, as it was optimised: neither masked nor clipped. Errors as in `load_weights`.

    Returns:
        float32 (32, 32, 3), in pixel units of [0, 1]; the values reach beyond +-20, to which RP2 clips before use.

    Example:
        >>> load_published_noise(Path("data/rp2")).shape
        (32, 32, 3)
    """
    return _read_checkpoint(folder, {_NOISE: (SIZE, SIZE, 3)})[_NOISE]


def _require(folder: Path, required: Sequence[str]) -> None:
    if missing := missing_files(folder, required):
        raise FileNotFoundError(f"The RP2 release in {folder} {describe_missing(missing, required)}. Run `make data`.")


def _read_image(path: Path) -> NDArray[np.float32]:
    try:
        image = decode(path.read_bytes(), str(path))
    except ValueError as error:
        raise ValueError(f"{error}. `make data` replaces a damaged file.") from error
    if image.shape != (SIZE, SIZE, 3):
        raise ValueError(
            f"{path} must be an image of {SIZE}x{SIZE} pixels. Received: {image.shape[0]}x{image.shape[1]}. "
            "`make data` replaces a damaged file."
        )
    return image[..., ::-1].astype(np.float32) / np.float32(255)  # OpenCV reads BGR


def _read_checkpoint(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    _require(folder, CHECKPOINT_FILES)
    prefix = folder / CHECKPOINT
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        found = reader.get_variable_to_shape_map()
        values = {name: reader.get_tensor(name) for name in shapes if name in found}
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:  # IndexError: the data file is cut short
        raise ValueError(
            f"{prefix} must be a readable TensorFlow checkpoint. Received: {type(error).__name__}: {error}. "
            "`make data` replaces damaged files."
        ) from error
    for name, shape in shapes.items():
        received = values[name].shape if name in values else None
        if received != shape:
            raise ValueError(f"{prefix} must hold `{name}` with the shape {shape}. Received: shape={received}")
    return {name: value.astype(np.float32, copy=False) for name, value in values.items()}

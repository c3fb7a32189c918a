"""The `synthetic` source: US traffic signs, drawn and then photographed by a simulated camera. Needs no download.

It takes the place of LISA: the same classes and size, crops as tight, half of them grey. Every picture depends on
nothing but the role of its split, its class, its number and the seed: a larger split holds the smaller one, and the
training and the test split share no picture.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import check_integer
from blurnet_tf.data.dataset import Dataset, Query
from blurnet_tf.data.folder import levels
from blurnet_tf.data.scenes import FRAME, View, background, photograph, random_view
from blurnet_tf.data.sign_art import draw_sign
from blurnet_tf.data.split import Split
from blurnet_tf.signs import CLASS_NAMES, SIGN_NAMES, STOP

VICTIM_DISTANCES: tuple[int, ...] = (5, 10, 15, 20, 25, 30, 35, 40)  # feet
VICTIM_ANGLES: tuple[int, ...] = (-30, -15, 0, 15, 30)  # degrees off the sign's axis
_STREAMS = {"train": 1, "test": 2, "victim": 3}  # the first word of every random stream keeps the roles apart


def dataset(query: Query) -> Dataset:
    """Return rendered signs as a data set, with as many images of each class as the query says."""
    query.refuse("label", "image_size", "class_names")
    return Dataset(
        name="synthetic",
        key="synthetic",
        title="rendered signs",
        class_names=CLASS_NAMES,
        image_size=(FRAME, FRAME),
        split="drawn",
        leaks=False,
        photographs=False,
        licence="The rendered signs are this project's, under MIT.",
        reason="drawn signs, no files needed",
        loaders={
            "train": lambda: train_split(query.per_class),
            "test": lambda: test_split(query.test_per_class),
            "victims": victim_split,
        },
    )


def train_split(per_class: int = 300, seed: int = 0) -> Split:
    """Render the training images.

    Args:
        per_class: Images of each of the 17 signs, at least 1; ValueError otherwise.
        seed: Not negative. The same seed gives the same bytes under the same versions of NumPy and OpenCV.

    Returns:
        17 * `per_class` images, float32 (n, 32, 32, 3), RGB in [0, 1], in shuffled order, the classes in balance. No
        image has the label 3, "unused". Ids: ``"train-stop-0007"``.

    Example:
        >>> split = train_split(per_class=2)
        >>> split.images.shape, split.images.dtype.name
        ((34, 32, 32, 3), 'float32')
    """
    return _render("train", per_class, seed)


def test_split(per_class: int = 60, seed: int = 0) -> Split:  # noqa: PT028 - not a test
    """Render the held-out images, ``"test-stop-0007"``: as `train_split`, from streams that no seed shares with it.

    Example:
        >>> len(test_split(per_class=1))
        17
    """
    return _render("test", per_class, seed)


# pytest collects functions by this prefix wherever they are imported
test_split.__test__ = False  # type: ignore[attr-defined]


def victim_split(seed: int = 0) -> Split:
    """Render the 40 stop signs to attack, with the label `STOP`: 8 distances x 5 angles, in colour.

    The sign fills the frame in all of them, so that one mask fits all. Distance shows as lost resolution and contrast,
    the angle as foreshortening and perspective. The word STOP stays in the middle rows, 10 to 21. Ids tell feet and
    degrees: ``"d05_a+15"``. `seed`, not negative, chooses the backgrounds, the light and the noise.

    Example:
        >>> victim_split().ids[:3]
        ('d05_a-30', 'd05_a-15', 'd05_a+00')
    """
    check_integer("seed", seed, 0)
    sign, images, ids = _sign("stop"), [], []
    for distance in VICTIM_DISTANCES:
        remoteness = (distance - VICTIM_DISTANCES[0]) / (VICTIM_DISTANCES[-1] - VICTIM_DISTANCES[0])
        for angle in VICTIM_ANGLES:
            rng = np.random.default_rng([_STREAMS["victim"], distance, angle % 360, seed])
            warmth = rng.normal(0, 0.05)
            view = View(
                yaw=angle,
                pitch=float(rng.uniform(-3, 3)),
                roll=float(rng.uniform(-2, 2)),
                fill=1.0 - 0.05 * remoteness,
                stretch=0.3,
                resolution=round(48 * (1 - remoteness) + 24 * remoteness),
                defocus=0.15 + 0.35 * remoteness,
                exposure=float(rng.uniform(0.6, 1.1)),
                gamma=float(rng.uniform(0.85, 1.2)),
                haze=0.2 * remoteness,
                cast=(float(np.exp(warmth)), 1.0, float(np.exp(-warmth))),
                shadow=float(rng.choice((0.0, 0.0, 0.3))),
                gloss=float(rng.uniform(0, 0.15)),
                noise=0.006 + 0.008 * remoteness,
            )
            images.append(photograph(sign, view, rng))
            ids.append(f"d{distance:02d}_a{angle:+03d}")
    return Split(
        images=np.stack(images), labels=np.full(len(ids), STOP, np.int32), ids=tuple(ids), class_names=CLASS_NAMES
    )


def class_sheet(split: Split, samples: int = 10, scale: int = 2) -> NDArray[np.uint8]:
    """Show rendered signs, RGB uint8 (H, W, 3): a row a class with its name, the sign as drawn, and its first images.

    Args:
        split: Images of 32 x 32 pixels, at least one. Classes without an image are left out.
        samples: Images in a row, at least 1; a class with fewer leaves the rest of its row white.
        scale: Pixels a side for each pixel of an image, at least 1.

    Example:
        >>> class_sheet(train_split(per_class=4), samples=4, scale=2).shape
        (1190, 580, 3)
    """
    check_integer("samples", samples, 1)
    check_integer("scale", scale, 1)
    if not len(split):
        raise ValueError("`split` must hold at least one image. Received: 0 images")
    tile, gap, name_width = FRAME * scale, 3 * scale, 115 * scale
    rows = []
    for label in np.unique(split.labels):
        name = split.class_names[label]
        row = np.full((tile + gap, name_width + (tile + gap) * (samples + 1), 3), 255, np.uint8)
        where, size = (2 * scale, tile // 2 + 3 * scale), 0.35 * scale
        cv2.putText(row, name, where, cv2.FONT_HERSHEY_SIMPLEX, size, (30, 30, 30), max(1, scale // 2), cv2.LINE_AA)
        art = draw_sign(name, tile).astype(np.float32)
        cover = art[..., 3:] / 255
        pictures = [np.rint(art[..., :3] * cover + 255 * (1 - cover)).astype(np.uint8)]
        for image in split.images[split.labels == label][:samples]:
            pictures.append(levels(image).repeat(scale, axis=0).repeat(scale, axis=1))
        for column, picture in enumerate(pictures):
            left = name_width + column * (tile + gap)
            row[:tile, left : left + tile] = picture
        rows.append(row)
    return np.concatenate(rows)


def picture(name: str = "stop", size: int = 160) -> NDArray[np.uint8]:
    """Draw a sign that fills most of a picture, before leaves that are out of focus: RGB uint8 (size, size, 3).

    Example:
        >>> picture("yield", 64).shape
        (64, 64, 3)
    """
    check_integer("size", size, 32)
    leaves = cv2.resize(background(np.random.default_rng(1)), (size, size), interpolation=cv2.INTER_CUBIC)
    margin = size // 20
    drawn = draw_sign(name, size - 2 * margin)
    art = cv2.copyMakeBorder(drawn, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    cover = art[..., 3:].astype(np.float32) / 255
    behind = cv2.GaussianBlur(leaves, (0, 0), size / 40) * np.float32(255)
    return np.rint(np.clip(art[..., :3] * cover + behind * (1 - cover), 0, 255)).astype(np.uint8)


@functools.cache
def _sign(name: str) -> NDArray[np.uint8]:
    art = draw_sign(name, 96)  # enough for pictures composed at 64 pixels
    art.flags.writeable = False
    return art


def _render(role: str, per_class: int, seed: int) -> Split:
    check_integer("per_class", per_class, 1)
    check_integer("seed", seed, 0)
    images, labels, ids = [], [], []
    for name in SIGN_NAMES:
        label = CLASS_NAMES.index(name)
        for number in range(per_class):
            rng = np.random.default_rng([_STREAMS[role], label, number, seed])
            images.append(photograph(_sign(name), random_view(rng), rng))
            labels.append(label)
            ids.append(f"{role}-{name}-{number:04d}")
    order = np.random.default_rng([_STREAMS[role], len(CLASS_NAMES), 0, seed]).permutation(len(ids))
    return Split(
        images=np.stack(images)[order],
        labels=np.asarray(labels, np.int32)[order],
        ids=tuple(ids[index] for index in order),
        class_names=CLASS_NAMES,
    )

"""Pictures inside the page: files and arrays as data URIs, and the attacked signs of a model."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from blurnet_tf.data.folder import levels
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.report.blocks import Picture, Pictures

SHOWN = 10
_NO_VERSION: Any = {"Software": None}


def file_uri(path: str | os.PathLike[str]) -> str:
    """Return a PNG file as a data URI."""
    return _uri(Path(path).read_bytes())


def image_uri(image: NDArray[np.float32]) -> str:
    """Return an image, float32 (H, W, 3) in [0, 1], as a data URI of a PNG. The same image gives the same text."""
    file = io.BytesIO()
    imsave(file, levels(image), format="png", metadata=_NO_VERSION)
    return _uri(file.getvalue())


def spread(n: int, shown: int = SHOWN) -> list[int]:
    """Return which of `n` signs are shown: evenly spread over them, so that nobody chose them.

    Example:
        >>> spread(40, 4)
        [0, 13, 26, 39]
    """
    return sorted({round(float(place)) for place in np.linspace(0, n - 1, min(shown, n))})


def clean_signs(images: NDArray[np.float32], ids: Sequence[str]) -> Pictures:
    """Return the clean signs."""
    pictures = [
        Picture(uri=image_uri(image), alt=f"clean sign {name}", caption=name)
        for image, name in zip(images, ids, strict=True)
    ]
    return Pictures(title="Clean", pictures=pictures, small=True)


def attacked_signs(
    title: str,
    images: NDArray[np.float32],
    perturbation: NDArray[np.float32],
    records: Sequence[Record],
    class_names: Sequence[str],
    *,
    confidences: NDArray[np.float32] | None,
    note: str,
) -> Pictures:
    """Return the perturbation, and each attacked sign with the class that the model sees in it.

    Args:
        title: The model.
        images: float32 (n, H, W, 3) in [0, 1], attacked.
        perturbation: float32 (H, W, 3).
        records: One an image, in the same order.
        class_names: The names of the classes.
        confidences: float32 (n, classes), the model's probabilities, if the model is there.
        note: Stands below the title.
    """
    pictures = [
        Picture(uri=image_uri(0.5 + perturbation), alt=f"the sticker against {title}, on grey", caption="sticker")
    ]
    for index, (image, record) in enumerate(zip(images, records, strict=True)):
        seen = class_names[record.adversarial_prediction]
        sure = "" if confidences is None else f"{100 * confidences[index, record.adversarial_prediction]:.0f}%"
        picture = Picture(
            uri=image_uri(image),
            alt=f"attacked sign {record.image}, seen as {seen}",
            caption=seen,
            says=sure,
            changed=record.adversarial_prediction != record.clean_prediction,
        )
        pictures.append(picture)
    return Pictures(title=title, pictures=pictures, note=note, small=True)


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"

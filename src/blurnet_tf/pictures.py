"""Pictures of others, decoded so that a damaged or hostile one ends in one sentence."""

from __future__ import annotations

import io
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from blurnet_tf.checks import first_line
from blurnet_tf.reading import most


def decode(data: bytes, what: str, mode: int = cv2.IMREAD_COLOR) -> NDArray[Any]:
    """Return a picture as OpenCV decodes it: (H, W, 3) in the order blue, green, red; or as `mode` says.

    `check_picture` and `decode_checked` are its two steps, for a picture that is decoded in several modes.

    A PNG file with a wrong checksum and a JPEG file that is cut short are refused; OpenCV would give half a picture.

    Args:
        data: The bytes of the file.
        what: The picture in words, for messages.
        mode: One of OpenCV's `IMREAD_` numbers.

    Raises:
        ValueError: It is no picture, is damaged, or has more pixels than `BLURNET_MOST_PIXELS`.
    """
    check_picture(data, what)
    return decode_checked(data, what, mode)


def decode_checked(data: bytes, what: str, mode: int = cv2.IMREAD_COLOR) -> NDArray[Any]:
    """Return a picture that `check_picture` let pass; arguments and errors as for `decode`."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ValueError(f"{what} must be a readable PNG, JPEG or PPM image. Received: {error.err}") from error
    if image is None:
        raise ValueError(f"{what} must be a readable PNG, JPEG or PPM image. Received: damaged pixels")
    return image


def check_pixels(what: str, width: int, height: int) -> None:
    """Raise ValueError if a picture has more pixels than `BLURNET_MOST_PIXELS`."""
    if width * height > (limit := most("BLURNET_MOST_PIXELS")):
        raise ValueError(
            f"{what} must have at most {limit} pixels. Received: {width} x {height}. Set BLURNET_MOST_PIXELS to allow "
            "more."
        )


def check_picture(data: bytes, what: str) -> None:
    """Raise ValueError unless the header and, as far as they are cheap to see, the bytes of a picture are whole."""
    must = f"{what} must be a readable PNG, JPEG or PPM image"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit; ours follows
        try:
            picture = Image.open(io.BytesIO(data))
        except Image.DecompressionBombError as error:  # Pillow's own limit, which nobody can raise here
            raise ValueError(f"{what} must have fewer pixels. Received: {error}") from error
        except UnidentifiedImageError as error:
            raise ValueError(f"{must}. Received: another kind of file") from error
        except Exception as error:  # of many kinds
            raise ValueError(f"{must}. Received: {error}") from error
        with picture:
            check_pixels(what, *picture.size)
            try:
                if picture.format == "PNG":
                    picture.verify()  # checksums, which `load` does not look at
                    with Image.open(io.BytesIO(data)) as again:
                        again.load()
                else:
                    picture.load()  # the only way to see that it is cut short
            except Exception as error:
                raise ValueError(f"{must}. Received: {first_line(error)}") from error

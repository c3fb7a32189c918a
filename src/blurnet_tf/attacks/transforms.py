"""Putting a perturbation onto images: x_adv = clip(x + M.d)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.elementwise import clip


def place(
    images: Any,
    perturbation: Any,
    *,
    image_clip: tuple[float, float] | None = (0.0, 1.0),
    inverse_mask: Any = None,
    setpoint: float = 0.5,
) -> Any:
    """Add each masked perturbation to each image, in the graph and differentiable: float32 (runs, n, H, W, 3).

    Args:
        images: float32 (n, H, W, 3), the same for all runs, or (runs, n, H, W, 3).
        perturbation: float32 (runs, H, W, 3), or (runs, n, H, W, 3) with one for each image; multiplied by the mask.
        image_clip: Range that the sum is clipped to, or `None`.
        inverse_mask: float32 (H, W, 1), or `None`. Where it is above 0, the images are first painted with `setpoint`.
            This is the "inverse mask" of RP2: it blanks the sign under the sticker.
        setpoint: The grey value of that paint.

    Example:
        >>> place(np.full((1, 1, 1, 3), 0.5, "f"), np.full((2, 1, 1, 3), 0.75, "f")).numpy().ravel()
        array([1., 1., 1., 1., 1., 1.], dtype=float32)
    """
    images = tf.convert_to_tensor(images, tf.float32)
    perturbation = tf.convert_to_tensor(perturbation, tf.float32)
    if inverse_mask is not None:
        images = tf.where(tf.convert_to_tensor(inverse_mask) > 0.0, setpoint, images)
    if len(images.shape) == 4:
        images = images[None]
    adversarial = images + (perturbation[:, None] if len(perturbation.shape) == 4 else perturbation)
    return adversarial if image_clip is None else clip(adversarial, *image_clip)


def masked(d: Any, mask: Any, limits: tuple[float, float] | None) -> Any:
    """Return M.d, clipped: float32 (stickers, H, W, 3)."""
    return mask * (d if limits is None else clip(d, *limits))


def apply_to_photograph(
    photograph: NDArray[np.uint8], perturbation: NDArray[np.float32], *, box: tuple[int, int, int, int] | None = None
) -> NDArray[np.uint8]:
    """Put a saved perturbation onto a large photograph, as RP2's `apply_noise_to_bigger_image` does: uint8 (H, W, 3).

    The perturbation is enlarged bilinearly to the box and added; sums outside 0..255 are clipped. Pixels that it does
    not reach stay bit for bit as they were: the original program rescaled the colours of the whole picture here.

    Args:
        photograph: uint8 (H, W, 3), RGB.
        perturbation: float32 (h, w, 3), masked, in units of the full range: 1.0 is 255 levels.
        box: Where the sign is: left, top, right, bottom in pixels, right and bottom excluded. `None` is all of it.

    Raises:
        ValueError: A shape or type is another, or the box is empty or reaches outside the photograph.

    Example:
        >>> photograph = np.zeros((300, 400, 3), np.uint8)
        >>> apply_to_photograph(photograph, result.perturbation[0], box=(100, 50, 260, 210)).shape
        (300, 400, 3)
    """
    if photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.dtype != np.uint8:
        raise ValueError(
            f"`photograph` must be uint8 (H, W, 3). Received: {photograph.dtype} with shape {photograph.shape}"
        )
    if perturbation.ndim != 3 or perturbation.shape[2] != 3:
        raise ValueError(f"`perturbation` must have the shape (h, w, 3). Received: shape={perturbation.shape}")
    height, width = photograph.shape[:2]
    left, top, right, bottom = (0, 0, width, height) if box is None else box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(
            f"`box` must be (left, top, right, bottom) inside a photograph of {width}x{height}. Received: box={box}"
        )
    result, size = photograph.copy(), (right - left, bottom - top)
    enlarged = cv2.resize(np.asarray(perturbation, np.float32), size, interpolation=cv2.INTER_LINEAR)
    patch = result[top:bottom, left:right]
    patch[...] = np.clip(np.rint(patch + 255.0 * enlarged), 0, 255).astype(np.uint8)
    return result

"""Which images share a sticker."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.attacks.config import Part, register


class Sharing(Part):
    """Which images share a sticker: `n` images make equal groups, in their order, and each group has one."""

    def stickers(self, n: int) -> int:
        """Return the number of groups, which divides `n`."""
        raise NotImplementedError

    def spread(self, found: NDArray[Any], n: int) -> NDArray[Any]:
        """Return what was found for each sticker, (runs, stickers, ...), for each image: (runs, n, ...)."""
        return np.repeat(found, n // found.shape[1], axis=1)


@register
class Shared(Sharing):
    """One sticker for all images of the call: RP2. Results are (runs, H, W, 3)."""

    def stickers(self, n: int) -> int:
        return 1

    def spread(self, found: NDArray[Any], n: int) -> NDArray[Any]:
        return found[:, 0]


@register
class PerImage(Sharing):
    """A sticker for each image, attacked by itself. Results are (runs, n, H, W, 3)."""

    def stickers(self, n: int) -> int:
        return n

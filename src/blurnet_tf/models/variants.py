"""The variants of the paper's tables as data: the LISA-CNN, and which defence stands after which of its layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Defense:
    """One defence at one place of a network.

    Attributes:
        after: Where it acts: "input", or the name of a convolution, whose maps are those after its ReLU. Those before
            it are "conv1_linear".
        layer: Its class: "FixedBlur", "LearnableBlur"; "TotalVariation", a penalty on the maps, or
            "KernelTotalVariation", one on the weights; a registered one of your own ("package>Name"); or a layer, a
            regularizer of the maps or a constraint of the weights of Keras, such as "UnitNorm".
        settings: The arguments of that class, with the `name` of a layer among them.
    """

    after: str
    layer: str
    settings: Mapping[str, Any] = dataclasses.field(hash=False)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A network with its defences: one row of the tables.

    Attributes:
        name: Short name, also that of the model and of its files.
        title: The row's title in a table.
        defenses: What is put in; several at one place follow one another in this order.
        network: What it is put into, one of `blurnet_tf.models.NETWORKS`.
    """

    name: str
    title: str
    defenses: tuple[Defense, ...] = ()
    network: str = "lisa_cnn"

    @property
    def alpha(self) -> float:
        """Weight of the penalty of Eq. 3 or Eq. 5; 0.0 without one."""
        return float(next((one.settings["alpha"] for one in self.defenses if "alpha" in one.settings), 0.0))

    def settings(self) -> dict[str, Any]:
        """Return what makes this variant, for JSON: all but the title. The digest of a checkpoint is of this.

        Variants of the tables and studies are said in the words of older checkpoints, so that these stay valid;
        anything else as the list of `defenses`.

        Example:
            >>> VARIANTS["tv_1e-4"].settings()
            {'name': 'tv_1e-4', 'alpha_tv': 0.0001}
            >>> Variant.from_settings({"name": "mine", "alpha_tv": 0.0001}).defenses
            (Defense(after='conv1', layer='TotalVariation', settings={'alpha': 0.0001}),)
        """
        settings: dict[str, Any] = {"name": self.name}
        if self.network != "lisa_cnn":
            settings["network"] = self.network
        for one in self.defenses:
            number = {"conv2": 2, "conv3": 3}.get(one.after, 1)
            known = {**one.settings, "after": number, "before_relu": one.after == "conv1_linear"}
            for make, words in _WORDS.items():
                given = {argument: known.get(argument) for argument, _ in words.values()}
                if make(**given) == one:
                    settings |= {word: given[name] for word, (name, usual) in words.items() if given[name] != usual}
        if Variant.from_settings(settings).defenses == self.defenses:
            return settings
        named = {key: settings[key] for key in ("name", "network") if key in settings}
        return named | {"defenses": [dataclasses.asdict(one) for one in self.defenses]}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], title: str | None = None) -> Variant:
        """Return the variant of what `settings` returned, titled as named by default; ValueError for unknown keys."""
        known = [word for words in _WORDS.values() for word in words]
        if set(settings) - {"name", "network", *(["defenses"] if "defenses" in settings else known)}:
            raise ValueError(
                f"`settings` must have `name`, and `defenses` or some of {', '.join(known)}. Received: {settings}"
            )
        defenses = [Defense(**one) for one in settings.get("defenses", ())]
        for make, words in _WORDS.items():
            if settings.get(next(iter(words))):
                defenses.append(make(**{name: settings.get(word, usual) for word, (name, usual) in words.items()}))
        return cls(
            name=settings["name"],
            title=title or settings["name"],
            defenses=tuple(defenses),
            network=settings.get("network", "lisa_cnn"),
        )


def input_blur(size: int) -> Defense:
    """Return a box blur of the image (Table 1)."""
    return Defense(after="input", layer="FixedBlur", settings={"size": size, "name": "input_blur"})


def feature_blur(size: int, *, after: int = 1) -> Defense:
    """Return a box blur of the maps of a convolution (Table 1): the first, or what section 3.1 tells of the others."""
    return Defense(after=f"conv{after}", layer="FixedBlur", settings={"size": size, "name": "feature_blur"})


def depthwise(size: int, alpha: float, *, start: str = "box") -> Defense:
    """Return a trainable filter on the first layer's maps with the L-infinity penalty of Eq. 3 (Table 2)."""
    settings = {"size": size, "alpha": alpha, "start": start, "name": "depthwise"}
    return Defense(after="conv1", layer="LearnableBlur", settings=settings)


def tv(alpha: float, *, before_relu: bool = False) -> Defense:
    """Return the total-variation penalty of Eq. 5 on the first layer's maps, in the paper after the ReLU (Table 2)."""
    after = "conv1_linear" if before_relu else "conv1"
    return Defense(after=after, layer="TotalVariation", settings={"alpha": alpha})


def kernel_tv(alpha: float) -> Defense:
    """Return the total-variation penalty on the first layer's kernels, which is in no table of the paper."""
    return Defense(after="conv1", layer="KernelTotalVariation", settings={"alpha": alpha})


_WORDS: Mapping[Callable[..., Defense], dict[str, tuple[str, Any]]] = {
    input_blur: {"input_blur": ("size", 0)},
    tv: {"alpha_tv": ("alpha", 0.0), "tv_before_relu": ("before_relu", False)},
    kernel_tv: {"alpha_tvk": ("alpha", 0.0)},
    feature_blur: {"feature_blur": ("size", 0), "feature_blur_after": ("after", 1)},
    depthwise: {"depthwise": ("size", 0), "alpha": ("alpha", 0.0), "depthwise_start": ("start", "box")},
}
"""The words of older checkpoints for the arguments of each defence, and the values that are left out. A defence is put
in if its first word has another value; several stand in this order."""


def find_variant(variant: str | Variant) -> Variant:
    """Return a variant of the tables by its name, or one of your own unchanged; raise ValueError for another name."""
    if isinstance(variant, Variant):
        return variant
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: variant={variant!r}")
    return VARIANTS[variant]


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(name="baseline", title="Baseline"),
        Variant(name="input_3x3", title="Input filter 3x3", defenses=(input_blur(3),)),
        Variant(name="input_5x5", title="Input filter 5x5", defenses=(input_blur(5),)),
        Variant(name="feature_3x3", title="3x3 filter on L1 feature maps", defenses=(feature_blur(3),)),
        Variant(name="feature_5x5", title="5x5 filter on L1 feature maps", defenses=(feature_blur(5),)),
        Variant(name="depthwise_3x3", title="3x3 conv", defenses=(depthwise(3, 1e-5),)),
        Variant(name="depthwise_5x5", title="5x5 conv", defenses=(depthwise(5, 0.1),)),
        Variant(name="depthwise_7x7", title="7x7 conv", defenses=(depthwise(7, 0.1),)),
        Variant(name="tv_1e-4", title="TV 1e-4", defenses=(tv(1e-4),)),
        Variant(name="tv_1e-5", title="TV 1e-5", defenses=(tv(1e-5),)),
        # The filters of Table 1 with a training of their own.
        Variant(name="fixed_3x3", title="Fixed 3x3 box", defenses=(feature_blur(3),)),
        Variant(name="fixed_5x5", title="Fixed 5x5 box", defenses=(feature_blur(5),)),
        *(
            Variant(
                name=f"input_{name}", title=title, defenses=(Defense(after="input", layer=layer, settings=settings),)
            )
            for name, title, layer, settings in (
                ("jpeg", "JPEG 75", "JPEG", {"quality": 75, "name": "jpeg"}),
                ("median", "Median 3x3", "MedianFilter", {"size": 3, "name": "median"}),
                ("bits", "4 bits a colour", "BitDepth", {"bits": 4, "name": "bits"}),
            )
        ),
        *(
            Variant(name=f"tvk_{alpha}", title=f"Kernel TV {alpha}", defenses=(kernel_tv(float(alpha)),))
            for alpha in ("1e-3", "3e-3", "1e-2", "3e-2", "1e-1", "3e-1", "1")
        ),
        Variant(name="vote_cnn", title="Bounded votes", network="vote_cnn"),
        Variant(name="rp2_release", title="RP2's released weights"),
    )
}
"""Every variant of the two tables of the paper, by name; the controls that it lacks; and the model that RP2's authors
released."""

KERNEL_VARIANTS: tuple[str, ...] = tuple(
    one.name for one in VARIANTS.values() if [part.layer for part in one.defenses] == ["KernelTotalVariation"]
)
"""The variants with the total variation of the first layer's kernels as a penalty."""

INPUT_VARIANTS: tuple[str, ...] = ("input_jpeg", "input_median", "input_bits")
"""The filters of the image that section 5 of the paper names, in front of the baseline's weights."""

TRANSFER_VARIANTS: tuple[str, ...] = ("baseline", "input_3x3", "input_5x5", "feature_3x3", "feature_5x5")
"""The rows of Table 1. They share the baseline's weights: only a fixed blur is put in."""

TRAINED_VARIANTS: tuple[str, ...] = (
    "baseline", "depthwise_3x3", "depthwise_5x5", "depthwise_7x7", "tv_1e-4", "tv_1e-5",
)  # fmt: skip
"""The rows of Table 2, each with a training of its own."""

"""The pictures of the documentation: what each defence, attack and training does to rendered signs, by its own code.

Everything is seeded, and nothing of LISA or of RP2's photographs is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.attacks import RP2, Attack, AttackResult, GradientAttack, MaskSearch, SquareAttack, bars
from blurnet_tf.attacks.masks import bundled, draw_octagon
from blurnet_tf.data import synthetic
from blurnet_tf.data.folder import read_image
from blurnet_tf.defenses import JPEG, BitDepth, ChannelLInf, FixedBlur, KernelTotalVariation, MedianFilter, blur_kernel
from blurnet_tf.defenses.regularizers import FORMS, TotalVariation
from blurnet_tf.evaluation.feature_maps import layer_maps
from blurnet_tf.evaluation.high_frequency import strongest_maps
from blurnet_tf.models.network import build_network
from blurnet_tf.reporting.doc_sheet import Sheet, draw_gains
from blurnet_tf.reporting.style import COLOURS, LINES, look, pixels
from blurnet_tf.signs import CLASS_NAMES, STOP
from blurnet_tf.training import PROCEDURES
from blurnet_tf.training.procedures import DOA

DPI = 200
AREA = 96  # pixels of the bars: enough to see what is painted
VICTIMS = (2, 16, 23, 34)  # of the 40 rendered stop signs: another distance and angle each
LEARNED = ("stop", "yield", "merge", "signalAhead", "pedestrianCrossing")
SEED = 1
EMPTY = 0.93  # the grey where there is no sticker

Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Signs:
    """A model, the rendered stop signs that are attacked, and the signs that are learned."""

    model: keras.Model

    @cached_property
    def victims(self) -> Images:
        return synthetic.victim_split().images[list(VICTIMS)]

    @cached_property
    def attacked(self) -> Images:
        """The first stop sign under opaque stickers, float32 (1, H, W, 3)."""
        attack = RP2(steps=40, loss="margin", basis="paint", norm=None)
        return attack(self.model, self.victims[:1], mask=bars(AREA), progress=False).apply(self.victims[:1])[0]

    @cached_property
    def learned(self) -> tuple[Images, NDArray[np.int32]]:
        """A held-out sign of each of `LEARNED`, with its label: the first that the model knows, if it knows one."""
        split = synthetic.test_split(10)
        known = self.says(split.images) == split.labels
        labels = [CLASS_NAMES.index(name) for name in LEARNED]
        chosen = [np.flatnonzero(split.labels == label) for label in labels]
        first = [int(some[np.argmax(known[some])]) for some in chosen]
        return split.images[first], split.labels[first]

    def says(self, images: Images) -> NDArray[np.int64]:
        """Return the class that the model takes each image for, (n,)."""
        return np.argmax(np.asarray(self.model(images)), axis=-1)


# Defences


@look()
def fixed_blur(signs: Signs) -> Figure:
    """Draw kernels, a map of the first layer before and behind two of them, and what they pass."""
    sheet = Sheet(["kernels", "one map"], 4, lines=[1, 1], foot=2.05)
    kernels = {f"{name} {size}x{size}": blur_kernel(name, size)
               for name, size in (("box", 3), ("box", 5), ("gaussian", 5), ("binomial", 5))}  # fmt: skip
    for panel, kernel in zip(sheet.panels[0], kernels.values(), strict=True):
        room = (7 - len(kernel)) // 2
        panel.imshow(np.pad(kernel, room), cmap="Greys", vmin=0, vmax=0.2)
    sheet.label(0, list(kernels))
    sign = signs.victims[:1]
    maps = layer_maps(signs.model, sign, ["conv1"])["conv1"]
    chosen = strongest_maps(maps[0], 1)[0]
    shown = [np.asarray(FixedBlur(size)(maps))[0, :, :, chosen] for size in (1, 3, 5)]
    sheet.panels[1, 0].imshow(sign[0])
    for panel, one in zip(sheet.panels[1, 1:], shown, strict=True):
        panel.imshow(one, vmin=0, vmax=float(shown[0].max()))
    sheet.label(1, ["sign", "no blur", "box 3x3", "box 5x5"])
    draw_gains(sheet.foot(1.2), kernels, relative=False)
    return sheet.figure


@look()
def learnable_blur(signs: Signs) -> Figure:
    """Draw what the penalty of Eq. 3 alone does to a random filter and to a box, and what the results pass."""
    random = np.asarray(keras.initializers.GlorotUniform(seed=SEED)((7, 7, 1, 1)))
    starts = {"random\nstart": random, "box\nstart": np.full((7, 7, 1, 1), 1 / 49, np.float32)}
    states = {
        title: [kernel, *(flow(kernel, ChannelLInf(1.0), steps=steps, rate=float(np.abs(kernel).sum()) / 1000)
                          for steps in (200, 600))]
        for title, kernel in starts.items()
    }  # fmt: skip
    sheet = Sheet(list(states), 3, lines=[0, 0], head=1, foot=2.05)
    sheet.head(["at the start", "200 steps", "600 steps"])
    for row, kernels in enumerate(states.values()):
        most = float(np.abs(kernels[0]).max())
        sheet.show(row, np.stack([one[..., 0, 0] for one in kernels]), cmap="RdBu_r", vmin=-most, vmax=most)
    (first, _, last), (box, *_) = states.values()
    draw_gains(sheet.foot(1.2), {"random, start": first, "random, 600 steps": last, "box": box}, relative=True)
    return sheet.figure


@look()
def total_variation(signs: Signs) -> Figure:
    """Draw a map, the same divided by ten, and blurred; and what each form of the penalty asks of the three."""
    maps = layer_maps(signs.model, signs.victims[:1], ["conv1"])["conv1"]
    (chosen,) = strongest_maps(maps[0], 1)
    states: dict[str, Images] = {
        "as it is": maps,
        "divided by 10": maps / np.float32(10),
        "3x3 blur": np.asarray(FixedBlur(3)(maps)),
    }
    sheet = Sheet(["one of\n64 maps"], 3, lines=[0], head=1, foot=2.0)
    sheet.head(list(states))
    sheet.show(0, np.stack([one[0, :, :, chosen] for one in states.values()]), vmin=0,
               vmax=float(maps[..., chosen].max()))  # fmt: skip
    axis = sheet.foot(1.25)
    for index, (title, one) in enumerate(states.items()):
        cost = [float(TotalVariation(1.0, form)(one) / TotalVariation(1.0, form)(maps)) for form in FORMS]
        bar = axis.bar(np.arange(len(FORMS)) + 0.28 * (index - 1), 100 * np.array(cost), 0.26, label=title,
                       color=(COLOURS[0], COLOURS[5], COLOURS[2])[index])  # fmt: skip
        axis.bar_label(bar, fmt="%.0f", padding=1, fontsize=6.5)
    axis.set(xticks=range(len(FORMS)), xticklabels=list(FORMS), ylim=(0, 118), yticks=[0, 50, 100])
    axis.set_ylabel("penalty (%)")
    axis.legend(loc="lower center", bbox_to_anchor=(0.45, 0.98), ncols=3, handlelength=1.0)
    axis.set_xlabel("form")
    return sheet.figure


@look()
def kernel_total_variation(signs: Signs) -> Figure:
    """Draw what the penalty on the kernels alone does to the first layer, and what it passes then."""
    first = np.asarray(signs.model.get_layer("conv1").kernel)
    after = (0, 50, 200, 800)
    states = [first, *(flow(first, KernelTotalVariation(1e-2), steps=steps, rate=2e-2) for steps in after[1:])]
    chosen = np.argsort(-np.square(first).sum(axis=(0, 1, 2)), kind="stable")[:2]
    sheet = Sheet([f"filter {index}" for index in chosen], len(after), lines=[0, 0], head=1, foot=2.05)
    sheet.head([f"{steps} steps" for steps in after])
    for row, index in enumerate(chosen):
        most = float(np.abs(first[..., index]).max())
        sheet.show(row, np.stack([0.5 + 0.5 * one[..., index] / most for one in states]))
    draw_gains(
        sheet.foot(1.2), {f"{steps} steps": one for steps, one in zip(after, states, strict=True)}, relative=True
    )
    return sheet.figure


@look()
def input_filters(signs: Signs) -> Figure:
    """Draw a clean and an attacked sign behind each filter of the image, and what the model takes them for."""
    filters: dict[str, Callable[[Any], Any]] = {
        "none": np.asarray, "blur 3x3": FixedBlur(3), "JPEG 75": JPEG(75), "median 3x3": MedianFilter(3),
        "4 bits": BitDepth(4),
    }  # fmt: skip
    sheet = Sheet(["clean", "attacked"], len(filters), lines=[1, 2], head=1)
    sheet.head(list(filters))
    right = signs.says(signs.victims[:1]).repeat(len(filters))
    for row, image in enumerate((signs.victims[:1], signs.attacked)):
        shown = np.concatenate([np.asarray(one(image)) for one in filters.values()])
        sheet.show(row, shown)
        sheet.say(row, signs.says(shown), right)
    return sheet.figure


@look()
def bounded_votes(signs: Signs) -> Figure:
    """Draw the most that a place may say, and which places a sticker reaches in the two networks."""
    sheet = Sheet([""], 3, lines=[2], foot=1.6)
    clean, attacked = signs.victims[:1], signs.attacked
    networks = {"vote_cnn": build_network("vote_cnn", seed=0), "lisa_cnn": build_network("baseline", seed=0)}
    sheet.panels[0, 0].imshow(attacked[0])
    titles = [f"a sticker of\n{AREA} pixels"]
    for panel, (name, network) in zip(sheet.panels[0, 1:], networks.items(), strict=True):
        sharp, other = (layer_maps(network, images, ["conv3"])["conv3"][0] for images in (clean, attacked))
        reached = np.any(sharp != other, axis=-1)
        panel.imshow(reached, cmap="Reds", vmin=0, vmax=1.6)
        titles.append(f"{name}: reaches\n{int(reached.sum())} of {reached.size} places")
    sheet.label(0, titles)
    axis, said = sheet.foot(1.1), np.linspace(-4, 4, 161)
    for bound, colour, line in zip((0.5, 1.0, 2.0), (COLOURS[5], COLOURS[0], COLOURS[4]), LINES, strict=False):
        axis.plot(said, bound * np.tanh(said / bound), color=colour, linestyle=line, label=f"bound {bound:g}")
    axis.set(xlim=(-4, 4), ylim=(-2.1, 2.1), xlabel="score of a place", ylabel="its vote")
    axis.grid(visible=True)
    axis.legend(loc="upper left", borderpad=0.1)
    return sheet.figure


# Attacks


@look()
def rp2(signs: Signs) -> Figure:
    """Draw one sticker for all signs."""
    return draw_attack(signs, {"": (RP2(steps=60), signs.victims, bars(AREA), 1.0)})


@look()
def gradient(signs: Signs) -> Figure:
    """Draw a perturbation of the whole image, and a sticker, for each sign."""
    some = signs.victims[:2], signs.victims[2:]
    paint = GradientAttack(method="pgd", epsilon=1.0, step_size=0.1, steps=20)
    return draw_attack(signs, {
        "bim, 16/255\nadded: 8-fold": (GradientAttack(epsilon=16 / 255), some[0], None, 8.0),
        "pgd, any colour\ninside a mask": (paint, some[1], bars(AREA), 1.0),
    })  # fmt: skip


@look()
def square(signs: Signs) -> Figure:
    """Draw one sticker for all signs, found without gradients."""
    return draw_attack(signs, {"": (SquareAttack(steps=200), signs.victims, bars(AREA), 1.0)})


@look()
def mask_search(signs: Signs) -> Figure:
    """Draw what the first attack changes, the mask that is made of it, and the stickers of the final attack there."""
    final = RP2(steps=60, loss="margin", basis="paint", norm=None)
    attack, targets = MaskSearch(area=AREA, stickers=5, final=final), [CLASS_NAMES.index("speedLimit45")]
    face = draw_octagon().astype(np.float32)[..., None] / 255
    first = attack.first(signs.model, signs.victims, targets=targets, mask=face, progress=False)
    found = attack(signs.model, signs.victims, targets=targets, mask=face, progress=False)
    sheet = Sheet(["search", "attacked"], len(VICTIMS), lines=[1, 2])
    sheet.panels[0, 0].imshow(face[..., 0], cmap="Greys", vmin=0, vmax=2)
    sheet.panels[0, 1].imshow(np.abs(first.perturbation).sum(axis=(0, -1)), cmap="Greys")
    sheet.panels[0, 2].imshow(found.mask[..., 0], cmap="Greys", vmin=0, vmax=1)
    sheet.label(0, ["may be here", "first attack", "found mask", "sticker"])
    attacked = found.apply(signs.victims)[0]
    sheet.panels[0, 3].imshow(np.where(found.mask > 0, attacked[0], EMPTY))
    sheet.show(1, attacked)
    sheet.say(1, signs.says(attacked), signs.says(signs.victims))
    return sheet.figure


def draw_attack(signs: Signs, attacks: Mapping[str, tuple[Attack, Images, Images | None, float]]) -> Figure:
    """Draw clean signs, what attacks add to them, and the attacked signs, with the classes that they are taken for.

    `attacks` has by its title the attack, its images, its mask, and how many times what it adds is enlarged.
    """
    head = max(title.count("\n") + bool(title) for title in attacks)
    sheet = Sheet(["clean", "added", "attacked"], len(VICTIMS), lines=[1, 0, 2], head=head)
    first = 0
    for title, (attack, images, mask, gain) in attacks.items():
        result = attack(signs.model, images, mask=mask, progress=False)
        right, attacked = signs.says(images), result.apply(images)[0]
        sheet.show(0, images, first=first)
        sheet.say(0, right, right, first=first)
        sheet.show(1, sticker(result, len(images), gain), first=first)
        sheet.show(2, attacked, first=first)
        sheet.say(2, signs.says(attacked), right, first=first)
        sheet.head_over(title, first, len(images))
        first += len(images)
    return sheet.figure


def sticker(result: AttackResult, n: int, gain: float) -> Images:
    """Return what an attack adds, float32 (n, H, W, 3): half of it on grey, `EMPTY` outside the mask."""
    perturbation = result.perturbation[0]
    added = np.broadcast_to(perturbation, (n, *perturbation.shape[-3:]))
    return np.where(result.mask > 0, np.clip(0.5 + gain * added / 2, 0, 1), EMPTY).astype(np.float32)


# Trainings


def trained(name: str) -> Callable[[Signs], Figure]:
    """Return what draws the signs before a procedure and after it: what the model learns from."""

    @look()
    def draw(signs: Signs) -> Figure:
        procedure = PROCEDURES[name]
        images, labels = signs.learned
        given = ops.convert_to_tensor(images), ops.convert_to_tensor(labels, "int32")
        seed = ops.convert_to_tensor([SEED, 1000], "int32")
        learned, _ = (np.asarray(one) for one in procedure(signs.model, *given, seed))
        clean, changed = (learned[: len(images)], learned[-len(images) :]) if procedure.clean else (None, learned)
        rows = {"before": images}
        if isinstance(procedure, DOA):
            hidden = np.asarray(procedure.place(signs.model, *given))
            rows["tried\nin grey"] = images + hidden * (0.5 - images)
        if name == "adversarial":
            rows["change,\n8-fold"] = 0.5 + 4 * (changed - images)
        if clean is not None and procedure.augmentation is not None:
            rows["learned,\nclean"] = clean
        rows["learned"] = changed
        sheet = Sheet(list(rows), len(images), lines=[0] * len(rows))
        for row, (title, one) in enumerate(rows.items()):
            sheet.show(row, one)
            if not title.startswith("change"):
                sheet.mark(row, signs.says(one) != labels)
        return sheet.figure

    return draw


# What several pictures need


def flow(values: Images, penalty: keras.Regularizer, *, steps: int, rate: float) -> Images:
    """Return what steps of plain gradient descent on a penalty alone make of values."""
    held = _Held(values, penalty)
    model = keras.Sequential([keras.Input((1,)), held])
    model.compile(keras.optimizers.SGD(rate), loss=lambda true, predicted: 0.0 * ops.mean(predicted))
    nothing = np.zeros((steps, 1), np.float32)
    model.fit(nothing, nothing, batch_size=1, shuffle=False, verbose=0)
    return np.asarray(held.values)


class _Held(keras.layers.Layer):
    """Values that a penalty alone pulls at."""

    def __init__(self, values: Images, penalty: keras.Regularizer) -> None:
        super().__init__()
        start = keras.initializers.Constant(values)
        self.values = self.add_weight(shape=values.shape, initializer=start, regularizer=penalty, name="values")

    def call(self, inputs: Any) -> Any:
        return inputs


@look()
def first_page(plain: keras.Model, hardened: keras.Model) -> Figure:
    """Draw what the first example of the README does: a sign, and the sticker that each of two models gets."""
    sign = read_image(bundled("stop.png"), size=(32, 32))[np.newaxis]
    attack = RP2(loss="margin", basis="paint", norm=None)
    sheet = Sheet(["what it\nreads"], 3, lines=[2], head=2)
    sheet.head(["the sign", "attacked:\nbaseline", "attacked: the\ndefended model"])
    shown = [sign]
    for model in (plain, hardened):
        shown.append(attack(model, sign, labels=[STOP], mask=bars(60), progress=False).apply(sign)[0])
    says = [
        np.argmax(np.asarray(one(image)), axis=-1) for one, image in zip((plain, plain, hardened), shown, strict=True)
    ]
    sheet.show(0, np.concatenate(shown))
    sheet.say(0, np.concatenate(says), np.full(3, STOP))
    return sheet.figure


PICTURES: dict[str, Callable[[Signs], Figure]] = {
    one.__name__: one
    for one in (
        fixed_blur, learnable_blur, total_variation, kernel_total_variation, input_filters, bounded_votes,
        rp2, gradient, square, mask_search,
    )
} | {name: trained(name) for name in PROCEDURES if name != "plain"}  # fmt: skip
"""What draws each picture, by the name of its file. Plain training changes nothing that could be drawn."""


def draw_pictures(model: keras.Model) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Draw the pictures of all pages, each as its name and its pixels, RGB: half a minute on two cores.

    `model` is what is attacked and trained on: a `lisa_cnn` for the 18 classes of the rendered signs.
    """
    signs = Signs(model)
    for name, draw in PICTURES.items():
        yield name, pixels(draw(signs), dpi=DPI)

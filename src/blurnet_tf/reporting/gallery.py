"""The figures of `make figures`: each drawn from a stored attack, models and records, with what its numbers say."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.defenses import blur_kernel
from blurnet_tf.evaluation.feature_maps import layer_maps
from blurnet_tf.evaluation.high_frequency import KINDS, Measured, measure, measure_layers, strongest_maps, write_ratios
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.spectra import RADIUS
from blurnet_tf.files import write_json
from blurnet_tf.models import VARIANTS, layer_weights, weights_sha256
from blurnet_tf.reporting import spectra_figures as spectra
from blurnet_tf.reporting.figures import dissimilarity_figure, dissimilarity_sentence
from blurnet_tf.reporting.style import save_both
from blurnet_tf.runs.run import StoredRun

Models = Mapping[str, keras.Model]
Layers = Mapping[str, Measured]

ATTACKED = "attacked weights"
RADII = (0.125, RADIUS, 0.375)

CAPTIONS: dict[str, str] = {
    "figure1": "A stop sign, clean and attacked, what the attack adds, and the spectrum of each.",
    "figure2": "Spectra of the maps of the first layer that the attack changes most: clean, attacked, the difference, "
    "and the difference behind the 5x5 blur.",
    "figure3": "Spectra of the maps of the second layer that vary most, on the clean sign.",
    "figure4": "Dissimilarity against attack success of white-box attacks. Lower and to the right is better.",
    "filters": "What the blurs and the first layers pass at each frequency.",
    "variants": "Share of high frequencies in the maps that the second layer sees, for each variant on the same signs.",
}
"""What each figure shows. A per cent in a panel, and the curves at the foot: the share of the energy, the mean of the
map left out, beyond a radius around the frequency 0. Figure 2 draws the spectrum of the difference of the maps, not the
difference of their spectra: the former is what a blur acts on."""


Picture = tuple[Figure, str]  # a figure, and the sentence that its numbers make


def draw_figures(
    attack: StoredRun,
    attacked: Models,
    trained: Models,
    *,
    folder: Path,
    trained_on: str,
    white_box: StoredRun | None = None,
    left_out: Sequence[str] = (),
) -> list[str]:
    """Draw the paper's figures and two of our own into a folder, with `figures.json` and `high_frequency.csv`.

    Args:
        attack: The transfer experiment, whose clean and attacked signs are shown to the models.
        attacked: By variant the model that was attacked, `baseline`, and its filtered versions with `feature_5x5`.
        trained: By variant defences with a training of their own; may be empty.
        folder: Where to.
        trained_on: The data of these trainings, in words.
        white_box: The white-box experiment, for Figure 4.
        left_out: Sentences about models that are not there, for `figures.json`.

    Returns:
        What each figure says, and what was left out.

    Raises:
        FileNotFoundError: The clean signs are not there any more.
        ValueError: `baseline` has other weights than the model that was attacked.
    """
    run, (records, clean, adversarial) = attack.run, _attacked_signs(attack)
    if weights_sha256(layer_weights(attacked["baseline"])) != run.rows[0].weights_sha256:
        raise ValueError(
            f"`attacked` must hold the model that {attack.folder} attacked. Received: another one. `make blackbox` "
            "attacks it."
        )
    groups = {ATTACKED: attacked, f"trained on {trained_on}": trained}
    image = measure("image", clean, adversarial)
    measured = {
        heading: {name: measure_layers(model, clean, adversarial) for name, model in models.items()}
        for heading, models in groups.items()
    }
    # The first sign whose prediction the attack changes; the first of all, if it changes none.
    moved = [one.adversarial_prediction != one.clean_prediction for one in records]
    index = moved.index(True) if any(moved) else 0
    example, names = records[index], run.class_names
    seen = (names[example.clean_prediction], names[example.adversarial_prediction])
    pictures = _paper_pictures(np.stack([clean[index], adversarial[index]]), seen, attacked, image, measured[ATTACKED])
    pictures |= _defence_pictures(groups, measured)
    if white_box:
        titles, attacks = white_box.titles, white_box.records
        figure_4 = dissimilarity_figure(attacks, titles=titles)
        pictures["figure4"] = (figure_4, dissimilarity_sentence(attacks, titles))
    pictures = dict(sorted(pictures.items()))
    for name, (figure, _) in pictures.items():
        save_both(folder, name, figure)
    named = [(heading, name, layers) for heading, models in measured.items() for name, layers in models.items()]
    layers = [(heading, name, layer) for heading, name, by_layer in named for layer in by_layer.values()]
    write_ratios(folder / "high_frequency.csv", [("", "", image), *layers], [record.image for record in records])

    def describe(heading: str, models: Models) -> dict[str, Any]:
        sums = {name: weights_sha256(layer_weights(model)) for name, model in models.items()}
        layers = {name: {key: one.describe(RADII) for key, one in measured[heading][name].items()} for name in models}
        return {name: {"weights_sha256": sums[name], "layers": layers[name]} for name in models}

    content = {
        "figures": {name: {"caption": CAPTIONS[name], "says": says} for name, (_, says) in pictures.items()},
        "left_out": list(left_out), "radius": RADIUS, "sign": example.image, "image": image.describe(RADII),
        "models": {heading: describe(heading, models) for heading, models in groups.items()},
        "attack": run.attack, "data_sha256": run.data["sha256"], "environment": environment(),
    }  # fmt: skip
    write_json(folder / "figures.json", content)
    no_figure_4 = [] if white_box else ["Figure 4 needs white-box attacks. `make whitebox` makes them."]
    return [
        *(f"{name}: {says}" for name, (_, says) in pictures.items()),
        *(f"Left out: {sentence}" for sentence in (*left_out, *no_figure_4)),
    ]


def _attacked_signs(attack: StoredRun) -> tuple[list[Record], NDArray[np.float32], NDArray[np.float32]]:
    """Return the records of the attacked model, and the clean and the attacked signs in their order."""
    (cell,) = attack.cells
    records = [record for record in cell.records if record.victim == record.source]
    if not all(record.image in attack.clean for record in records):
        raise FileNotFoundError(
            f"The signs that {attack.folder} attacked are not there any more. `make data` fetches them, `make "
            "blackbox` attacks those that there are."
        )
    clean = np.stack([attack.clean[record.image] for record in records])
    return records, clean, cell.arrays["adversarial"].reshape(clean.shape)


def _paper_pictures(
    pair: NDArray[np.float32], seen: tuple[str, str], models: Models, image: Measured, measured: Mapping[str, Layers]
) -> dict[str, Picture]:
    """Draw Figures 1 to 3 of one sign, clean and attacked, taken for `seen`; the curves are of all signs."""
    layers = {**measured["feature_5x5"], "conv2": measured["baseline"]["conv2"]}
    first, blurred, second = (layers[name] for name in ("conv1", "feature_blur", "conv2"))
    signs = f"{len(image.ratios['clean'])} signs"
    sharp, soft = layer_maps(models["feature_5x5"], pair, ["conv1", "feature_blur"]).values()
    maps = {"clean": sharp[0], "attacked": sharp[1], "difference": sharp[1] - sharp[0]}
    figure_2 = spectra.map_spectra_figure(
        {**maps, "blurred\ndifference": soft[1] - soft[0]},
        {**first.power, "blurred difference": blurred.power["difference"]},
        chosen=strongest_maps(maps["difference"], 5), radius=RADIUS, title=f"all {first.shape[-1]} maps of {signs}",
    )  # fmt: skip
    clean = layer_maps(models["baseline"], pair[:1], ["conv2"])["conv2"][0]
    figure_3 = spectra.layer_spectra_figure(
        clean, {"layer 2": second.power["clean"], "layer 1": first.power["clean"]},
        chosen=strongest_maps(clean, 12), radius=RADIUS, title=f"all maps of {signs}",
    )  # fmt: skip
    figure_1 = spectra.image_spectra_figure(pair[0], pair[1], image, seen=seen)
    return {
        "figure1": (figure_1, spectra.image_sentence(image)),
        "figure2": (figure_2, spectra.blur_sentence(first, blurred)),
        "figure3": (figure_3, spectra.layer_sentence(second, first)),
    }


def _defence_pictures(groups: Mapping[str, Models], measured: Mapping[str, Mapping[str, Layers]]) -> dict[str, Picture]:
    """Draw what the filters pass, and the share of high frequencies for each variant.

    The first of `groups` has the weights that were attacked; the others have trainings of their own.
    """
    blurs = {
        f"{kind} {size}x{size}": blur_kernel(kind, size) for kind, size in (("box", 3), ("box", 5), ("gaussian", 5))
    }
    (heading, attacked), *others = groups.items()
    first_layers = {heading: attacked["baseline"].get_layer("conv1").get_weights()[0]}
    for name, model in itertools.chain.from_iterable(models.items() for _, models in others):
        weights, title = layer_weights(model), VARIANTS[name].title
        first_layers[title] = weights["conv1"][0]
        if "depthwise" in weights:
            blurs[f"{title}, learned"] = weights["depthwise"][0]
    shares = {
        heading: {VARIANTS[name].title: _behind_the_blur(layers) for name, layers in group.items()}
        for heading, group in measured.items()
        if group
    }
    passing, sharing = spectra.response_figure(blurs, first_layers), spectra.variant_figure(shares, radius=RADIUS)
    return {
        "filters": (passing, spectra.response_sentence(blurs)),
        "variants": (sharing, spectra.variant_sentence(shares, radius=RADIUS)),
    }


def _behind_the_blur(layers: Layers) -> tuple[float, ...]:
    """Return the shares of the maps that `conv2` receives: those of the layer before it."""
    names = list(layers)
    received = layers[names[names.index("conv2") - 1]]
    return tuple(received.share(kind) for kind in KINDS)

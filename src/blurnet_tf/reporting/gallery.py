"""The figures of `make figures`: each drawn from signs, models and records, with what its numbers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.defenses import blur_kernel
from blurnet_tf.evaluation.feature_maps import layer_maps
from blurnet_tf.evaluation.high_frequency import KINDS, Measured, strongest_maps
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.spectra import RADIUS
from blurnet_tf.models import VARIANTS, layer_weights
from blurnet_tf.reporting import captions
from blurnet_tf.reporting.defence_figures import response_figure, variant_figure
from blurnet_tf.reporting.figures import dissimilarity_figure
from blurnet_tf.reporting.spectra_figures import image_spectra_figure, layer_spectra_figure, map_spectra_figure
from blurnet_tf.reporting.white_box import row_titles

Models = Mapping[str, keras.Model]
Layers = Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A figure, and the sentence that its numbers make."""

    figure: Figure
    says: str


def paper_pictures(
    pair: NDArray[np.float32],
    seen: tuple[str, str],
    models: Models,
    image: Measured,
    measured: Mapping[str, Layers],
) -> dict[str, Picture]:
    """Draw Figures 1 to 3.

    Args:
        pair: float32 (2, H, W, 3) in [0, 1], one sign, clean and attacked.
        seen: What the undefended model takes them for.
        models: The undefended model, `baseline`, and the same behind a blur, `feature_5x5`.
        image: All signs, as `high_frequency.measure` measures them.
        measured: The layers of the models over all signs, as `measure_layers` does.
    """
    layers = {**measured["feature_5x5"], "conv2": measured["baseline"]["conv2"]}
    first, blurred, second = (layers[name] for name in ("conv1", "feature_blur", "conv2"))
    signs = f"{len(image.ratios['clean'])} signs"
    sharp, soft = layer_maps(models["feature_5x5"], pair, ["conv1", "feature_blur"]).values()
    maps = {"clean": sharp[0], "attacked": sharp[1], "difference": sharp[1] - sharp[0]}
    figure_2 = map_spectra_figure(
        {**maps, "blurred\ndifference": soft[1] - soft[0]},
        {**first.power, "blurred difference": blurred.power["difference"]},
        chosen=strongest_maps(maps["difference"], 5),
        radius=RADIUS,
        title=f"all {first.shape[-1]} maps of {signs}",
    )
    clean = layer_maps(models["baseline"], pair[:1], ["conv2"])["conv2"][0]
    figure_3 = layer_spectra_figure(
        clean,
        {"layer 2": second.power["clean"], "layer 1": first.power["clean"]},
        chosen=strongest_maps(clean, 12),
        radius=RADIUS,
        title=f"all maps of {signs}",
    )
    return {
        "figure1": Picture(
            figure=image_spectra_figure(pair[0], pair[1], image, seen=seen), says=captions.image_sentence(image)
        ),
        "figure2": Picture(figure=figure_2, says=captions.blur_sentence(first, blurred)),
        "figure3": Picture(figure=figure_3, says=captions.layer_sentence(second, first)),
    }


def dissimilarity_picture(records: Sequence[Record]) -> Picture:
    """Draw Figure 4 from the records of white-box attacks."""
    titles = row_titles(records)
    return Picture(
        figure=dissimilarity_figure(records, titles=titles), says=captions.dissimilarity_sentence(records, titles)
    )


def defence_pictures(groups: Mapping[str, Models], measured: Mapping[str, Mapping[str, Layers]]) -> dict[str, Picture]:
    """Draw what the filters pass, and the share of high frequencies for each variant.

    Args:
        groups: By heading, by the name of a variant, the models. First those with the weights that were attacked,
            `baseline` among them; then those with trainings of their own.
        measured: Their layers, as `measure_layers` measures them.
    """
    blurs = {
        "box 3x3": blur_kernel("box", 3),
        "box 5x5": blur_kernel("box", 5),
        "gaussian 5x5": blur_kernel("gaussian", 5),
    }
    attacked, *others = groups.items()
    first_layers = {attacked[0]: attacked[1]["baseline"].get_layer("conv1").get_weights()[0]}
    for _, models in others:
        for name, model in models.items():
            weights = layer_weights(model)
            first_layers[VARIANTS[name].title] = weights["conv1"][0]
            if "depthwise" in weights:
                blurs[f"{VARIANTS[name].title}, learned"] = weights["depthwise"][0]
    shares = {
        heading: {VARIANTS[name].title: _behind_the_blur(layers) for name, layers in group.items()}
        for heading, group in measured.items()
        if group
    }
    return {
        "filters": Picture(figure=response_figure(blurs, first_layers), says=captions.response_sentence(blurs)),
        "variants": Picture(
            figure=variant_figure(shares, radius=RADIUS), says=captions.variant_sentence(shares, radius=RADIUS)
        ),
    }


def _behind_the_blur(layers: Layers) -> tuple[float, ...]:
    """Return the shares of the maps that `conv2` receives: those of the layer before it."""
    names = list(layers)
    received = layers[names[names.index("conv2") - 1]]
    return tuple(received.share(kind) for kind in KINDS)

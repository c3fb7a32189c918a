"""The benchmark's peers in PyTorch: the LISA-CNN, steps of RP2 and of a training, as a user of PyTorch writes them.

With the weights, the arithmetic and the starts of ours. Batched and in bfloat16 with channels last is what runs fastest
on a processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from numpy.typing import NDArray
from torch.nn import functional

from blurnet_tf.attacks import RP2
from blurnet_tf.evaluation.reference import UNBOUNDED
from blurnet_tf.models import LayerWeights


class LisaCNN(torch.nn.Module):
    """The LISA-CNN, from images (n, H, W, 3) to logits."""

    def __init__(self, weights: LayerWeights, dtype: str = "float32", *, channels_last: bool = False) -> None:
        super().__init__()
        shapes = {"conv1": (3, 64, 8, 2, 3), "conv2": (64, 128, 6, 2, 0), "conv3": (128, 128, 5, 1, 0)}
        self.layers = torch.nn.ModuleList(torch.nn.Conv2d(a, b, k, s, p) for a, b, k, s, p in shapes.values())
        self.last = torch.nn.Linear(*weights["logits"][0].shape)
        with torch.no_grad():
            for layer, name in zip(self.layers, shapes, strict=True):
                kernel, bias = weights[name]
                layer.weight.copy_(torch.from_numpy(np.transpose(kernel, (3, 2, 0, 1)).copy()))
                layer.bias.copy_(torch.from_numpy(np.array(bias)))
            self.last.weight.copy_(torch.from_numpy(weights["logits"][0].T.copy()))
            self.last.bias.copy_(torch.from_numpy(np.array(weights["logits"][1])))
        self.half, self.channels_last = dtype == "bfloat16", channels_last
        if channels_last:
            self.layers.to(memory_format=torch.channels_last)

    def forward(self, images: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            x = images.permute(0, 3, 1, 2)  # channels last, as it lies in memory
            x = x if self.channels_last else x.contiguous()
            for layer in self.layers:
                x = functional.relu(layer(x))
            x = x.permute(0, 2, 3, 1).flatten(1)
        return self.last(x.float())


def attack(
    attack: RP2,
    model: LisaCNN,
    images: NDArray[np.float32],
    targets: Sequence[int],
    mask: NDArray[np.float32],
    *,
    batched: bool,
) -> Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return what attacks all targets, one after the other or in one batch.

    It gives M.d after the last step, float32 (targets, H, W, 3), and the loss before the first, (targets,).
    """
    model.requires_grad_(False)
    pixels, inside = torch.from_numpy(images), torch.from_numpy(mask)
    low, high = attack.perturbation_clip or UNBOUNDED
    darkest, brightest = attack.image_clip or UNBOUNDED
    starts = [  # those that `RP2` gives the targets
        torch.from_numpy(tf.random.stateless_uniform((*mask.shape[:2], 3), seed=(attack.seed, target + 1)).numpy())
        for target in targets
    ]

    def minimise(d: Any, wanted: Any) -> tuple[Any, Any]:
        m, v = torch.zeros_like(d), torch.zeros_like(d)
        first: Any = None
        for number in range(1, attack.steps + 1):
            d.requires_grad_(True)
            masked = inside * d.clamp(low, high)
            seen = (pixels[None] + masked[:, None]).clamp(darkest, brightest)
            logits = model(seen.flatten(0, 1)).unflatten(0, (len(d), -1))
            classes = wanted[:, None].expand(-1, len(pixels))
            losses = functional.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none")
            loss = losses.unflatten(0, (len(d), -1)).mean(1) + attack.penalty * masked.flatten(1).norm(dim=1)
            first = loss.detach() if first is None else first
            (gradient,) = torch.autograd.grad(loss.sum(), d)
            with torch.no_grad():
                m = attack.beta_1 * m + (1 - attack.beta_1) * gradient
                v = attack.beta_2 * v + (1 - attack.beta_2) * gradient.square()
                rate = attack.learning_rate * (1 - attack.beta_2**number) ** 0.5 / (1 - attack.beta_1**number)
                d = d.detach() - rate * m / (v.sqrt() + attack.epsilon)
        return (inside * d.clamp(low, high)).numpy(), first.numpy()

    def run() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        groups = [range(len(targets))] if batched else [[place] for place in range(len(targets))]
        found = [
            minimise(torch.stack([starts[place] for place in group]), torch.tensor([targets[place] for place in group]))
            for group in groups
        ]
        perturbations, losses = zip(*found, strict=True)
        return np.concatenate(perturbations), np.concatenate(losses)

    return run


def training(model: LisaCNN, images: NDArray[np.float32], labels: NDArray[np.int32], steps: int) -> Callable[[], float]:
    """Return what takes some steps of Adam on a batch; it gives the last loss."""
    pixels, classes = torch.from_numpy(images), torch.from_numpy(labels).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)

    def run() -> float:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(model(pixels), classes)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    return run

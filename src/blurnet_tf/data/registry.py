"""The data sets by name. A new one is a file with a function `dataset(query)`, and a line at the end of this one."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blurnet_tf.checks import shown
from blurnet_tf.data.dataset import PARTS, DataNotFoundError, Dataset, Query, join

_KNOWN: dict[str, tuple[str, str | Callable[[Query], Dataset]]] = {}  # by what stands before the colon
_PREFERRED = {"train": ("lisa", "synthetic"), "victims": ("rp2", "synthetic")}


def register(name: str, maker: str | Callable[[Query], Dataset]) -> None:
    """Make a data set known to `load_dataset`.

    Args:
        name: Its name, which must be new; "folder:PATH" for one whose name is followed by a colon and a path.
        maker: The function that returns it, or the name of a module with a function `dataset`, imported when needed.
    """
    kind = name.partition(":")[0]
    if kind in (*_KNOWN, "auto"):
        raise ValueError(f"`name` must be new. Received: {name!r}")
    _KNOWN[kind] = (name, maker)


def names() -> tuple[str, ...]:
    """Return the names of the data sets, in the order in which they were registered.

    Example:
        >>> names()[:4]
        ('lisa', 'synthetic', 'rp2', 'folder:PATH')
    """
    return tuple(name for name, _ in _KNOWN.values())


def load_dataset(
    name: str,
    *,
    roots: Sequence[str | os.PathLike[str]] = (Path("data"),),
    split: str = "track",
    per_class: int = 300,
    test_per_class: int = 60,
    label: str | int | None = None,
    image_size: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Return a data set by name. Its images are loaded when its methods are called.

    Args:
        name: One of `names()`. "folder:PATH" is described in `blurnet_tf.data.class_folders`.
        roots: The folders to look in, in this order, for `lisa/lisa32.npz` and for the RP2 release, `rp2/`.
        split: Of images in tracks: "track" keeps each track on one side; "random" draws single images, which leaks.
        per_class: Training signs of each class, where they are drawn.
        test_per_class: Held-out signs of each class, where they are drawn.
        label: Of a folder: the class of the victims, by name or index.
        image_size: Of a folder of class folders: height and width to resize to, by default 32 and 32.
        class_names: Of a folder: its classes in the order of a model's outputs; by default its class folders, sorted.

    Raises:
        ValueError: An argument is outside its range.
        FileNotFoundError: The files are not there.

    Warns:
        UserWarning: A file of the RP2 release differs from the authors'.

    Example:
        >>> load_dataset("synthetic").victims().ids[:2]
        ('d05_a-30', 'd05_a-15')
    """
    if not isinstance(name, str):
        raise ValueError(f"`name` must be one of {', '.join(map(repr, names()))}. Received: name={shown(name)}")
    kind, colon, path = name.partition(":")
    if kind not in _KNOWN or not (":" in _KNOWN[kind][0]) == bool(colon) == bool(path):
        raise ValueError(f"`name` must be one of {join(names())}. Received: {name!r}")
    if split not in ("track", "random"):
        raise ValueError(f"`split` must be 'track' or 'random'. Received: split={split!r}")
    size = None if image_size is None else tuple(image_size)
    if size is not None and (len(size) != 2 or not all(type(side) is int and side > 0 for side in size)):
        raise ValueError(f"`image_size` must be two positive integers. Received: image_size={image_size!r}")
    query = Query(
        name=name,
        path=path,
        roots=tuple(Path(root) for root in roots),
        split=split,
        per_class=per_class,
        test_per_class=test_per_class,
        label=label,
        image_size=size,
        class_names=None if class_names is None else tuple(class_names),
    )
    _, maker = _KNOWN[kind]
    made = (importlib.import_module(maker).dataset if isinstance(maker, str) else maker)(query)
    source = dataclasses.asdict(query) | {"roots": [str(root) for root in query.roots]}
    del source["path"]
    source |= {key: list(source[key]) for key in ("image_size", "class_names") if source[key] is not None}
    return dataclasses.replace(made, reason=f"DATA={name}: {made.reason}", source=source)


def choose_training(name: str, roots: Sequence[str | os.PathLike[str]], **options: Any) -> Dataset:
    """Return what to train on: a data set by name, or for "auto" LISA where it is prepared, else rendered signs.

    Arguments and errors are those of `load_dataset`; ValueError also for a data set without images to train on.

    Example:
        >>> choose_training("auto", [Path("data")]).reason
        'DATA=auto: synthetic, because there is no data/lisa/lisa32.npz (`make data LISA_ROOT=...` prepares it)'
    """
    return _choose("train", name, roots, options)


def choose_victims(name: str, roots: Sequence[str | os.PathLike[str]], **options: Any) -> Dataset:
    """Return what to attack: a data set by name, or for "auto" the RP2 release where it is whole, else rendered signs.

    Arguments and errors are those of `load_dataset`; ValueError also for a data set without images to attack.

    Example:
        >>> choose_victims("auto", [Path("data")]).reason
        'DATA=auto: synthetic, because no RP2 release was found in data/rp2 (`make data` fetches it)'
    """
    return _choose("victims", name, roots, options)


def _choose(part: str, name: str, roots: Sequence[str | os.PathLike[str]], options: dict[str, Any]) -> Dataset:
    if name == "auto":
        first, other = _PREFERRED[part]
        try:
            found = load_dataset(first, roots=roots, **options)
        except DataNotFoundError as error:
            found = load_dataset(other, roots=roots, **options)
            return dataclasses.replace(found, reason=f"DATA=auto: {other}, because {error.because}")
        return dataclasses.replace(found, reason=f"DATA=auto: {first}, {found.reason.removeprefix(f'DATA={first}: ')}")
    if name.partition(":")[0] not in _KNOWN:
        raise ValueError(f"`name` must be one of {join(['auto', *names()])}. Received: {name!r}")
    found = load_dataset(name, roots=roots, **options)
    if part not in found.loaders:
        raise ValueError(f"DATA={name} has no images {PARTS[part]}. Name another data set: {join(['auto', *names()])}.")
    return found


register("lisa", "blurnet_tf.data.lisa")
register("synthetic", "blurnet_tf.data.synthetic")
register("rp2", "blurnet_tf.data.rp2_release")
register("folder:PATH", "blurnet_tf.data.class_folders")

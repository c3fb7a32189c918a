"""The zoo: trained models by name. Weights come from the package, a folder or an address; their sum is verified.

What is known of each is a `ZooEntry` of an index: how it was trained, and what `make check` measured on these very
weights. The index of the package knows them all, with the sums of their files; a few of the files come with it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np

from blurnet_tf.fetching import fetch_file
from blurnet_tf.files import atomic_path, read_json, sha256, write_json
from blurnet_tf.models.network import build_network
from blurnet_tf.models.variants import Variant
from blurnet_tf.models.weights import LayerWeights
from blurnet_tf.reading import read_arrays

VARIABLE = "BLURNET_ZOO"
"""The environment variable that says where weights are that the package does not have: a folder, or a base address."""

PACKAGED = Path(str(resources.files("blurnet_tf") / "zoo"))
"""The part of the zoo that comes with the package."""

INDEX = "index.json"
SUFFIX = ".npz"
MOST = 65504
"""The largest number of float16."""

_SIZE = "image_size"  # in a file of weights; the other arrays are called "layer/number"


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """What is known of a model of the zoo.

    Attributes:
        name: ``variant`` or ``variant+procedure``, a row of the tables.
        dataset: Key of the data set that it was trained on, "lisa" or "synthetic".
        seed: Of the training.
        title: What the row is called in a table.
        file: Its weights, relative to the zoo: float16 arrays in a `.npz` file.
        sha256, bytes: Of that file.
        weights_sha256: Of the weights, as float32.
        variant: `Variant.settings()`.
        class_names: Of the outputs.
        image_size: Height and width in pixels.
        data: `Dataset.facts` of what it was trained and tested on, its licence among them.
        training: The provenance of the checkpoint that it was rounded from.
        test_correct, test_images: Right answers on the held-out images, with these weights.
        measured: What `make check` found on these weights, a mapping a run: what it is `of` (images, mask, suite), the
            columns of its summary, its `trials`, its `curve`.
    """

    name: str
    dataset: str
    seed: int
    title: str
    file: str
    sha256: str
    bytes: int
    weights_sha256: str
    variant: Mapping[str, Any]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    test_correct: int
    test_images: int
    measured: tuple[Mapping[str, Any], ...] = ()

    @property
    def place(self) -> str:
        """What the commands call it: "baseline", "synthetic/baseline", "lisa/seed-1/baseline"."""
        return self.name if (self.dataset, self.seed) == ("lisa", 0) else self.file.removesuffix(SUFFIX)

    @property
    def accuracy(self) -> float:
        """The accuracy on the held-out images, in [0, 1]."""
        return self.test_correct / self.test_images


def known_models() -> list[ZooEntry]:
    """Return what is known of each model: the entries of one's own folder, and those of the package that it has not."""
    own = _own_folder()
    found = {(one.dataset, one.name, one.seed): one for one in _index(PACKAGED)}
    found |= {(one.dataset, one.name, one.seed): one for one in (read_index(own) if own else [])}
    return list(found.values())


def list_models(dataset: str | None = None) -> list[str]:
    """Return the names of the models of the zoo, those of one data set or of all.

    Example:
        >>> "baseline" in list_models(dataset="lisa")
        True
    """
    return list(dict.fromkeys(one.name for one in known_models() if dataset in (None, one.dataset)))


def find_model(name: str, *, dataset: str = "lisa", seed: int = 0) -> ZooEntry:
    """Return what is known of a model of the zoo.

    Raises:
        ValueError: There is none of this name, data set and seed; the sentence names those that there are.
    """
    for one in known_models():
        if (one.name, one.dataset, one.seed) == (name, dataset, seed):
            return one
    same = sorted({one.seed for one in known_models() if (one.name, one.dataset) == (name, dataset)})
    if same:
        raise ValueError(f"`seed` of {name} must be one of {', '.join(map(str, same))}. Received: seed={seed!r}")
    sets = sorted({one.dataset for one in known_models()})
    if dataset not in sets:
        raise ValueError(f"`dataset` must be one of {', '.join(map(repr, sets))}. Received: dataset={dataset!r}")
    raise ValueError(
        f"`name` must be a model of the zoo that was trained on {dataset!r}: {', '.join(list_models(dataset))}. "
        f"Received: name={name!r}"
    )


def named_model(text: str) -> ZooEntry | None:
    """Return the model of the zoo that a text names, or `None`.

    ``baseline`` is the one that was trained on LISA with seed 0; others have that before them, as their files have:
    ``synthetic/baseline``, ``lisa/seed-1/baseline``.
    """
    for one in known_models():
        if text in (one.place, one.file.removesuffix(SUFFIX)):
            return one
    return None


def load_model(name: str, *, dataset: str = "lisa", seed: int = 0, dtype: str | None = "float32") -> keras.Model:
    """Load a trained model of the zoo.

    Weights that are not in the package come from `BLURNET_ZOO`, an environment variable with a folder or a base
    address. From an address they are fetched once, into the user's cache. In either case their sum is checked.

    Args:
        name: A name of `list_models`, such as "baseline+stickers".
        dataset: What it was trained on: "lisa" or "synthetic".
        seed: Of its training.
        dtype: A Keras policy such as "float32" or "mixed_bfloat16"; `None` takes the global one.

    Returns:
        A functional model from `image`, float32 (n, 32, 32, 3) RGB in [0, 1], to `logits`, float32 (n, classes).

    Raises:
        DownloadError: The weights could not be fetched.
        FileNotFoundError: They are in no place that is known.
        ValueError: There is no such model, or the file with its weights is another one.

    Example:
        >>> load_model("baseline")(np.zeros((1, 32, 32, 3), "float32")).shape
        TensorShape([1, 18])
    """
    return load_entry(find_model(name, dataset=dataset, seed=seed), dtype=dtype)


def load_entry(entry: ZooEntry, *, dtype: str | None = "float32") -> keras.Model:
    """Load the model of an entry; dtype and errors as for `load_model`."""
    weights, image_size = read_weights_file(weights_path(entry))
    variant = Variant.from_settings(entry.variant, title=entry.title)
    return build_network(variant, classes=len(entry.class_names), image_size=image_size, weights=weights, dtype=dtype)


def weights_path(entry: ZooEntry) -> Path:
    """Return where the weights of a model are, checked; they are fetched if need be. Errors as for `load_model`."""
    place = os.environ.get(VARIABLE, "")
    own = _own_folder()
    for folder in (*([own] if own else []), PACKAGED):
        path = folder / entry.file
        if path.is_file():
            if sha256(path) != entry.sha256:
                if folder == PACKAGED and entry not in _index(PACKAGED):  # the package has another model of this name
                    continue
                raise ValueError(
                    f"{path} must be the weights of {entry.name} with the sum {entry.sha256[:12]}... Received: another "
                    f"file. Remove it, or set {VARIABLE} to a folder that has the right one."
                )
            return path
    shown = f"{entry.name} ({entry.dataset}, seed {entry.seed})"
    if place and own is None:
        way = f"Set {VARIABLE} to a folder or an address that has it; in the package there are {_shipped()}."
        cache = Path(_cache())
        return fetch_file(f"{place.rstrip('/')}/{entry.file}", cache, entry.file, entry.sha256, way_out=way)
    where = f"{own} does not have them either. " if own else ""
    raise FileNotFoundError(
        f"The weights of {shown} are not in the package. {where}Set {VARIABLE} to a folder or an address that has "
        f"{entry.file}; `make zoo` fills such a folder. In the package there are {_shipped()}."
    )


def is_packaged(entry: ZooEntry) -> bool:
    """Return whether the weights of a model come with the package."""
    return (PACKAGED / entry.file).is_file()


def weights_file(name: str, dataset: str, seed: int) -> str:
    """Return where the weights of a model are, relative to a zoo."""
    return f"{dataset}/seed-{seed}/{name}{SUFFIX}" if seed else f"{dataset}/{name}{SUFFIX}"


def write_weights_file(path: Path, weights: LayerWeights, image_size: tuple[int, int]) -> None:
    """Write weights as float16 with 8 significant bits. The same weights give the same bytes.

    8 bits are what a training in mixed_bfloat16 multiplies with, and they compress to five sixths of what 11 do.

    Raises:
        ValueError: A weight is beyond `MOST`, or no number.
    """
    halves: dict[str, list[Any]] = {}
    for name, arrays in weights.items():
        rounded = [_rounded(array) for array in arrays]
        for number, array in enumerate(rounded):
            if not np.all(np.abs(array) <= MOST):  # also catches NaN
                where = f"{name}/{number}"
                raise ValueError(
                    f"Weights must be numbers within {MOST}, what float16 holds. Received: others in {where}"
                )
        halves[name] = [array.astype(np.float16) for array in rounded]
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **weights_arrays(halves, image_size))


def weights_arrays(weights: Mapping[str, Sequence[Any]], image_size: tuple[int, int]) -> dict[str, Any]:
    """Return the arrays of a file that `read_weights_file` reads, by name."""
    named = {f"{name}/{number}": array for name, arrays in weights.items() for number, array in enumerate(arrays)}
    return named | {_SIZE: np.array(image_size, np.int32)}


def read_weights_file(path: Path) -> tuple[LayerWeights, tuple[int, int]]:
    """Return float32 weights by layer, and height and width of the images, of what `write_weights_file` wrote."""
    found: dict[str, list[Any]] = {}
    try:
        arrays = read_arrays(path)
        height, width = (int(one) for one in arrays.pop(_SIZE))
        for key, array in arrays.items():  # in the order in which they were written
            found.setdefault(key.rpartition("/")[0], []).append(array.astype(np.float32))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must hold weights of the zoo. Received: {error}") from error
    return found, (height, width)


def read_index(folder: Path) -> list[ZooEntry]:
    """Return the entries of the index of a folder; none if it has no index. ValueError if that is damaged."""
    path = folder / INDEX
    if not path.is_file():
        return []
    try:
        return [
            ZooEntry(**{**one, **{name: tuple(one[name]) for name in ("class_names", "image_size", "measured")}})
            for one in read_json(path)["models"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} must be the index of a zoo. Received: {error}. Make it again.") from error


def write_index(folder: Path, entries: Sequence[ZooEntry]) -> None:
    """Write the index of a folder, sorted, so that the same models give the same bytes."""
    ordered = sorted(entries, key=lambda one: (one.dataset, one.name, one.seed))
    write_json(folder / INDEX, {"models": [dataclasses.asdict(one) for one in ordered]})


def _rounded(array: Any) -> Any:
    """Round numbers to 8 significant bits, the nearest ones, float32. Those of bfloat16 are its upper half."""
    bits = np.array(array, np.float32, order="C").view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


@functools.cache
def _index(folder: Path) -> tuple[ZooEntry, ...]:
    return tuple(read_index(folder))


def _own_folder() -> Path | None:
    """Return the folder that `BLURNET_ZOO` names; `None` if it names an address, or nothing."""
    place = os.environ.get(VARIABLE, "")
    if not place or "://" in place:
        return None
    if not Path(place).is_dir():
        raise FileNotFoundError(f"{VARIABLE} must be a folder or a base address. Received: {place}, which is neither.")
    return Path(place)


def _shipped() -> str:
    names = [f"{one.name} ({one.dataset})" for one in _index(PACKAGED) if is_packaged(one)]
    return ", ".join(names) or "none"


def _cache() -> str:
    import pooch  # here, so that a model of the package never loads it

    return str(pooch.os_cache("blurnet_tf"))

"""A cell for another machine: its specification, and the model, images and mask that it names as files."""

from __future__ import annotations

import dataclasses
import functools
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.data.split import Split, split_arrays
from blurnet_tf.files import atomic_folder
from blurnet_tf.models import LayerWeights
from blurnet_tf.models.zoo import weights_arrays
from blurnet_tf.runs.cells import CellSpec, Content, ImagesSpec, MaskSpec, ModelSpec, compute, read_weights

Files = dict[str, Callable[[], bytes]]


def pack(spec: CellSpec) -> tuple[dict[str, Any], Files]:
    """Return a specification with names of files in place of paths, and what makes each of these files.

    A name is the checksum of what decides the content, so that two cells share what they have in common.
    """
    files: Files = {}

    def model(one: ModelSpec) -> ModelSpec:
        end = ".npz" if one.variant is not None else ".keras" if Path(one.path).is_file() else ".zip"
        make: Callable[[Path], bytes] = {".npz": _packed_file, ".keras": Path.read_bytes, ".zip": _zipped}[end]
        files[name := one.sha256 + end] = functools.partial(make, Path(one.path))
        return dataclasses.replace(one, path=name)

    def images(one: ImagesSpec) -> ImagesSpec:
        name = f"{one.sha256}.split.npz"
        files[name] = lambda: packed_split(one.load())
        return dataclasses.replace(one, source={"file": name}, label=None, every=(1, 0))

    def mask(one: MaskSpec) -> MaskSpec:
        name = f"{one.sha256}.mask.npy"
        files[name] = lambda: _array(one.load())
        return dataclasses.replace(one, path=name)

    return _mapped(spec, model, images, mask).to_json(), files


def compute_packed(content: Mapping[str, Any], folder: Path) -> Content:
    """Return the content of a cell that `pack` made, whose files are in `folder`."""

    def model(one: ModelSpec) -> ModelSpec:
        return dataclasses.replace(one, path=str(_unzipped(folder / one.path)))

    def images(one: ImagesSpec) -> ImagesSpec:
        return dataclasses.replace(one, source={"file": str(folder / one.source["file"])})

    def mask(one: MaskSpec) -> MaskSpec:
        return dataclasses.replace(one, path=str(folder / one.path))

    return compute(_mapped(CellSpec.from_json(content), model, images, mask))


def _mapped(
    spec: CellSpec,
    model: Callable[[ModelSpec], ModelSpec],
    images: Callable[[ImagesSpec], ImagesSpec],
    mask: Callable[[MaskSpec], MaskSpec],
) -> CellSpec:
    return dataclasses.replace(
        spec,
        images=images(spec.images),
        scored=spec.scored and images(spec.scored),
        mask=spec.mask and mask(spec.mask),
        victims=tuple(map(model, spec.victims)),
        source=spec.source and model(spec.source),
    )


def packed_split(split: Split) -> bytes:
    """Return the file of a split, which `read_split` reads."""
    return _archive(split_arrays(split))


def packed_weights(weights: LayerWeights, image_size: tuple[int, int]) -> bytes:
    """Return a file of weights, which `read_weights` reads."""
    return _archive(weights_arrays(weights, image_size))


def _packed_file(path: Path) -> bytes:
    return packed_weights(*read_weights(path))


def _archive(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _array(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _zipped(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _members(folder):
            archive.write(path, path.relative_to(folder))
    return file.getvalue()


def _members(folder: Path) -> Iterator[Path]:
    """Yield the files that a SavedModel needs."""
    yield folder / "saved_model.pb"
    for part in ("variables", "assets"):
        yield from sorted(path for path in (folder / part).rglob("*") if path.is_file())


def _unzipped(path: Path) -> Path:
    """Return a model's file; of a SavedModel the folder beside its archive."""
    if path.suffix != ".zip":
        return path
    folder = path.with_suffix("")
    if not folder.exists():
        with atomic_folder(folder) as temporary, zipfile.ZipFile(path) as archive:
            archive.extractall(temporary)  # made by `_zipped`
    return folder

"""The data sources by name: which one a run uses, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blurnet_tf.data import lisa, rp2_release
from blurnet_tf.data.split import Split

SOURCES: tuple[str, ...] = ("auto", "rp2", "synthetic")
"""`rp2` is the authors' release, `synthetic` draws its signs, `auto` takes the release where it is complete."""

TRAINING_SOURCES: tuple[str, ...] = ("auto", "lisa", "synthetic")
"""Where images to train on come from: `lisa` is the prepared file, `auto` takes it where it is there."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The source that a run uses.

    Attributes:
        name: "rp2" or "synthetic"; "lisa" or "synthetic" for training.
        folder: The folder of the release, or of the prepared file; None for "synthetic".
        reason: A sentence for the reader of a log: what was asked, what is used, and why.
    """

    name: str
    folder: Path | None
    reason: str


def resolve(name: str, roots: Sequence[Path]) -> Resolved:
    """Choose a source by name.

    Args:
        name: One of `SOURCES`.
        roots: The data folders to look in, in this order; the release is `<root>/rp2`.

    Raises:
        ValueError: `name` is unknown, or there is no root to look in.
        FileNotFoundError: "rp2" was asked for, and no root holds the whole release.

    Example:
        >>> resolve("auto", [Path("data")]).reason
        'DATA=auto: synthetic, because no RP2 release was found in data/rp2 (`make data` fetches it)'
    """
    if (drawn := _drawn(name, SOURCES, roots)) is not None:
        return drawn
    folder = rp2_release.find(roots)
    places = [Path(root) / rp2_release.FOLDER for root in roots]
    incomplete = {  # a folder that is there but lacks files: a fetch that was interrupted, or a wrong folder
        place: rp2_release.describe_missing(missing)
        for place in places
        if place.is_dir() and (missing := rp2_release.missing_files(place))
    }
    lacking = " and ".join(f"{place} {words}" for place, words in incomplete.items())
    if folder is not None:
        used = "rp2, found" if name == "auto" else "found"
        note = f"; not used: {lacking}" if lacking else ""
        return Resolved(name="rp2", folder=folder, reason=f"DATA={name}: {used} in {folder}{note}")
    if name == "rp2":
        looked = ", ".join(f"{place} ({incomplete.get(place, 'not there')})" for place in places)
        raise FileNotFoundError(
            f"DATA=rp2 needs the RP2 release. Looked at: {looked}. Run `make data` to fetch it, or use DATA=synthetic."
        )
    if lacking:
        reason = f"{lacking}; `make data` fetches what is missing"
    else:
        reason = f"no RP2 release was found in {', '.join(map(str, places))} (`make data` fetches it)"
    return Resolved(name="synthetic", folder=None, reason=f"DATA=auto: synthetic, because {reason}")


def resolve_training(name: str, roots: Sequence[Path]) -> Resolved:
    """Choose where the images to train on come from, as `resolve` chooses the images to attack.

    Args:
        name: One of `TRAINING_SOURCES`.
        roots: The data folders to look in, in this order; the prepared file is `<root>/lisa/lisa32.npz`.

    Raises:
        ValueError: `name` is unknown, or there is no root to look in.
        FileNotFoundError: "lisa" was asked for, and no root holds the prepared file.

    Example:
        >>> resolve_training("auto", [Path("data")]).reason
        'DATA=auto: synthetic, because there is no data/lisa/lisa32.npz (`make data LISA_ROOT=...` prepares it)'
    """
    if (drawn := _drawn(name, TRAINING_SOURCES, roots)) is not None:
        return drawn
    path = lisa.find(roots)
    if path is not None:
        used = "lisa, found" if name == "auto" else "found"
        return Resolved(name="lisa", folder=path.parent, reason=f"DATA={name}: {used} in {path.parent}")
    places = " or ".join(str(Path(root) / lisa.FOLDER / lisa.FILE) for root in roots)
    if name == "lisa":
        raise FileNotFoundError(
            f"DATA=lisa needs the prepared file: there is no {places}. "
            "`make data LISA_ROOT=<the official download>` prepares it, or use DATA=synthetic."
        )
    reason = f"DATA=auto: synthetic, because there is no {places} (`make data LISA_ROOT=...` prepares it)"
    return Resolved(name="synthetic", folder=None, reason=reason)


def load_victims(resolved: Resolved, seed: int = 0) -> Split:
    """Load the images to attack: the release's 40 stop signs, or drawn ones.

    Args:
        resolved: What `resolve` returned.
        seed: Seed of the drawn signs; the release has none.

    Raises:
        FileNotFoundError: A file of the release has gone.
        ValueError: A file of the release is damaged.

    Example:
        >>> load_victims(resolve("synthetic", [])).images.shape[1:]
        (32, 32, 3)
    """
    if resolved.folder is not None:
        return rp2_release.load_victims(resolved.folder)
    from blurnet_tf.data import synthetic  # here, so that a run on the release never loads the drawing

    return synthetic.victim_split(seed=seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What a classifier is trained and tested on.

    Attributes:
        name: "lisa", "lisa_random" (the split that leaks) or "synthetic".
        label: The data and its split in a few words, for the head of a table; it says so if the split leaks.
        train: The images to train on.
        test: The images that are held out.
    """

    name: str
    label: str
    train: Split
    test: Split


def load_training(
    resolved: Resolved, *, split: str = "track", per_class: int = 300, test_per_class: int = 60
) -> TrainingData:
    """Load the images to train on and those that are held out.

    Args:
        resolved: What `resolve_training` returned.
        split: For LISA "track", or "random", which leaks; see `lisa.make_splits`. Drawn signs have no tracks.
        per_class: Drawn training signs of each class; LISA has the images that it has.
        test_per_class: Drawn signs of each class that are held out.

    Raises:
        FileNotFoundError: The prepared file has gone.
        ValueError: The prepared file is damaged, or `split` is unknown.

    Example:
        >>> load_training(resolve_training("synthetic", []), per_class=2, test_per_class=1).label
        'rendered signs'
    """
    if resolved.folder is not None:
        splits = lisa.load_splits(resolved.folder, split=split)
        name = "lisa" if split == "track" else f"lisa_{split}"
        return TrainingData(name=name, label=f"LISA, {splits.label}", train=splits.train, test=splits.test)
    from blurnet_tf.data import synthetic  # here, so that a run on LISA never loads the drawing

    return TrainingData(
        name="synthetic",
        label="rendered signs",
        train=synthetic.train_split(per_class),
        test=synthetic.test_split(test_per_class),
    )


def _drawn(name: str, names: Sequence[str], roots: Sequence[Path]) -> Resolved | None:
    """Return the drawn signs if they were asked for, and None if folders must be looked at; else raise ValueError."""
    if name not in names:
        raise ValueError(f"`name` must be one of {', '.join(map(repr, names))}. Received: {name!r}")
    if name == "synthetic":
        return Resolved(name="synthetic", folder=None, reason="DATA=synthetic: drawn signs, no files needed")
    if not roots:
        raise ValueError(f"`roots` must hold at least one folder to look in. Received: roots={roots!r}")
    return None

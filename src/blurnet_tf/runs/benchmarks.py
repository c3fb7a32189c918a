"""The benchmark: many attacks on each model, plain stickers, and questions; as cells, so that it resumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blurnet_tf.attacks import RP2, Attack, MaskSearch, Palette, bars, load_mask, scattered
from blurnet_tf.attacks.bases import Paint, Pixels
from blurnet_tf.attacks.inputs import check_seed, check_targets
from blurnet_tf.attacks.masks import bundled, resize_mask
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.evaluation.attacking import other_classes
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.suites import CURVE, SUITES, Trial, trials_of
from blurnet_tf.runs.cells import CellSpec, ImagesSpec, MaskSpec
from blurnet_tf.runs.experiments import AS_SAVED, MOST_TARGETS
from blurnet_tf.runs.own import Candidate, candidate, file_name
from blurnet_tf.runs.run import CELLS, Run, StoredRun, TrialCell
from blurnet_tf.runs.setting import Setting
from blurnet_tf.runs.store import fill
from blurnet_tf.runs.threat_model import ThreatModel, store_mask
from blurnet_tf.training.precision import resolve

AREAS: tuple[int, ...] = (10, 20, 30, 48, 72, 96, 144)
"""Pixels of an image of 32x32 that the masks of the curve cover; the octagon stands at its end."""
FAMILIES = {"bars": bars, "scattered": scattered}
OCTAGON = "octagon"


def check(
    models: Sequence[Any],
    dataset: Dataset | None,
    *,
    results: Path | str,
    threat_model: ThreatModel | None = None,
    suite: str | Sequence[Attack | Trial] = "standard",
    seeds: Sequence[int] = (0,),
    targets: Sequence[int] | None = None,
    sources: Sequence[Any] = (),
    areas: Sequence[int] = (),
    families: Sequence[str] = tuple(FAMILIES),
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    checkpoints: Path | None = None,
    training_data: Dataset | None = None,
    precision: str = "auto",
    kind: str = "check",
    **facts: Any,
) -> StoredRun:
    """Benchmark models: what `blurnet_tf.benchmark` does to one, and `make check` and `make curve` to several.

    Cells that are in `results` already are not computed again, so a run that was killed resumes.

    Args:
        models: Each as `candidate` takes it.
        dataset: Where images and mask come from; `None` where the threat model has images of its own.
        results: Folder for the cells.
        threat_model: By default RP2's: the stickers of the data set, in any colour.
        suite: "quick", "standard" or "full", or a list of attacks or trials; "" for none.
        seeds: Of the attacks; each is made once with each.
        targets: The wanted classes of targeted trials; by default all that are no label.
        sources: More models whose stickers are shown to `models`, which show theirs to each other, too.
        areas: Sticker areas of the curve; none by default.
        families: Of the masks of these areas, of `FAMILIES`.
        class_names: The classes of the models, if they are not those of the data set.
        name: Of the first model, in the tables.
        checkpoints: Folder in which names of models are looked for.
        training_data: What the models were trained and tested on: its held-out images are asked about, too.
        precision: What the attacks compute in: "auto", "float32" or "mixed_bfloat16". Scoring is in float32.
        kind: Of the run: "check" or "curve".
        **facts: Further fields of `Run`, such as `preset`.

    Raises:
        ValueError: An argument is none of these, or two models have the same name.
    """
    threat, folder = ThreatModel() if threat_model is None else threat_model, Path(results)
    trials = () if areas and suite == "" else trials_of(suite)
    _check_arguments(dataset, threat, seeds, areas)
    names = None if class_names is None else tuple(class_names)
    setting, scored = threat.load(dataset, class_names=names, folder=folder)
    given: dict[str, Any] = {"outputs": len(setting.images.class_names), "checkpoints": checkpoints}
    found = [
        candidate(model, setting.images.images, setting.mask, name=name if place == 0 else None, **given)
        for place, model in enumerate([*models, *sources])
    ]
    rows = [one.subject.row.name for one in found]
    if not models or len(set(rows)) < len(rows):
        raise ValueError(
            "Models, and those whose stickers are shown to them, must be at least one, each with a name of its own: "
            f"name= gives one. Received: {', '.join(rows) or 'none'}"
        )
    dtype, reason = resolve(precision)
    tested = training_data if training_data is not None and "test" in training_data.loaders else None
    plan = _Plan(setting, scored, threat, tuple(seeds), _wanted(setting, trials, targets), dtype, folder)
    for one in found[: len(models)]:
        plan.explain(one, trials or CURVE)
    planned = [cell for one in found[: len(models)] for cell in plan.of_model(one, trials, tested)]
    planned += plan.transfers(found, len(models), trials)
    planned += [cell for one in found[: len(models)] for cell in plan.of_areas(one, tuple(areas), families)]
    if suite == "full":
        planned += [plan.binarization(one) for one in found[: len(models)] if one.differentiable]
    fill(folder / CELLS, list({spec.folder: spec for spec, _ in planned}.values()))
    run = Run(
        **setting.describe(palette=False),
        kind=kind,
        rows=tuple(dataclasses.replace(one.subject.row, extra={**one.subject.row.extra, **one.facts,
            "differentiable": one.differentiable}) for one in found[: len(models)]),
        cells=tuple(dict.fromkeys(spec.folder for spec, _ in planned if spec.kind == "attack")),
        floors=tuple(spec.folder for spec, _ in planned if spec.kind == "plain"),
        attack=(trials or CURVE)[0].attack.to_config(),
        environment=environment(),
        suite=suite if isinstance(suite, str) else "own",
        trials=tuple(one for _, one in planned),
        training_data=None if training_data is None else training_data.facts(),
        precision=reason,
        **facts,
    )  # fmt: skip
    return StoredRun(folder=folder, run=run)


Planned = tuple[CellSpec, TrialCell]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Makes the cells."""

    setting: Setting
    scored: ImagesSpec | None
    threat: ThreatModel
    seeds: tuple[int, ...]
    targets: tuple[int, ...]
    dtype: str
    folder: Path

    def explain(self, model: Candidate, trials: Sequence[Trial]) -> None:
        """Say which trials are left out for a model, and why; ValueError if all are."""
        reasons = {trial.name: self._obstacle(model, trial) for trial in trials}
        left_out = [f"{name} ({reason})" for name, reason in reasons.items() if reason]
        if len(left_out) == len(trials):
            raise ValueError(
                f"The suite must have an attack that can be made on {model.subject.row.name}. Left out: "
                f"{', '.join(left_out)}"
            )
        if left_out:
            print(f"{model.subject.row.name}: left out are {', '.join(left_out)}", flush=True)

    def _obstacle(self, model: Candidate, trial: Trial) -> str:
        """Return why a trial cannot be made on a model, or is not of this threat model; "" if it can."""
        attack, colours = trial.attack, self.threat.colours is not None
        if trial.targeted and not self.targets:
            return "every class is the label of an image"
        if trial.layer and not model.layer:
            return "it needs a functional Keras model with a convolution"
        if attack.differentiates and not model.differentiable:
            return "the model has no gradient"
        if self.threat.sharing != "both" and attack.per_image != (self.threat.sharing == "per_image"):
            return f"the threat model has sharing={self.threat.sharing!r}"
        if trial.held_out and (self.scored is not None or len(self.setting.images) < 2):
            return "the images to score are given" if self.scored else "there is one image alone"
        if colours and not (isinstance(attack, RP2) and isinstance(attack.parts["basis"], (Paint, Pixels))):
            return "it cannot keep to the colours of the threat model"
        return ""

    def of_model(self, model: Candidate, trials: Sequence[Trial], tested: Dataset | None) -> Iterator[Planned]:
        """Yield what one model is asked, its floor, and the attacks on it."""
        if not trials:  # a curve alone
            return
        yield self._asked(model, "probe", self.scored or self.setting.images_spec)
        if tested is not None:
            test = tested.test().with_class_names(self.setting.images.class_names)
            images = ImagesSpec(source=tested.source, class_names=test.class_names, sha256=test.sha256(), part="test")
            yield self._asked(model, "test", images)
        yield self._floor(model, self.setting.mask_spec, "sticker", int(self.setting.mask.sum()))
        large = store_mask(self.folder, self._octagon()) if any(trial.large for trial in trials) else None
        for trial in self._allowed(model, trials):
            mask = large if trial.large and large else self.setting.mask_spec
            family, area = ("large", self._octagon().sum()) if trial.large else ("sticker", self.setting.mask.sum())
            if isinstance(trial.attack, MaskSearch):
                family, area = "searched", trial.attack.area
            for seed in self.seeds:
                yield self._trial(model, trial, seed, mask, family=family, area=int(area))

    def of_areas(self, model: Candidate, areas: tuple[int, ...], families: Sequence[str]) -> Iterator[Planned]:
        """Yield the attacks of the curve and the floors under them, by area."""
        size = self.setting.images.images.shape[1:3]
        masks = [
            (family, area, draw(area, size))
            for family, draw in FAMILIES.items()
            if family in families
            for area in areas
        ]
        masks += [(OCTAGON, int(load_mask(bundled("octagon.png")).sum()), self._octagon())] if areas else []
        for family, area, mask in masks:
            stored = store_mask(self.folder, mask)
            yield self._floor(model, stored, family, area)
            for trial in self._allowed(model, CURVE):
                for seed in self.seeds:
                    yield self._trial(model, trial, seed, stored, family=family, area=area)

    def transfers(self, models: Sequence[Candidate], scored: int, trials: Sequence[Trial]) -> list[Planned]:
        """Return the stickers of each model as the others see them; the first `scored` models are looked at."""
        planned = []
        for source in models:
            victims = [one for one in models[:scored] if one is not source]
            for trial in self._allowed(source, [one for one in trials if one.transfer]) if victims else ():
                for seed in self.seeds:
                    spec, told = self._trial(
                        source, dataclasses.replace(trial, best=False), seed, self.setting.mask_spec, victims=victims
                    )
                    told = dataclasses.replace(told, role="transfer", source=source.subject.spec.name)
                    planned += [(spec, dataclasses.replace(told, model=one.subject.spec.name)) for one in victims]
        return planned

    def binarization(self, model: Candidate) -> Planned:
        """Return the test of the attack: whether it finds what is there by construction."""
        attack = next(trial.attack for trial in SUITES["quick"] if trial.attack.per_image)
        spec = self._spec(model, f"{model.subject.spec.name}_binarization", self.setting.mask_spec, kind="binarization",
                          source=model.subject.spec, attack=attack.to_config(), dtype="float32")  # fmt: skip
        return spec, TrialCell(cell=spec.folder, model=model.subject.spec.name, role="binarization")

    def _allowed(self, model: Candidate, trials: Sequence[Trial]) -> Iterator[Trial]:
        """Yield the trials that the threat model allows and that can be made on the model."""
        for one in trials:
            if self._obstacle(model, one):
                continue
            trial = one.of_layer(model.layer) if one.layer else one
            attack: Any = trial.attack
            if isinstance(attack, RP2) and self.threat.colours is not None:
                attack = dataclasses.replace(attack, basis=Palette(self.threat.colours), norm=None)
            if isinstance(attack, RP2) and self.threat.expectation is not None:
                attack = dataclasses.replace(attack, expectation=self.threat.expectation)
            yield dataclasses.replace(trial, attack=attack)

    def _trial(
        self,
        model: Candidate,
        trial: Trial,
        seed: int,
        mask: MaskSpec,
        *,
        victims: Sequence[Candidate] | None = None,
        family: str = "sticker",
        area: int | None = None,
    ) -> Planned:
        attack: Any = dataclasses.replace(trial.attack, **_seed(trial.attack, seed))
        view = getattr(attack, "expectation", None) or self.threat.expectation
        name, source = file_name(trial.name.replace(", ", "-")), model.subject.spec
        where = f"_{family}-{area}" if family in (*FAMILIES, OCTAGON) else ""
        spec = self._spec(
            model,
            f"{source.name}{'_transfer' if victims else ''}{where}_{name}_seed-{seed}",
            mask,
            source=source,
            victims=tuple(one.subject.spec for one in victims) if victims else (source,),
            attack=attack.to_config(),
            targets=self.targets if trial.targeted else (),
            images=self.setting.chosen((2, 0)) if trial.held_out else self.setting.images_spec,
            scored=self.setting.chosen((2, 1)) if trial.held_out else self.scored,
            iterates=("last", "best") if trial.best else ("last",),
            view=view and view.to_config(),
            dtype=AS_SAVED if source.variant is None else self.dtype,
        )
        return spec, TrialCell(
            cell=spec.folder,
            model=source.name,
            trial=trial.name,
            family=family,
            area=int(self.setting.mask.sum()) if area is None else area,
            seed=seed,
            per_image=attack.per_image,
            gradient_free=not attack.differentiates,
            held_out=trial.held_out,
            viewed=view is not None,
            inside=family == "sticker" and not trial.held_out and (view is None or self.threat.expectation is not None),
            longer_than=trial.longer_than,
        )

    def _asked(self, model: Candidate, role: str, images: ImagesSpec) -> Planned:
        name = model.subject.spec.name
        spec = self._spec(model, f"{name}_{role}", None, kind="probe", images=images)
        return spec, TrialCell(cell=spec.folder, model=name, role=role)

    def _floor(self, model: Candidate, mask: MaskSpec, family: str, area: int) -> Planned:
        name = model.subject.spec.name
        where = "" if family == "sticker" else f"_{family}-{area}"
        view = self.threat.expectation
        spec = self._spec(
            model,
            f"{name}{where}_floor",
            mask,
            kind="plain",
            images=self.scored or self.setting.images_spec,
            colours=self.threat.colours or (),
            view=view and view.to_config(),
        )
        return spec, TrialCell(
            cell=spec.folder, model=name, role="floor", family=family, area=area, viewed=view is not None,
            inside=family == "sticker",
        )  # fmt: skip

    def _spec(self, model: Candidate, name: str, mask: MaskSpec | None, **fields: Any) -> CellSpec:
        known = {"images": self.setting.images_spec, "victims": (model.subject.spec,)}
        return CellSpec(name=name, mask=mask, **{**known, **fields})

    def _octagon(self) -> Any:
        return resize_mask(load_mask(bundled("octagon.png")), self.setting.images.images.shape[1:3])


def _check_arguments(dataset: Any, threat: Any, seeds: Any, areas: Any) -> None:
    """Raise ValueError for what would end in Python's own words, or only after all attacks."""
    if not isinstance(dataset, Dataset | None):
        raise ValueError(
            "`dataset` must be the name of a data set or what `load_dataset` returns; images of your own go into "
            f"ThreatModel(images=...). Received: {type(dataset).__name__}"
        )
    if not isinstance(threat, ThreatModel):
        raise ValueError(f"`threat_model` must be a ThreatModel. Received: {threat!r}")
    for name, values, least in (("seeds", seeds, 1), ("areas", areas, 0)):
        listed = isinstance(values, (list, tuple, range))
        if not listed or len(set(values)) < len(values) or len(values) < least:
            raise ValueError(f"`{name}` must be a list of different integers. Received: {name}={values!r}")
        for value in values:
            (check_seed if name == "seeds" else check_area)(name, value)


def check_area(name: str, value: Any) -> None:
    """Raise ValueError unless every family of masks has one of this area."""
    for draw in FAMILIES.values():
        try:
            draw(value)
        except ValueError as error:
            raise ValueError(f"`{name}` must be pixels of an image of 32x32. Received: {value!r}: {error}") from error


def _wanted(setting: Setting, trials: Sequence[Trial], targets: Sequence[int] | None) -> tuple[int, ...]:
    """Return the wanted classes, none where every class is a label; more than `MOST_TARGETS` must be named."""
    names, labels = setting.images.class_names, set(setting.images.labels.tolist())
    if targets is not None:
        wanted = tuple(check_targets(tuple(targets), len(names)).tolist())
        if taken := sorted(labels & set(wanted)):
            raise ValueError(f"`targets` must be the label of no image. Received: {', '.join(map(str, taken))}")
        return wanted
    others = other_classes(setting.images)
    if len(others) > MOST_TARGETS and any(trial.targeted for trial in trials):
        raise ValueError(
            f"`targets` must name the classes to attack towards where more than {MOST_TARGETS} are no label of an "
            f"image. Received: {len(others)} of {len(names)} classes"
        )
    return others


def _seed(attack: Attack, seed: int) -> dict[str, int]:
    return {"seed": seed} if any(one.name == "seed" for one in dataclasses.fields(attack)) else {}

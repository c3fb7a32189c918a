"""The zoo: names; weights from the package, a folder and an address, good, damaged and absent."""

from __future__ import annotations

import dataclasses
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from test_download import Server, serving

import blurnet_tf
from blurnet_tf import find_model, lisa_cnn, list_models, load_classifier, load_model
from blurnet_tf.export import zoo_card
from blurnet_tf.fetching import DownloadError
from blurnet_tf.files import sha256
from blurnet_tf.models import VARIANTS, LayerWeights, build_network, layer_weights, weights_sha256, zoo
from blurnet_tf.models.zoo import ZooEntry, named_model, read_index, read_weights_file, write_index, write_weights_file
from blurnet_tf.reporting.tables import DASH
from blurnet_tf.reporting.zoo_page import END, START, with_table
from blurnet_tf.runs import subject
from blurnet_tf.runs.own import candidate
from blurnet_tf.training.recipes import recipe

IMAGES = np.random.default_rng(0).uniform(size=(3, 32, 32, 3)).astype(np.float32)
TRAINING: dict[str, Any] = {"settings": {**recipe("smoke", "baseline").settings(), "train_images": 9, "data": "signs"}}
TRAINING["settings"]["variant"] = VARIANTS["baseline"].settings()
ROWS = ("baseline", "baseline+stickers", "depthwise_3x3", "tv_1e-4", "vote_cnn+adversarial_stickers")


def entry(folder: Path, name: str, *, dataset: str = "lisa", seed: int = 0) -> ZooEntry:
    """Write random weights as a model of a zoo, and return what is known of it."""
    variant = VARIANTS[name.partition("+")[0]]
    model = build_network(variant, seed=zlib.crc32(f"{dataset}/{name}".encode()) % 1000 + seed)
    file = zoo.weights_file(name, dataset, seed)
    write_weights_file(folder / file, layer_weights(model), (32, 32))
    weights, _ = read_weights_file(folder / file)
    return ZooEntry(
        name=name,
        dataset=dataset,
        seed=seed,
        title=variant.title,
        file=file,
        sha256=sha256(folder / file),
        bytes=(folder / file).stat().st_size,
        weights_sha256=weights_sha256(weights),
        variant=variant.settings(),
        class_names=blurnet_tf.CLASS_NAMES,
        image_size=(32, 32),
        data={"title": "signs", "leaks": False, "licence": "Mine.", "image_size": [32, 32]},
        training=TRAINING,
        test_correct=9,
        test_images=10,
        measured=({"of": {"suite": "quick"}, "union": 0.5, "flags": []},),
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with an index of six models and the weights of two; the other weights are in `elsewhere`."""
    root = tmp_path_factory.mktemp("zoo")
    elsewhere, package = root / "elsewhere", root / "package"
    entries = [entry(elsewhere, name) for name in ROWS]
    entries += [entry(elsewhere, "baseline", seed=1), entry(elsewhere, "baseline", dataset="synthetic")]
    write_index(package, entries)
    for name in ("baseline", "baseline+stickers"):
        (package / "lisa").mkdir(exist_ok=True)
        (package / "lisa" / f"{name}.npz").write_bytes((elsewhere / "lisa" / f"{name}.npz").read_bytes())
    return package


@pytest.fixture(autouse=True)
def packaged(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "PACKAGED", package)
    monkeypatch.delenv("BLURNET_ZOO", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def elsewhere(package: Path) -> Path:
    return package.parent / "elsewhere"


@pytest.fixture
def server(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    files = {path.relative_to(elsewhere).as_posix(): path.read_bytes() for path in elsewhere.rglob("*.npz")}
    with serving(files) as server:
        monkeypatch.setenv("BLURNET_ZOO", f"{server.url}/")
        yield server


def test_the_names_are_those_of_the_index() -> None:
    assert set(list_models()) == set(ROWS)
    assert len(list_models()) == len(ROWS)
    assert set(list_models(dataset="lisa")) == set(ROWS)
    assert list_models(dataset="synthetic") == ["baseline"]
    assert list_models(dataset="mars") == []


@pytest.mark.parametrize("name", ["baseline", "baseline+stickers"])
def test_a_model_of_the_package_is_what_was_put_in(name: str, elsewhere: Path) -> None:
    model = load_model(name)
    weights, size = read_weights_file(elsewhere / "lisa" / f"{name}.npz")
    assert size == (32, 32)
    assert weights_sha256(layer_weights(model)) == weights_sha256(weights) == find_model(name).weights_sha256
    expected = build_network("baseline", weights=weights)(IMAGES)
    np.testing.assert_array_equal(model(IMAGES), expected)
    assert model.dtype_policy.name == "float32"
    assert load_model(name, dtype="mixed_bfloat16").get_layer("conv1").compute_dtype == "bfloat16"


def test_the_weights_are_rounded_and_nothing_else(tmp_path: Path) -> None:
    model = lisa_cnn("depthwise_5x5", seed=3)
    write_weights_file(tmp_path / "one.npz", layer_weights(model), (32, 32))
    write_weights_file(tmp_path / "two.npz", layer_weights(model), (32, 32))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    weights, _ = read_weights_file(tmp_path / "one.npz")
    for name, arrays in layer_weights(model).items():
        for array, kept in zip(arrays, weights[name], strict=True):
            assert kept.dtype == np.float32
            assert np.all(np.abs(kept - array) <= np.abs(array) * 2.0**-8 + 2.0**-24)  # half of the last of 8 bits
            np.testing.assert_array_equal(kept, kept.astype(np.float16))
    write_weights_file(tmp_path / "again.npz", weights, (32, 32))
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()


@pytest.mark.parametrize("number", [1e6, 65450.0, np.nan])
def test_what_half_precision_cannot_hold_is_an_error(tmp_path: Path, number: float) -> None:
    weights: LayerWeights = {"logits": [np.array([number], np.float32)]}
    with pytest.raises(ValueError, match=r"Weights must be numbers within 65504.*Received: others in logits/0"):
        write_weights_file(tmp_path / "one.npz", weights, (32, 32))
    assert list(tmp_path.iterdir()) == []


def test_the_weights_of_lisa_cnn_may_be_named(elsewhere: Path) -> None:
    model = lisa_cnn("baseline", weights="lisa")
    assert weights_sha256(layer_weights(model)) == find_model("baseline").weights_sha256
    with pytest.raises(ValueError, match=r"`weights` must be one of 'lisa', 'synthetic'"):
        lisa_cnn("baseline", weights="imagenet")
    mine = dataclasses.replace(VARIANTS["depthwise_3x3"], name="baseline")
    with pytest.raises(ValueError, match="`variant` must be that of the zoo for weights='lisa'"):
        lisa_cnn(mine, weights="lisa")


def test_another_seed_and_another_data_set_are_other_weights(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLURNET_ZOO", str(elsewhere))
    models = [load_model("baseline"), load_model("baseline", seed=1), load_model("baseline", dataset="synthetic")]
    assert len({weights_sha256(layer_weights(model)) for model in models}) == 3


@pytest.mark.parametrize("name", ROWS)
def test_a_folder_has_what_the_package_has_not(name: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLURNET_ZOO", str(elsewhere))
    model = load_model(name)
    assert weights_sha256(layer_weights(model)) == find_model(name).weights_sha256
    assert model.name == name.partition("+")[0]


def test_a_folder_with_an_index_adds_models_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    mine = entry(own, "depthwise_7x7", dataset="mine", seed=4)
    other = dataclasses.replace(entry(own, "baseline"), test_correct=1)
    write_index(own, [mine, other])
    monkeypatch.setenv("BLURNET_ZOO", str(own))
    assert list_models(dataset="mine") == ["depthwise_7x7"]
    assert set(list_models()) == {*ROWS, "depthwise_7x7"}
    assert find_model("depthwise_7x7", dataset="mine", seed=4) == mine
    assert find_model("baseline").accuracy == 0.1  # one's own goes first
    load_model("depthwise_7x7", dataset="mine", seed=4)
    assert read_index(own) == [other, mine]


def test_an_address_is_asked_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        model = load_model("tv_1e-4")
        assert weights_sha256(layer_weights(model)) == find_model("tv_1e-4").weights_sha256
    assert server.requests == ["lisa/tv_1e-4.npz"]
    load_model("baseline")  # is in the package
    assert len(server.requests) == 1
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1


def test_a_damaged_copy_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    load_model("tv_1e-4")
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    kept.write_bytes(b"nothing")
    load_model("tv_1e-4")
    assert len(server.requests) == 2


@pytest.mark.parametrize("kind", ["damaged", "absent"])
def test_an_address_that_does_not_have_it_is_one_sentence(server: Server, kind: str, tmp_path: Path) -> None:
    name = "lisa/tv_1e-4.npz"
    if kind == "damaged":
        server.contents[name] = b"other"
    else:
        del server.contents[name]
    with pytest.raises(DownloadError) as caught:
        load_model("tv_1e-4")
    sentence = str(caught.value)
    assert sentence.startswith(f"{server.url}/{name} cannot be fetched: ")
    assert ("HTTP 404" in sentence) == (kind == "absent")
    assert sentence.endswith("in the package there are baseline (lisa), baseline+stickers (lisa).")
    assert list((tmp_path / "cache").rglob("*.npz")) == []


def test_weights_that_are_nowhere_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"tv_1e-4 \(lisa, seed 0\) are not in the package.*has lisa/tv_1e-4.npz"
    ):
        load_model("tv_1e-4")
    monkeypatch.setenv("BLURNET_ZOO", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path} does not have them either.")):
        load_model("tv_1e-4")
    monkeypatch.setenv("BLURNET_ZOO", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="BLURNET_ZOO must be a folder or a base address"):
        list_models()


def test_weights_with_another_sum_are_refused(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own" / "lisa"
    own.mkdir(parents=True)
    (own / "tv_1e-4.npz").write_bytes((elsewhere / "lisa" / "depthwise_3x3.npz").read_bytes())
    monkeypatch.setenv("BLURNET_ZOO", str(own.parent))
    with pytest.raises(ValueError, match=r"must be the weights of tv_1e-4 with the sum .*Received: another file"):
        load_model("tv_1e-4")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "resnet"}, "`name` must be a model of the zoo that was trained on 'lisa': baseline, "),
        ({"name": "baseline", "seed": 7}, "`seed` of baseline must be one of 0, 1. Received: seed=7"),
        ({"name": "baseline", "dataset": "mars"}, "`dataset` must be one of 'lisa', 'synthetic'. Received: "),
        ({"name": "tv_1e-4", "dataset": "synthetic"}, "`name` must be a model of the zoo that was trained on 'synth"),
    ],
)
def test_a_model_that_there_is_not_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        load_model(**arguments)


@pytest.mark.parametrize("content", [b"", b"PK", b"not an archive"])
def test_a_file_that_holds_no_weights_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must hold weights of the zoo"):
        read_weights_file(path)


@pytest.mark.parametrize("damage", ["short", "flipped", "array"])
def test_a_damaged_file_of_weights_is_one_sentence(damage: str, elsewhere: Path, tmp_path: Path) -> None:
    content = bytearray((elsewhere / "lisa" / "baseline.npz").read_bytes())
    path = tmp_path / "one.npz"
    if damage == "array":
        np.save(tmp_path / "one.npy", np.zeros(3))
        path.write_bytes((tmp_path / "one.npy").read_bytes())
    elif damage == "short":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    with pytest.raises(ValueError, match="must hold weights of the zoo"):
        read_weights_file(path)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    np.savez(path, image_size=np.array([32, 32]), **{"conv1/0": np.array([{"a": 1}], object)})
    with pytest.raises(ValueError, match="must hold weights of the zoo"):
        read_weights_file(path)


@pytest.mark.parametrize("content", ["{}", '{"models": [{"name": "x"}]}', '{"models": [1]}'])
def test_a_damaged_index_is_one_sentence(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.json").write_text(content)
    monkeypatch.setenv("BLURNET_ZOO", str(tmp_path))
    with pytest.raises(ValueError, match=r"index.json must be the index of a zoo. Received: .* Make it again"):
        list_models()


def test_the_same_models_give_the_same_index(package: Path, tmp_path: Path) -> None:
    entries = read_index(package)
    write_index(tmp_path, entries[::-1])
    assert (tmp_path / "index.json").read_bytes() == (package / "index.json").read_bytes()
    assert json.loads((tmp_path / "index.json").read_text())["models"][0]["class_names"][14] == "stop"


def test_a_model_of_the_zoo_can_be_saved_and_trained_on(tmp_path: Path) -> None:
    model = load_model("baseline")
    model.save(tmp_path / "mine.keras")
    again = keras.saving.load_model(tmp_path / "mine.keras")
    np.testing.assert_array_equal(model(IMAGES), again(IMAGES))
    blurnet_tf.train(model, IMAGES, np.zeros(3, np.int32), epochs=1, verbose=0)
    assert np.abs(np.asarray(model(IMAGES)) - np.asarray(again(IMAGES))).max() > 0


def test_the_page_of_the_zoo_has_a_row_for_each_model(package: Path) -> None:
    measured = {"floor_white": 0.0, "shared": 0.05, "per_image": 0.125, "flags": ["nan"]}
    curve = [
        {"family": "bars", "per_image": 0.25},
        {"family": "octagon", "per_image": 1.0},
        {"family": "bars", "per_image": 1.0},
    ]
    first, *others = read_index(package)
    rows = [
        dataclasses.replace(first, measured=({**measured, "curve": curve}, {**measured, "per_image": 0.5})),
        *others,
    ]
    page = with_table(f"# Zoo\n\n{START}\n\nold\n\n{END}\n\nMore.\n", rows)
    assert page.startswith(f"# Zoo\n\n{START}\n\n| model ")
    assert page.endswith(f"\n\n{END}\n\nMore.\n")
    assert with_table(page, rows) == page
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    assert lines[2] == ["`baseline`", "90.0", "0.0", "5.0", "12.5", "25.0 / 100.0", "50.0", "nan", "yes"]
    assert [line[0] for line in lines[2:]] == [f"`{one.place}`" for one in rows]
    assert {line[-1] for line in lines[3:]} == {"yes", DASH}
    with pytest.raises(ValueError, match="The page of the zoo must have the lines"):
        with_table("# Zoo\n", rows)


def test_a_model_of_the_zoo_is_attacked_like_a_checkpoint(elsewhere: Path) -> None:
    classifier = load_classifier("baseline+stickers")
    assert (classifier.name, classifier.classes, classifier.size) == ("baseline+stickers", 18, (32, 32))
    assert classifier.entry == find_model("baseline+stickers")
    np.testing.assert_array_equal(classifier(IMAGES), load_model("baseline+stickers")(IMAGES))
    one = subject(classifier)
    assert one.spec.variant == VARIANTS["baseline"].settings()
    assert one.spec.sha256 == classifier.sha256 == one.row.weights_sha256
    assert (one.row.title, one.row.test_correct, one.row.test_images) == ("Baseline", 9, 10)
    np.testing.assert_array_equal(one.spec.load("float32")(IMAGES), classifier(IMAGES))
    blurred = subject(classifier, input_blur=3)
    assert (blurred.spec.name, blurred.row.title) == ("baseline+stickers_input_3x3", "Input filter 3x3")
    assert blurred.row.test_correct is None
    assert np.abs(np.asarray(blurred.spec.load("float32")(IMAGES)) - np.asarray(classifier(IMAGES))).max() > 0


@pytest.mark.parametrize(
    ("name", "place"),
    [("baseline", "lisa/baseline"), ("synthetic/baseline", None), ("lisa/seed-1/baseline", None), ("resnet", "")],
)
def test_a_model_is_named_by_its_row_and_by_its_file(name: str, place: str | None) -> None:
    entry = named_model(name)
    if place == "":
        assert entry is None
        with pytest.raises(FileNotFoundError, match=r"Model resnet does not exist.*a model of the zoo: baseline"):
            load_classifier(name)
    else:
        assert entry is not None
        assert entry.place == name
        assert named_model(place or name) == entry


def test_a_model_of_the_zoo_has_logits_alone() -> None:
    with pytest.raises(ValueError, match="`output` must be 'logits' for a model of the zoo"):
        load_classifier("baseline", output="probabilities")
    with pytest.raises(ValueError, match="`signature` must be None for a model of the zoo"):
        load_classifier("baseline", signature="serving_default")


def test_the_card_says_how_it_is_loaded_and_what_was_measured(package: Path) -> None:
    measured = {
        "n": 40,
        "of": {"images": "40 signs", "mask_pixels": 30, "suite": "standard"},
        "flags": ["nan"],
        "union": 0.5,
    }
    measured |= {"union_low": 0.4, "union_high": 0.6, "curve": [{"family": "bars", "area": 48, "per_image": 0.25}]}
    one = dataclasses.replace(find_model("baseline", seed=1), measured=(measured,), training=TRAINING)
    card = zoo_card(one)
    assert card.startswith("# baseline: Baseline\n")
    assert "from the zoo of blurnet-tf" in card
    assert 'blurnet_tf.load_model("baseline", seed=1)' in card
    assert "--model lisa/seed-1/baseline" in card
    assert "| 40 signs | 40 | 30 | standard | - | - | - | - | 50.0 [40.0, 60.0] | nan |" in card
    assert "One sticker for each in bars of 48 pixels: 25.0%." in card


def test_a_benchmark_of_a_model_of_the_zoo_checks_images_and_classes(tmp_path: Path) -> None:
    mask = np.ones((32, 32, 1), np.float32)
    for model in (load_classifier("baseline"), "baseline"):
        found = candidate(model, IMAGES, mask, outputs=18, checkpoints=tmp_path)
        assert (found.subject.spec.name, found.layer) == ("baseline", "conv1")
        with pytest.raises(ValueError, match="Received: 18 outputs"):
            candidate(model, IMAGES, mask, outputs=43, checkpoints=tmp_path)
        with pytest.raises(ValueError, match="expected shape"):
            candidate(model, np.zeros((2, 40, 40, 3), np.float32), mask, outputs=18, checkpoints=tmp_path)
    lisa_cnn(seed=0).save(tmp_path / "baseline.keras")
    with pytest.raises(ValueError, match=r"`model` must name one model. Received: baseline, which is a checkpoint"):
        candidate("baseline", IMAGES, mask, outputs=18, checkpoints=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"of the zoo\. Received: resnet, which is none"):
        candidate("resnet", IMAGES, mask, outputs=18, checkpoints=tmp_path)

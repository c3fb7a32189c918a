"""The report: what it holds, what it says of what is not there, and that nothing in it is markup but its own."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread
from report_results import EVIL, OWN, ROWS, STEPS, TARGETS, N, clean_signs, write_all, write_cell, write_whitebox

from blurnet_tf.reporting import write_report, write_tables
from blurnet_tf.reporting.report import render, signs, success
from blurnet_tf.reporting.report.blocks import Picture, Pictures, Section, Text
from blurnet_tf.runs.checkpoints import find_checkpoint
from blurnet_tf.runs.run import StoredRun, read_run


class Page(HTMLParser):
    """What a page holds: texts by section, the numbers and cells of the tables, images, tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.numbers: dict[str, list[float]] = {}
        self.addresses: list[str] = []
        self.cells: dict[str, list[str]] = {}
        self.lines: dict[str, list[list[tuple[float, float]]]] = {"thin": [], "thick": []}
        self._section = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.tags.add(tag)
        if tag == "section":
            self._section = values["id"] or ""
        if tag == "img":
            self.images.append(values)
        if values.get("data-value"):
            self.numbers.setdefault(self._section, []).append(float(values["data-value"] or ""))
        if tag in ("th", "td"):
            self.cells.setdefault(self._section, []).append("")
        if tag == "polyline":
            points = [point.split(",") for point in (values["points"] or "").split()]
            self.lines[(values["class"] or "").split()[0]].append([(float(across), float(up)) for across, up in points])
        self.addresses += [value for key in ("src", "href") if (value := values.get(key))]

    def handle_data(self, data: str) -> None:
        self.texts[self._section] = self.texts.get(self._section, "") + data
        if self.cells.get(self._section):
            self.cells[self._section][-1] += data


@pytest.fixture(autouse=True, scope="module")
def signs_are_there() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredRun, "clean", property(lambda self: clean_signs()))
        yield


@pytest.fixture(scope="module")
def stored(signs_are_there: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_all(folder)
    return folder


def make(folder: Path) -> str:
    write_report(folder / "results", folder / "checkpoints")
    return (folder / "results" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(stored: Path) -> str:
    return make(stored)


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "copy")
    return tmp_path / "copy"


def rows_of(stored: Path, folder: str, name: str) -> list[dict[str, Any]]:
    """The rows of a table that the experiment itself would have written."""
    write_tables(read_run(stored / "results" / folder))
    return json.loads((stored / "results" / folder / f"{name}.json").read_text())


def test_the_same_results_give_the_same_bytes(stored: Path, html: str) -> None:
    assert make(stored) == html


def test_the_file_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not page.tags & {"script", "link rel=stylesheet", "iframe", "object"}
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.slow
def test_the_tables_hold_the_very_numbers_of_the_json(copy: Path, html: str) -> None:
    page = Page(html)
    ours = ("accuracy", "attack_success", "target_reached", "l2_dissimilarity", "n")
    papers = ("paper_accuracy", "paper_attack_success")
    for row in rows_of(copy, "blackbox", "table1"):
        assert {row[key] for key in (*ours, *papers)} <= set(page.numbers["table1"])
        for key in ("accuracy", "attack_success"):
            low, high = row[f"{key}_low"], row[f"{key}_high"]
            assert f"{100 * row[key]:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in page.texts["table1"]
    ours = ("legitimate_accuracy", "average_success", "worst_success", "union_success", "l2_dissimilarity")
    ours += ("victim_accuracy", "floor_white", "floor_black", "floor_random", "target_reached_average")
    for row in rows_of(copy, "whitebox", "table2"):
        papers = [value for key, value in row.items() if key.startswith("paper_") and value is not None]
        assert {*(row[key] for key in ours), *papers} <= set(page.numbers["table2"])
    for row in rows_of(copy, "ablation", "ablation"):
        assert {row["legitimate_accuracy"], row["attack_success"]} <= set(page.numbers["ablation"])
    ours = ("legitimate_accuracy", "average_success", "union_success", "total_variation", "relative_total_variation")
    for row in rows_of(copy, "reproduction", "runs"):
        assert {row[key] for key in ours} <= set(page.numbers["reproduction"])
        assert {row["run"], "alpha <1>, quick"} <= {" ".join(cell.split()) for cell in page.cells["reproduction"]}
    (row,) = rows_of(copy, f"models/{OWN}/whitebox", "table")
    ours = ("victim_accuracy", "average_success", "worst_success", "union_success", "l2_dissimilarity", "floor_white")
    assert {row[key] for key in ours} <= set(page.numbers["models"])
    for row in rows_of(copy, f"models/{OWN}/blackbox", "table"):
        assert {row[key] for key in ("accuracy", "attack_success", "l2_dissimilarity", "n")} <= set(
            page.numbers["models"]
        )


def test_the_heat_map_has_a_cell_for_each_model_and_target(html: str) -> None:
    numbers = Page(html).numbers["targets"]
    first, second = len(TARGETS) + 2, len(TARGETS)  # beside the targets: any of them, and a white sticker
    assert len(numbers) == len(ROWS) * (first + second)
    assert numbers[: first * len(ROWS)] == [
        share for number in range(len(ROWS)) for share in (number / N, 2 / N, 3 / N, 3 / N, number / N)
    ]


@pytest.mark.parametrize("share", np.linspace(0, 1, 21))
def test_the_ink_of_every_cell_of_the_heat_map_can_be_read(share: float) -> None:
    cell = success.heat_cell(float(share))
    assert cell.background == to_hex(matplotlib.colormaps["YlOrRd"](0.9 * share))
    darker, lighter = sorted(luminance(colour) for colour in (cell.ink, cell.background))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def test_markup_in_a_name_stays_text(html: str) -> None:
    page = Page(html)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script" not in html
    assert EVIL in page.texts["table1"]
    assert "<b>own</b>" in page.texts["table2"]
    assert "figure1 says <this>" in page.texts["figures"]
    assert "own & mask.png" in page.texts["provenance"]


def test_every_image_is_inside_and_decodes(stored: Path, html: str) -> None:
    images = Page(html).images
    figures = 6
    assert len(images) == figures + N + len(ROWS) * (N + 1)
    for image in images:
        kind, data = (image["src"] or "").split(",")
        assert kind == "data:image/png;base64"
        assert imread(io.BytesIO(base64.b64decode(data, validate=True))).ndim == 3
        assert image["alt"]
    embedded = {base64.b64decode((image["src"] or "").split(",")[1]) for image in images}
    assert (stored / "results" / "whitebox" / "figure4.png").read_bytes() in embedded


def test_an_image_keeps_its_pixels() -> None:
    image = np.random.default_rng(0).random((4, 6, 3)).astype(np.float32)
    png = base64.b64decode(signs.image_uri(image).split(",")[1])
    np.testing.assert_allclose(imread(io.BytesIO(png))[..., :3], image, atol=0.5 / 255 + 1e-6)


def test_figure_4_says_what_the_white_box_of_the_page_says(html: str) -> None:
    said = Page(html).texts["figures"]
    assert "Mean attack success, and the dissimilarity it takes: Baseline 41.7%" in said
    assert "figure4 says" not in said


def test_confidences_are_there_where_the_checkpoint_is(html: str) -> None:
    said = Page(html).texts["signs"]
    assert "No confidences for TV 1e-4, <b>own</b>: the checkpoint is not there, or is another one now." in said
    assert said.count("%") == N  # of the baseline alone


@pytest.mark.parametrize(
    ("folder", "section", "sentence"),
    [
        ("blackbox", "table1", "There is no transfer experiment yet: `make blackbox` runs it."),
        ("whitebox", "table2", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("whitebox", "targets", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("whitebox", "signs", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("whitebox", "steps", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("ablation", "ablation", "There is no ablation yet: `make ablation` makes it."),
        ("figures", "figures", "There are no figures yet: `make figures` draws them."),
        ("reproduction", "reproduction", "There are no studies yet: `make reproduction` runs them"),
        ("models", "models", "No model of your own was attacked: `make whitebox MODEL=...` and `make blackbox MODEL="),
    ],
)
def test_what_is_absent_is_said_with_what_makes_it(copy: Path, folder: str, section: str, sentence: str) -> None:
    shutil.rmtree(copy / "results" / folder)
    assert sentence.replace("`", "") in Page(make(copy)).texts[section]
    assert any(sentence in one for one in write_report(copy / "results", copy / "checkpoints"))


def test_every_section_stands_on_the_page_in_its_order(html: str) -> None:
    wanted = ["headline", "table1", "table2", "targets", "signs", "steps", "figures", "ablation", "check", "curve"]
    wanted += ["controls", "reproduction", "models", "verdicts", "differences", "provenance"]
    assert [name for name in Page(html).texts if name] == wanted


def test_controls_that_are_not_there_are_said_with_what_makes_them(stored: Path, html: str) -> None:
    sentence = "There are no controls yet: `make controls` makes Table 3"
    said = Page(html).texts["controls"]
    assert "Table 3: the controls" in said
    assert sentence.replace("`", "") in said
    assert any(sentence in one for one in write_report(stored / "results", stored / "checkpoints"))


def test_without_any_results_the_page_says_what_to_run(tmp_path: Path) -> None:
    page = Page(make(tmp_path))
    for command in ("blackbox", "whitebox"):
        assert f"make {command} runs it" in page.texts["headline"]
    assert page.images == []


def test_the_signs_that_are_not_there_any_more_are_not_shown(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoredRun, "clean", property(lambda self: {}))
    absent = write_report(stored / "results", stored / "checkpoints")
    assert any("The signs that Table 2 attacks are not here any more" in sentence for sentence in absent)


@pytest.mark.parametrize("changes", [{"seed": 7}, {"data": {"sha256": "0" * 64}}])
def test_what_is_of_another_run_is_not_shown(copy: Path, changes: dict[str, Any]) -> None:
    path = copy / "results" / "blackbox" / "run.json"
    run = json.loads(path.read_text())
    run["data"] |= changes.get("data", {})
    run["attack"] |= {key: value for key, value in changes.items() if key != "data"}
    path.write_text(json.dumps(run))
    said = Page(make(copy)).texts
    assert "The ablation is of another attack than Table 1: make ablation makes it anew." in said["ablation"]
    assert "The figures are of another attack than Table 1: make figures draws them anew." in said["figures"]


def test_a_table_in_a_file_is_not_read_back(copy: Path, html: str) -> None:
    for folder in ("blackbox", "whitebox", "ablation"):
        for name in ("table1", "table2", "table2_by_lambda", "ablation"):
            (copy / "results" / folder / f"{name}.json").write_text("damaged")
    assert make(copy) == html


@pytest.mark.parametrize(
    ("folder", "section", "damaged"),
    [
        *(("whitebox", "table2", damaged) for damaged in ("run.json", "records.csv", "arrays.npz", "cell", "fact")),
        ("blackbox", "table1", "fact"),
        ("ablation", "ablation", "cell"),
        ("ablation", "provenance", "fact"),
        ("reproduction", "reproduction", "records.csv"),
        (f"models/{OWN}/whitebox", "models", "cell"),
        (f"models/{OWN}/blackbox", "models", "run.json"),
    ],
)
def test_a_damaged_run_costs_its_section_one_sentence(copy: Path, folder: str, section: str, damaged: str) -> None:
    place = copy / "results" / folder
    cell = place / "cells" / read_run(place).run.cells[0]
    if damaged == "cell":
        shutil.rmtree(cell)
    elif damaged == "fact":
        run = json.loads((place / "run.json").read_text())
        del run["data"]["title"]
        (place / "run.json").write_text(json.dumps(run))
    else:
        path = place / damaged if damaged == "run.json" else cell / damaged
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    absent = write_report(copy / "results", copy / "checkpoints")
    assert any(f"{copy / 'results' / folder} cannot be shown: " in sentence for sentence in absent)
    page = Page((copy / "results" / "report.html").read_text())
    assert "cannot be shown" in page.texts[section]
    whole = {"blackbox": "table1", "whitebox": "table2", "reproduction": "reproduction"}
    assert all(page.numbers[section] for other, section in whole.items() if other != folder)


@pytest.mark.parametrize(
    ("folder", "key", "value"),
    [
        ("whitebox", "title", "\ud800"),
        ("whitebox", "test_images", 10**400),
        ("blackbox", "name", "\ud800"),
        ("ablation", "test_correct", 10**400),
    ],
)
def test_a_value_of_a_damaged_run_costs_no_other_section(copy: Path, folder: str, key: str, value: Any) -> None:
    path = copy / "results" / folder / "run.json"
    run = json.loads(path.read_text())
    run["rows"][0][key] = value
    path.write_text(json.dumps(run))
    absent = write_report(copy / "results", copy / "checkpoints")
    assert any("cannot be shown: " in sentence for sentence in absent)
    page = Page((copy / "results" / "report.html").read_text())
    whole = {"blackbox": "table1", "whitebox": "table2", "reproduction": "reproduction"}
    assert all(page.numbers[section] for other, section in whole.items() if other != folder)


def test_a_run_names_no_model_outside_the_checkpoints(copy: Path) -> None:
    row = read_run(copy / "results" / "whitebox").run.rows[0]
    found = find_checkpoint(row, copy / "checkpoints")
    assert found is not None
    elsewhere = shutil.copyfile(found, copy / "elsewhere.keras")
    for named in (str(elsewhere), "checkpoints/../elsewhere.keras", f"x/{elsewhere}"):
        assert find_checkpoint(dataclasses.replace(row, checkpoint=named), copy / "checkpoints") is None
    assert find_checkpoint(dataclasses.replace(row, checkpoint=str(found)), copy / "checkpoints") == found


def test_a_figure_is_a_picture_and_no_link(copy: Path) -> None:
    figure, secret = copy / "results" / "figures" / "figure1.png", copy / "secret"
    secret.write_text("secret")
    for place in (lambda: figure.symlink_to(secret), lambda: figure.write_text("secret")):
        figure.unlink()
        place()
        absent = write_report(copy / "results", copy / "checkpoints")
        assert any("figure1.png must be" in sentence for sentence in absent)
        assert base64.b64encode(b"secret").decode() not in (copy / "results" / "report.html").read_text()


def test_a_line_may_end_inside_a_class_name() -> None:
    pictures = Pictures(title="", pictures=[Picture(uri="data:,", alt="", caption="schoolSpeedLimit25")])
    page = render("", "", [Section(key="one", title="", blocks=[pictures])])
    assert "<figcaption>school<wbr>Speed<wbr>Limit25</figcaption>" in page


def test_stickers_that_do_not_give_the_scored_signs_are_not_shown(copy: Path) -> None:
    stored = read_run(copy / "results" / "whitebox")
    (cell, *_) = stored.cells
    arrays = cell.arrays | {"perturbation": cell.arrays["perturbation"] / 3}
    write_cell(stored.folder / "cells" / cell.folder, cell.records, **arrays)
    said = Page(make(copy)).texts["signs"]
    assert "Baseline: the stored sticker does not give the signs that were scored." in said


def test_one_lambda_has_a_thin_line_for_each_target_and_a_thick_one_for_their_mean(html: str) -> None:
    page = Page(html)
    assert len(page.lines["thin"]) == 2 * len(ROWS) * len(TARGETS)  # success and loss
    assert len(page.lines["thick"]) == 2 * len(ROWS)
    first, last = page.lines["thick"][1][0], page.lines["thick"][1][-1]
    assert (first, last) == ((success.LEFT, success.BOTTOM), (success.RIGHT, up_to((1 + 2 + 3) / (3 * N))))
    assert len(page.lines["thick"][0]) == STEPS + 1
    assert "mean 0.0% at step 0, 50.0% at the end" in page.texts["steps"]


@pytest.mark.slow
def test_several_lambdas_and_seeds_have_a_line_for_each_lambda_over_the_seeds(copy: Path) -> None:
    write_whitebox(copy / "results" / "whitebox", penalties=(0.002, 0.5), seeds=(0, 3))
    page = Page(make(copy))
    assert page.lines["thin"] == []
    assert len(page.lines["thick"]) == 2 * 2 * len(ROWS)  # success and loss, two lambdas
    # The last row: 2, 2 and 3 of 4 signs with seed 0 and the lower lambda; one less with each step up.
    ends = [line[-1] for line in page.lines["thick"][4:6]]
    assert ends == [(success.RIGHT, up_to((7 / 12 + 4 / 12) / 2)), (success.RIGHT, up_to((4 / 12 + 1 / 12) / 2))]
    said = page.texts["steps"]
    assert "mean at the end: 45.8% (lambda 0.002), 20.8% (lambda 0.5)" in said
    assert "mean at the end: 1.00 (lambda 0.002), 1.50 (lambda 0.5)" in said
    assert "the mean over the targets for one lambda, over the 2 seeds of the attack" in said
    assert "lambda 0.002, 0.5, 5 steps, seeds 0, 3" in page.texts["table2"]
    assert "From the least to the most of them:" in page.texts["table2"]
    for row in rows_of(copy, "whitebox", "table2"):
        ends = [100 * row[f"average_success_seed_{end}"] for end in ("min", "max")]
        assert "{:.1f} to {:.1f}".format(*ends) in page.cells["table2"]
    for row in rows_of(copy, "whitebox", "table2_by_lambda"):
        assert {row["lambda"], row["average_success"], row["union_success"]} <= set(page.numbers["table2"])
    assert "towards" in page.texts["signs"]
    assert "seed 0" in page.texts["signs"]
    assert "lambda0.002, 0.5" in page.texts["provenance"].replace("\n", "")
    assert "seeds of the attack0, 3" in page.texts["provenance"].replace("\n", "")


def up_to(share: float) -> float:
    return round(success.BOTTOM - (success.BOTTOM - success.TOP) * share, 1)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (0.5, 80), (0, 1000)])
def test_the_ticks_of_the_loss_do_not_stand_on_one_another(copy: Path, low: float, high: float) -> None:
    stored = read_run(copy / "results" / "whitebox")
    loss = np.linspace(high, low, STEPS + 1, dtype=np.float32)[:, None].repeat(len(TARGETS), 1)
    for cell in stored.cells:
        write_cell(stored.folder / "cells" / cell.folder, cell.records, **cell.arrays | {"loss": loss})
    html = make(copy)
    for _, up in Page(html).lines["thick"][len(ROWS)]:
        assert success.TOP <= up <= success.BOTTOM
    panel = html.split("<h3>Loss</h3>")[1].split("</svg>")[0]
    ticks = sorted(float(one) for one in re.findall(r"M38 ([\d.]+)H", panel))
    assert ticks
    assert all(below - above >= 12 for above, below in itertools.pairwise(ticks))


def test_an_attack_without_a_history_has_no_curves(copy: Path) -> None:
    stored = read_run(copy / "results" / "whitebox")
    (cell, *_) = stored.cells
    own = {"perturbation": cell.arrays["perturbation"]}
    write_cell(stored.folder / "cells" / cell.folder, cell.records, **own)
    assert "stores no loss and success" in Page(make(copy)).texts["steps"]


def test_a_page_can_be_made_of_any_sections() -> None:
    page = render(
        "A < B", "lead", [Section(key="one", title="One & two", blocks=[Text(sentences=["<i>"], listed=True)])]
    )
    assert page.startswith("<!doctype html>\n")
    assert "<title>A &lt; B</title>" in page
    assert "<li>&lt;i&gt;</li>" in page

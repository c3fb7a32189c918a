"""The report: what it holds, what it says of what is not there, and that nothing in it is markup but its own."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread
from report_results import EVIL, OWN, ROWS, STEPS, TARGETS, N, write_all, write_whitebox

from blurnet_tf.reporting.report import curves, heat, pictures, render
from blurnet_tf.reporting.report.blocks import Bar, Section, Text
from experiments import report


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


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_all(folder)
    return folder


def make(folder: Path) -> str:
    report.main(["--results", str(folder / "results"), "--checkpoints", str(folder / "checkpoints")])
    return (folder / "results" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(stored: Path) -> str:
    return make(stored)


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "copy")
    return tmp_path / "copy"


def rows_of(stored: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((stored / "results" / name).read_text())


def test_the_same_results_give_the_same_bytes(stored: Path, html: str) -> None:
    assert make(stored) == html


def test_the_file_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not page.tags & {"script", "link rel=stylesheet", "iframe", "object"}
    assert "url(" not in html
    assert "@import" not in html


def test_the_tables_hold_the_very_numbers_of_the_json(stored: Path, html: str) -> None:
    page = Page(html)
    ours = ("accuracy", "attack_success", "target_reached", "l2_dissimilarity", "n")
    papers = ("paper_accuracy", "paper_attack_success")
    for row in rows_of(stored, "blackbox/table1.json"):
        assert {row[key] for key in (*ours, *papers)} <= set(page.numbers["table1"])
        for key in ("accuracy", "attack_success"):
            low, high = row[f"{key}_low"], row[f"{key}_high"]
            assert f"{100 * row[key]:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in page.texts["table1"]
    ours = ("legitimate_accuracy", "average_success", "worst_success", "union_success", "l2_dissimilarity")
    ours += ("victim_accuracy", "floor_white", "floor_black", "floor_random", "target_reached_average")
    for row in rows_of(stored, "whitebox/table2.json"):
        papers = [value for key, value in row.items() if key.startswith("paper_") and value is not None]
        assert {*(row[key] for key in ours), *papers} <= set(page.numbers["table2"])
    for row in rows_of(stored, "ablation/ablation.json"):
        assert {row["legitimate_accuracy"], row["attack_success"]} <= set(page.numbers["ablation"])
    ours = ("legitimate_accuracy", "average_success", "union_success", "total_variation", "relative_total_variation")
    for row in rows_of(stored, "reproduction/runs.json"):
        assert {row[key] for key in ours} <= set(page.numbers["reproduction"])
        assert {row["run"], "alpha <1>, quick"} <= {" ".join(cell.split()) for cell in page.cells["reproduction"]}
    (row,) = rows_of(stored, f"models/{OWN}/whitebox/table.json")
    ours = ("victim_accuracy", "average_success", "worst_success", "union_success", "l2_dissimilarity", "floor_white")
    assert {row[key] for key in ours} <= set(page.numbers["models"])
    for row in rows_of(stored, f"models/{OWN}/blackbox/table.json"):
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
    cell = heat.heat_cell(float(share))
    assert cell.background == to_hex(matplotlib.colormaps["YlOrRd"](0.9 * share))
    assert heat.contrast(cell.ink, cell.background) >= 4.5


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
    png = base64.b64decode(pictures.image_uri(image).split(",")[1])
    np.testing.assert_allclose(imread(io.BytesIO(png))[..., :3], image, atol=0.5 / 255 + 1e-6)


def test_figure_4_says_what_the_white_box_of_the_page_says(html: str) -> None:
    said = Page(html).texts["figures"]
    assert "Mean attack success, and the L2 dissimilarity it takes: Baseline 41.7%" in said
    assert "figure4 says" not in said


def test_confidences_are_there_where_the_checkpoint_is(html: str) -> None:
    said = Page(html).texts["signs"]
    assert "No confidences for TV 1e-4, <b>own</b>: the checkpoint is not there, or is another one now." in said
    assert said.count("%") == N  # of the baseline alone


@pytest.mark.parametrize(
    ("folder", "section", "sentence"),
    [
        ("blackbox", "table1", "There is no transfer experiment yet: `make blackbox` runs it."),
        ("blackbox", "signs", "The signs that Table 2 attacks are not stored here: `make blackbox` on the same data"),
        ("whitebox", "table2", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("whitebox", "targets", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("whitebox", "signs", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("whitebox", "steps", "There is no white-box experiment yet: `make whitebox` runs it."),
        ("ablation", "ablation", "There is no ablation yet: `make ablation` scores the blur after each layer."),
        ("figures", "figures", "There are no figures yet: `make figures` draws them."),
        ("reproduction", "reproduction", "There are no runs that vary one thing yet: `make reproduction` makes them,"),
        ("models", "models", "No model of your own was attacked: `make whitebox MODEL=...` and `make blackbox MODEL="),
    ],
)
def test_what_is_absent_is_said_with_what_makes_it(
    copy: Path, capsys: pytest.CaptureFixture[str], folder: str, section: str, sentence: str
) -> None:
    shutil.rmtree(copy / "results" / folder)
    assert sentence.replace("`", "") in Page(make(copy)).texts[section]
    assert sentence in capsys.readouterr().out


def test_without_any_results_the_page_says_what_to_run(tmp_path: Path) -> None:
    page = Page(make(tmp_path))
    for command in ("blackbox", "whitebox"):
        assert f"make {command} runs it" in page.texts["headline"]
    assert page.images == []


def test_what_is_of_another_run_is_not_shown(copy: Path) -> None:
    path = copy / "results" / "blackbox" / "provenance.json"
    path.write_text(path.read_text().replace('"seed": 0,', '"seed": 7,'))
    said = Page(make(copy)).texts
    assert "The ablation is of another attack than Table 1: make ablation makes it anew." in said["ablation"]
    assert "The figures are of another attack than Table 1: make figures draws them anew." in said["figures"]


@pytest.mark.parametrize(
    ("table", "key", "section", "sentence"),
    [
        (
            "blackbox/table1.json",
            "prediction_changed",
            "table1",
            "Table 1 is not what its records count: delete its table1.json, and make blackbox counts them again.",
        ),
        (
            "whitebox/table2.json",
            "worst_success_low",
            "table2",
            "Table 2 is not what the cells of its run count: make whitebox counts them again.",
        ),
        (
            "ablation/ablation.json",
            "victim_accuracy",
            "ablation",
            "The ablation is not what its records count: make ablation makes it anew.",
        ),
        (
            f"models/{OWN}/whitebox/table.json",
            "union_success",
            "models",
            f"{OWN}: its table is not what the cells of its run count. make whitebox MODEL=... counts them again.",
        ),
        (
            f"models/{OWN}/blackbox/table.json",
            "attack_success",
            "models",
            f"{OWN}: its table is not what the cells of its run count. make blackbox MODEL=... counts them again.",
        ),
    ],
)
def test_a_table_that_its_records_do_not_count_is_not_shown(
    copy: Path, table: str, key: str, section: str, sentence: str
) -> None:
    path = copy / "results" / table
    rows = json.loads(path.read_text())
    rows[-1][key] += 0.0123
    path.write_text(json.dumps(rows))
    page = Page(make(copy))
    assert sentence in page.texts[section]
    assert f"{rows[-1][key]}" not in page.html


def test_a_table_of_other_rows_than_its_run_is_not_shown(copy: Path) -> None:
    path = copy / "results" / "whitebox" / "table2.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:1]))
    assert "Table 2 is not what the cells of its run count" in Page(make(copy)).texts["table2"]


def test_a_table_whose_cells_have_gone_is_not_shown(copy: Path) -> None:
    (copy / "results" / "whitebox" / "cells" / "cell-1-0-0" / "arrays.npz").unlink()
    said = Page(make(copy)).texts["table2"]
    assert "Table 2 counts cells that are not there any more: make whitebox computes them again." in said


def test_a_line_may_end_inside_a_class_name() -> None:
    picture = pictures.clean_signs(np.zeros((1, 4, 4, 3), np.float32), ["schoolSpeedLimit25"]).pictures[0]
    assert picture.parts == ["school", "Speed", "Limit25"]
    assert "".join(picture.parts) == picture.caption


def test_stickers_that_do_not_give_the_scored_signs_are_not_shown(copy: Path) -> None:
    path = copy / "results" / "whitebox" / "cells" / "cell-0-0-0" / "arrays.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez(path, **content | {"perturbation": content["perturbation"] / 3})
    said = Page(make(copy)).texts["signs"]
    assert "Baseline: the stored sticker does not give the signs that were scored." in said


def test_one_lambda_has_a_thin_line_for_each_target_and_a_thick_one_for_their_mean(html: str) -> None:
    page = Page(html)
    assert len(page.lines["thin"]) == 2 * len(ROWS) * len(TARGETS)  # success and loss
    assert len(page.lines["thick"]) == 2 * len(ROWS)
    first, last = page.lines["thick"][1][0], page.lines["thick"][1][-1]
    assert (first, last) == ((curves.LEFT, curves.BOTTOM), (curves.RIGHT, up_to((1 + 2 + 3) / (3 * N))))
    assert len(page.lines["thick"][0]) == STEPS + 1
    assert "mean 0.0% at step 0, 50.0% at the end" in page.texts["steps"]


def test_several_lambdas_and_seeds_have_a_line_for_each_lambda_over_the_seeds(copy: Path) -> None:
    shutil.rmtree(copy / "results" / "whitebox" / "cells")
    write_whitebox(copy / "results" / "whitebox", "f" * 64, penalties=(0.002, 0.5), seeds=(0, 3))
    page = Page(make(copy))
    assert page.lines["thin"] == []
    assert len(page.lines["thick"]) == 2 * 2 * len(ROWS)  # success and loss, two lambdas
    # The last row: 2, 2 and 3 of 4 signs with seed 0 and the lower lambda; one less with each step up.
    ends = [line[-1] for line in page.lines["thick"][4:6]]
    assert ends == [(curves.RIGHT, up_to((7 / 12 + 4 / 12) / 2)), (curves.RIGHT, up_to((4 / 12 + 1 / 12) / 2))]
    said = page.texts["steps"]
    assert "mean at the end: 45.8% (lambda 0.002), 20.8% (lambda 0.5)" in said
    assert "mean at the end: 1.00 (lambda 0.002), 1.50 (lambda 0.5)" in said
    assert "the mean over the targets for one lambda, over the 2 seeds of the attack" in said
    assert "lambda 0.002, 0.5, 5 steps, attack seed 0, 3" in page.texts["table2"]
    assert "The least and the most over the 2 seeds of the attack" in page.texts["table2"]
    for row in rows_of(copy, "whitebox/table2.json"):
        assert {row["average_success_seed_min"], row["worst_success_seed_max"]} <= set(page.numbers["table2"])
    for row in rows_of(copy, "whitebox/table2_by_lambda.json"):
        assert {row["lambda"], row["average_success"], row["union_success"]} <= set(page.numbers["table2"])
    assert "towards" in page.texts["signs"]
    assert "seed 0" in page.texts["signs"]
    assert "lambda0.002, 0.5" in page.texts["provenance"].replace("\n", "")
    assert "seeds of the attack0, 3" in page.texts["provenance"].replace("\n", "")


def test_a_table_by_lambda_that_its_cells_do_not_count_is_not_shown(copy: Path) -> None:
    shutil.rmtree(copy / "results" / "whitebox" / "cells")
    write_whitebox(copy / "results" / "whitebox", "f" * 64, penalties=(0.002, 0.5), seeds=(0, 3))
    path = copy / "results" / "whitebox" / "table2_by_lambda.json"
    rows = json.loads(path.read_text())
    rows[-1]["average_success"] += 0.0123
    path.write_text(json.dumps(rows))
    assert "Table 2 is not what the cells of its run count" in Page(make(copy)).texts["table2"]


def up_to(share: float) -> float:
    return round(curves.BOTTOM - (curves.BOTTOM - curves.TOP) * share, 1)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (0.5, 80), (0, 1000)])
def test_the_ticks_of_the_loss_do_not_stand_on_one_another(copy: Path, low: float, high: float) -> None:
    for path in (copy / "results" / "whitebox" / "cells").glob("cell-*/arrays.npz"):
        with np.load(path) as arrays:
            content = dict(arrays)
        content["loss"] = np.linspace(high, low, STEPS + 1, dtype=np.float32)[:, None].repeat(len(TARGETS), 1)
        np.savez(path, **content)
    html = make(copy)
    for _, up in Page(html).lines["thick"][len(ROWS)]:
        assert curves.TOP <= up <= curves.BOTTOM
    panel = html.split("<h3>Loss</h3>")[1].split("</svg>")[0]
    ticks = sorted(float(one) for one in re.findall(r"M38 ([\d.]+)H", panel))
    assert ticks
    assert all(below - above >= 12 for above, below in itertools.pairwise(ticks))


def test_a_bar_stands_where_its_numbers_are() -> None:
    bar = Bar(share=0.5, low=0.0, high=1.0)
    assert bar.places == {"share": 60.0, "low": 6.0, "high": 114.0}
    assert Bar(share=0.5, low=0.25, high=0.75, paper=0.0).places["paper"] == 6.0


def test_a_page_can_be_made_of_any_sections() -> None:
    page = render(
        "A < B", "lead", [Section(key="one", title="One & two", blocks=[Text(sentences=["<i>"], listed=True)])]
    )
    assert page.startswith("<!doctype html>\n")
    assert "<title>A &lt; B</title>" in page
    assert "<li>&lt;i&gt;</li>" in page

"""The report in a real Chromium, opened from its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, chromium
from report_results import EVIL, clean_signs, write_all

from blurnet_tf.reporting import write_report, write_tables
from blurnet_tf.runs.run import StoredRun, read_run

pytestmark = pytest.mark.slow

CONTRAST = """
(() => {
  const part = (value) => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4 };
  const light = (c) => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const worst = [];
  for (const one of document.querySelectorAll("h1, h2, h3, p, li, a, th, td, dt, dd, span, strong, figcaption")) {
    const pair = [light(numbers(getComputedStyle(one).color)), light(ground(one))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) worst.push([one.outerHTML.slice(0, 80), contrast]);
  }
  return worst;
})()
"""
CELLS = """
[...document.querySelectorAll("%s td[data-value]")].map((one) => [one.dataset.value, one.innerText.trim()])
"""
WIDER = "document.documentElement.scrollWidth > window.innerWidth"
# What has no box of its own to scroll in must end where the page ends.
OUTSIDE = """
[...document.querySelectorAll("body *")]
  .filter((one) => !one.closest(".wide, svg"))
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))
"""
CUT = """
(() => {
  const kept = [...document.querySelectorAll("table, tr, figure, .cards li, .absent, .points li")];
  const cut = kept.filter((one) => !one.closest(".whole, tr, figure, li, .absent")
    || ![one, one.closest(".whole")].some((box) => box && getComputedStyle(box).breakInside === "avoid"));
  const alone = [...document.querySelectorAll("h2, h3, .caption")]
    .filter((one) => getComputedStyle(one).breakAfter !== "avoid");
  return [...cut, ...alone].map((one) => one.outerHTML.slice(0, 80));
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_all(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredRun, "clean", property(lambda self: clean_signs()))
        write_report(folder / "results", folder / "checkpoints")
    for name in ("blackbox", "whitebox"):
        write_tables(read_run(folder / "results" / name))
    return folder / "results" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with Browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


def reported(browser: Browser) -> list[Any]:
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
    return [event["params"] for event in browser.events if event.get("method") in kinds]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_whole(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.show(page, width=width, scheme=scheme)
    assert browser.value("[...document.images].filter((one) => !one.complete || !one.naturalWidth).length") == 0
    assert browser.value("document.images.length") == 25
    assert not browser.value(WIDER)
    assert browser.value(OUTSIDE) == []
    assert browser.value("window.innerWidth") == width
    assert browser.value(CONTRAST) == []
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]
    assert reported(browser) == []
    asked = [event["params"]["request"]["url"] for event in browser.events if _asked(event)]
    assert asked[0] == page.as_uri()
    assert all(url.startswith("data:") for url in asked[1:])


def _asked(event: dict[str, Any]) -> bool:
    return event.get("method") == "Network.requestWillBeSent"


def test_the_tables_show_the_numbers_of_the_json(browser: Browser, page: Path) -> None:
    browser.show(page, width=1280)
    rows = json.loads((page.parent / "blackbox" / "table1.json").read_text())
    cells = browser.value(CELLS % "#table1")
    assert len(cells) == 7 * len(rows)
    for row, shown in zip(rows, (cells[start : start + 7] for start in range(0, len(cells), 7)), strict=True):
        keys = ("accuracy", "paper_accuracy", "attack_success", "paper_attack_success", "target_reached")
        for key, (value, text) in zip((*keys, "l2_dissimilarity", "n"), shown, strict=True):
            assert float(value) == row[key]
            scale, digits = {"l2_dissimilarity": (1, 3), "n": (1, 0)}.get(key, (100, 1))
            assert text.split()[0] == f"{scale * row[key]:.{digits}f}"

    rows = json.loads((page.parent / "whitebox" / "table2.json").read_text())
    cells = iter(browser.value(CELLS % "#table2 .whole:first-of-type"))
    measured = ("legitimate_accuracy", "average_success", "worst_success", "union_success", "l2_dissimilarity")
    for row in rows:
        for key in measured:
            for name in (key, f"paper_{key}"):
                if row.get(name) is None:  # a dash; and the paper has no union
                    continue
                value, text = next(cells)
                assert float(value) == row[name]
                scale, digits = (1, 3) if key == "l2_dissimilarity" else (100, 1)
                assert text.split()[0] == f"{scale * row[name]:.{digits}f}"
    assert next(cells, None) is None


@pytest.mark.parametrize("section", ["ablation", "reproduction", "models"])
def test_every_number_of_the_other_tables_is_shown_as_it_is(browser: Browser, page: Path, section: str) -> None:
    browser.show(page, width=1280)
    cells = browser.value(CELLS % f"#{section}")
    assert cells
    for value, text in cells:
        shown = text.split()[0]
        digits = len(shown.partition(".")[2])
        assert shown in {f"{scale * float(value):.{digits}f}" for scale in (1, 100)}


def test_a_page_without_results_is_a_page_too(browser: Browser, tmp_path: Path) -> None:
    write_report(tmp_path, tmp_path)
    browser.show(tmp_path / "report.html", width=390)
    assert not browser.value(WIDER)
    assert browser.value(OUTSIDE) == []
    assert browser.value("document.querySelectorAll('section').length") == 16
    others = "[...document.querySelectorAll('section:not(#verdicts)')]"  # the verdicts need no results
    assert browser.value(f"{others}.every((one) => one.querySelector('.absent, li'))")
    assert reported(browser) == []


def test_what_is_wide_scrolls_in_its_own_box(browser: Browser, page: Path) -> None:
    browser.show(page, width=390)
    boxes = browser.value(
        "[...document.querySelectorAll('.wide')].map((one) => [one.clientWidth, one.scrollWidth,"
        " getComputedStyle(one).overflowX, one.tabIndex, one.getAttribute('aria-label')])"
    )
    assert any(inside > outside for outside, inside, *_ in boxes)
    assert all(overflow == "auto" and index == 0 and label for _, _, overflow, index, label in boxes)


def test_two_models_can_be_put_beside_one_another(browser: Browser, page: Path) -> None:
    browser.show(page, width=390)
    shown = (
        "[...document.querySelectorAll('.gallery th')].filter((one) => one.offsetParent).map((one) => one.innerText)"
    )
    assert browser.value(shown)[:3] == ["clean", "Baseline", "TV 1e-4"]
    widths = "[...document.querySelectorAll('.gallery img')].map((one) => one.getBoundingClientRect().width)"
    assert {round(width) for width in browser.value(widths)} <= set(range(60, 97))
    browser.value("document.querySelector('.show-1').click()")
    assert browser.value(shown)[:2] == ["clean", "TV 1e-4"]
    left = "[...document.querySelectorAll('.gallery .of-1')].every((one) => !one.offsetParent)"
    assert browser.value(left)


def test_a_class_name_with_markup_is_shown_as_it_is(browser: Browser, page: Path) -> None:
    browser.show(page, width=1280)
    assert EVIL in browser.value("document.querySelector('#table1').innerText")
    assert browser.value("document.scripts.length") == 0


def test_the_page_prints(browser: Browser, page: Path) -> None:
    browser.show(page, width=1280)
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call("Emulation.setDeviceMetricsOverride", width=703, height=1000, deviceScaleFactor=1, mobile=False)
    # What is wide is scrolled on a screen; paper has nothing to scroll.
    wide = "[...document.querySelectorAll('table, img, svg')].filter((one) => one.getBoundingClientRect().right > 704)"
    assert browser.value(f"{wide}.length") == 0
    assert browser.value(CUT) == []
    assert browser.call("Page.printToPDF", printBackground=True)["data"]


def test_an_error_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<img src='none.png'><script>missing()</script><div style='width: 2000px'>wide</div>")
    browser.show(broken, width=390)
    assert reported(browser)
    assert browser.value("document.images[0].naturalWidth") == 0
    assert browser.value("document.documentElement.scrollWidth") > 2000

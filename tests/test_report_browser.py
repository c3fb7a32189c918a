"""The report in a real Chromium, opened from its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, chromium
from report_results import EVIL, write_all

from experiments import report

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
[...document.querySelectorAll("#table1 td[data-value]")].map((one) => [one.dataset.value, one.innerText.trim()])
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_all(folder)
    report.main(["--results", str(folder / "results"), "--checkpoints", str(folder / "checkpoints")])
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
    assert browser.value("document.images.length") == 24
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth")
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
    cells = browser.value(CELLS)
    assert len(cells) == 7 * len(rows)
    for row, shown in zip(rows, (cells[start : start + 7] for start in range(0, len(cells), 7)), strict=True):
        keys = ("accuracy", "paper_accuracy", "attack_success", "paper_attack_success", "target_reached")
        for key, (value, text) in zip((*keys, "l2_dissimilarity", "n"), shown, strict=True):
            assert float(value) == row[key]
            scale, digits = {"l2_dissimilarity": (1, 3), "n": (1, 0)}.get(key, (100, 1))
            assert text.split()[0] == f"{scale * row[key]:.{digits}f}"


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
    assert browser.call("Page.printToPDF", printBackground=True)["data"]


def test_an_error_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<img src='none.png'><script>missing()</script><div style='width: 2000px'>wide</div>")
    browser.show(broken, width=390)
    assert reported(browser)
    assert browser.value("document.images[0].naturalWidth") == 0
    assert browser.value("document.documentElement.scrollWidth") > 2000

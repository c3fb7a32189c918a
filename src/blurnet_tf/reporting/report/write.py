"""The report: reads the stored runs, counts every table anew from their records, and writes the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from blurnet_tf.files import read_json, write_text
from blurnet_tf.pictures import check_picture
from blurnet_tf.reporting import run_tables
from blurnet_tf.reporting.benchmark import TRIAL_NOTE, check_table, flag_sentences
from blurnet_tf.reporting.benchmark_rows import count_models
from blurnet_tf.reporting.controls import control_table
from blurnet_tf.reporting.curve import curve_table
from blurnet_tf.reporting.figures import dissimilarity_sentence
from blurnet_tf.reporting.gallery import CAPTIONS
from blurnet_tf.reporting.report.blocks import Absent, Picture, Pictures, Section, Text, png_uri, render
from blurnet_tf.reporting.report.signs import sign_blocks
from blurnet_tf.reporting.report.success import curves, heat_maps
from blurnet_tf.reporting.report.words import differences, headline, provenance
from blurnet_tf.reporting.run_tables import Counted
from blurnet_tf.reporting.verdicts import summary, verdict_table
from blurnet_tf.runs.run import FILE, StoredRun, find_run

LEAD = (
    "Traffic-sign classifiers that blur their own feature maps, under the RP2 sticker attack: what the paper reports "
    "(arXiv:1908.02256) beside what was measured here."
)
PAPERS = ("figure1", "figure2", "figure3", "figure4")
OURS = ("filters", "variants")
# What reading a damaged run raises; the last ones, because a value of another type or size may stand in its JSON.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)
RUNS: dict[str, tuple[Callable[[StoredRun], Counted[Any]], str]] = {
    "blackbox": (run_tables.table_1, "There is no transfer experiment yet: `make blackbox` runs it."),
    "whitebox": (run_tables.table_2, "There is no white-box experiment yet: `make whitebox` runs it."),
    "ablation": (run_tables.ablation_table, "There is no ablation yet: `make ablation` makes it."),
    "check": (check_table, "There is no benchmark yet: `make check` runs it."),
    "curve": (curve_table, "There is no curve by sticker area yet: `make curve` makes it."),
    "controls": (control_table, "There are no controls yet: `make controls` makes Table 3, for hours."),
    "reproduction": (run_tables.study_table, "There are no studies yet: `make reproduction` runs them, for hours."),
}  # by folder what counts the run, and what is said where there is none


def write_report(results: Path, checkpoints: Path) -> list[str]:
    """Write `results`/report.html, one page that holds all results, and return a sentence for each part that is absent.

    Nothing is trained or attacked. A run that is absent or damaged costs its section one sentence.

    Args:
        results: Folder with blackbox/, whitebox/, ablation/, reproduction/, models/ and figures/, as far as they are.
        checkpoints: Folder of the trained models, for how sure they are of the attacked signs.
    """
    sections = [_drawn(results, section) for section in _sections(results, checkpoints)]
    write_text(results / "report.html", render("BlurNet, measured", LEAD, sections))
    blocks = [(section.title, block) for section in sections for block in section.blocks]
    return [f"{title}: {block.sentence}" for title, block in blocks if isinstance(block, Absent)]


def _drawn(results: Path, section: Section) -> Section:
    """Return a section, or one with a sentence if it cannot be drawn: for a name that is no text, say."""
    try:
        render("", "", [section]).encode()
    except DAMAGED as error:
        return section._replace(blocks=[_damaged(results, error)])
    return section


def _sections(results: Path, checkpoints: Path) -> list[Section]:
    counted = (_count(results / folder, *how) for folder, how in RUNS.items())
    first, second, ablation, checked, curve, controls, studies = counted
    transfer = first if isinstance(first, Counted) else None
    white_box = second if isinstance(second, Counted) else None
    if transfer and isinstance(ablation, Counted) and _attack(ablation) != _attack(transfer):
        ablation = Absent(sentence="The ablation is of another attack than Table 1: `make ablation` makes it anew.")
    models = _own_models(results / "models")
    every = (first, second, ablation, checked, curve, controls, studies, *models)
    runs = [one for one in every if isinstance(one, Counted)]
    nothing = [one for one in (first, second) if isinstance(one, Absent)]
    facts = [block for one in runs for block in _blocks(one, provenance)]
    differing = _try(results, lambda: [Text(sentences=differences(transfer, white_box), listed=True)])
    sections: list[tuple[str, str, Sequence[Any]]] = [
        ("headline", "In short", _try(results, lambda: headline(transfer, white_box)) or nothing),
        ("table1", "Table 1: transfer", _blocks(first, attrgetter("tables"))),
        ("table2", "Table 2: white box", _blocks(second, run_tables.white_box_tables)),
        ("targets", "Success by target", _blocks(second, heat_maps)),
        ("signs", "Attacked signs", _blocks(second, lambda one: sign_blocks(one, checkpoints))),
        ("steps", "Against the steps", _blocks(second, curves)),
        (
            "figures",
            "Figures",
            _try(results / "figures", lambda: _figure_blocks(results / "figures", transfer, white_box)),
        ),
        ("ablation", "Ablation: where the blur stands", _blocks(ablation, _ablation_blocks)),
        ("check", "Every kind of attack", _blocks(checked, _check_blocks)),
        ("curve", "Success by sticker area", _blocks(curve, _curve_blocks)),
        ("controls", "Table 3: the controls", _blocks(controls, _control_blocks)),
        ("reproduction", "What moves the numbers", _blocks(studies, attrgetter("tables"))),
        ("models", "Models of your own", [block for one in models for block in _blocks(one, attrgetter("tables"))]),
        ("verdicts", "The paper, claim by claim", [Text(sentences=[summary()]), verdict_table()]),
        ("differences", "What differs from the paper", differing),
        ("provenance", "Where it comes from", facts or nothing),
    ]
    return [Section(key=key, title=title, blocks=blocks) for key, title, blocks in sections]


def _count(folder: Path, table: Callable[[StoredRun], Counted[Any]], absent: str) -> Counted[Any] | Absent:
    """Return a run and its table, counted; or why there is none."""
    try:
        stored = find_run(folder)
        return table(stored) if stored else Absent(sentence=absent)
    except DAMAGED as error:
        return _damaged(folder, error)


def _damaged(folder: Path, error: Exception) -> Absent:
    missing = f"{folder / FILE} lacks {error}." if isinstance(error, KeyError) else str(error)
    return Absent(sentence=f"{folder} cannot be shown: {missing}")


def _blocks(found: Counted[Any] | Absent, draw: Callable[[Counted[Any]], Sequence[Any]]) -> Sequence[Any]:
    """Return what is drawn of a run; or why there is nothing to draw."""
    return [found] if isinstance(found, Absent) else _try(found.stored.folder, lambda: draw(found))


def _try(folder: Path, draw: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    try:
        return draw()
    except DAMAGED as error:
        return [_damaged(folder, error)]


def _own_models(folder: Path) -> list[Counted[Any] | Absent]:
    tables: dict[str, Callable[[StoredRun], Counted[Any]]] = {
        "whitebox": run_tables.model_table,
        "blackbox": run_tables.model_table,
        "check": check_table,
        "curve": curve_table,
    }
    places = [(place / kind, table) for place in sorted(folder.glob("*")) for kind, table in tables.items()]
    none = "No model of your own was attacked: `make whitebox MODEL=...` and `make blackbox MODEL=...` do."
    found = [_count(place, table, none) for place, table in places if (place / FILE).is_file()]
    return found or [Absent(sentence=none)]


def _attack(counted: Counted[Any]) -> tuple[Any, ...]:
    """Return what two runs share that are of the same attack."""
    return counted.run.attack, counted.run.data["sha256"], counted.run.rows[0].weights_sha256


def _ablation_blocks(found: Counted[Any]) -> list[Any]:
    text = (
        "Section 3.1 of the paper says that filtering higher layers costs accuracy. Here a box blur stands after each "
        "of the three layers of the attacked model."
    )
    caption = "Accuracy and attack success against the size of the blur. Bars: 95% Wilson intervals."
    blocks: list[Any] = [Text(sentences=[text]), *found.tables]
    if (found.stored.folder / "ablation.png").is_file():
        blocks.append(Pictures(title="", pictures=[_picture("ablation", found.stored.folder, caption)], wide=True))
    return blocks


def _check_blocks(found: Counted[Any]) -> list[Any]:
    doubts = [sentence for count in count_models(found.stored) for sentence in flag_sentences(count)]
    flags = Text(sentences=doubts or ["No model raises a flag."], listed=bool(doubts))
    return [found.tables[0], flags, Text(sentences=[TRIAL_NOTE]), *found.tables[1:]]


def _curve_blocks(found: Counted[Any]) -> list[Any]:
    caption = "What falls against the area that is painted: plain white, one sticker for all signs, one for each."
    blocks: list[Any] = []
    if (found.stored.folder / "curve.png").is_file():
        blocks.append(Pictures(title="", pictures=[_picture("curve", found.stored.folder, caption)], wide=True))
    return [*blocks, *found.tables]


def _control_blocks(found: Counted[Any]) -> list[Any]:
    caption = "The strongest kernels of the first layer, and the frequencies that all of them pass."
    blocks: list[Any] = list(found.tables)
    if (found.stored.folder / "kernels.png").is_file():
        blocks.append(Pictures(title="", pictures=[_picture("kernels", found.stored.folder, caption)], wide=True))
    return blocks


def _figure_blocks(folder: Path, transfer: Counted[Any] | None, white_box: Counted[Any] | None) -> list[Any]:
    """Return the figures. Figure 4 is that of the white box, if there is one, whatever the others were drawn beside."""
    content, blocks = _read_figures(folder, transfer)
    drawn: dict[str, Picture] = {}
    for name, figure in content.get("figures", {}).items():
        if (folder / f"{name}.png").is_file():
            drawn[name] = _picture(name, folder, figure["caption"], figure["says"])
    if white_box:
        drawn.pop("figure4", None)
        if (white_box.stored.folder / "figure4.png").is_file():
            says = dissimilarity_sentence(white_box.stored.records, white_box.stored.titles)
            drawn["figure4"] = _picture("figure4", white_box.stored.folder, CAPTIONS["figure4"], says)
    if "figure4" not in drawn:
        blocks.append(Absent(sentence="Figure 4 needs white-box attacks: `make whitebox` draws it."))
    for title, names in (("Of the paper", PAPERS), ("Of our own", OURS)):
        if shown := [drawn[name] for name in names if name in drawn]:
            blocks.append(Pictures(title=title, pictures=shown))
    if content.get("left_out"):
        blocks.append(Text(sentences=[f"`make figures` left out: {sentence}" for sentence in content["left_out"]]))
    return blocks


def _read_figures(folder: Path, transfer: Counted[Any] | None) -> tuple[dict[str, Any], list[Any]]:
    """Return what figures.json says, or an empty dictionary and why there is nothing to show."""
    if not (folder / "figures.json").is_file():
        return {}, [Absent(sentence="There are no figures yet: `make figures` draws them.")]
    try:
        content: dict[str, Any] = read_json(folder / "figures.json")
        of = content["attack"], content["data_sha256"]
    except DAMAGED as error:
        return {}, [_damaged(folder, error)]
    if transfer and of != (transfer.run.attack, transfer.run.data["sha256"]):
        return {}, [Absent(sentence="The figures are of another attack than Table 1: `make figures` draws them anew.")]
    return content, []


def _picture(name: str, folder: Path, caption: str, says: str = "") -> Picture:
    number = f"Figure {PAPERS.index(name) + 1}. " if name in PAPERS else ""
    path = folder / f"{name}.png"
    if path.is_symlink():  # to any file of the reader's
        raise ValueError(f"{path} must be no link")
    data = path.read_bytes()
    check_picture(data, str(path))
    uri = png_uri(data)
    return Picture(uri=uri, alt=caption, caption=number + caption, says=says)

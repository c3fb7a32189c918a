"""Cells, bars and Markdown; `test_run_tables` has the files."""

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.reporting.rows import Share
from blurnet_tf.reporting.tables import Cell, Table, number_cell, share_cell

SHARE = Share.of(Rate(9, 10))


def test_a_cell_has_its_text_and_the_very_number() -> None:
    cell = share_cell(SHARE, 0.25)
    assert (cell.text, cell.value) == ("90.0 [59.6, 98.2]", 0.9)
    assert cell.bar == {
        name: round(6 + 108 * share, 1)
        for name, share in {"share": 0.9, "low": SHARE.low, "high": SHARE.high, "paper": 0.25}.items()
    }
    assert (number_cell(1 / 3).text, number_cell(1 / 3, scale=1, digits=3).text) == ("33.3", "0.333")
    assert (share_cell(None).value, number_cell(None).words, Cell("yes").words) == (None, False, True)


def test_a_bar_stands_where_its_numbers_are() -> None:
    assert share_cell(Share(0.5, 0.0, 1.0, 4)).bar == {"share": 60.0, "low": 6.0, "high": 114.0}
    assert share_cell(Share(0.5, 0.25, 0.75, 4), 0.0).bar == {"share": 60.0, "low": 33.0, "high": 87.0, "paper": 6.0}


def test_the_markdown_is_a_table_of_equal_columns_with_a_dash_for_none() -> None:
    rows = [(Cell("one"), share_cell(SHARE)), (Cell("another"), share_cell(None))]
    table = Table(caption="A caption", header=("", "share"), rows=rows, notes=["A note.", "And another."])
    assert table.markdown == (
        "A caption\n\n"
        "|         |             share |\n"
        "|---------|------------------:|\n"
        "| one     | 90.0 [59.6, 98.2] |\n"
        "| another |                 - |\n\n"
        "A note. And another."
    )


def test_no_caption_and_no_notes_leave_no_gap() -> None:
    assert Table(caption="", header=("a",), rows=[(Cell("b"),)]).markdown == "| a |\n|---|\n| b |"

"""The headline: the numbers that a reader looks for first, each beside the paper's."""

from __future__ import annotations

from typing import Any

from blurnet_tf.reporting.report.blocks import Card, Cards, Text
from blurnet_tf.reporting.report.stored import Transfer, WhiteBox


def headline(transfer: Transfer | None, white_box: WhiteBox | None) -> list[Any]:
    """Return the cards, and for each experiment whether it is the paper's."""
    cards, sentences = [], []
    if transfer:
        cards += _transfer_cards(transfer)
        sentences.append(_said("Table 1", transfer.provenance))
    if white_box:
        cards += _white_box_cards(white_box)
        sentences.append(_said("Table 2", white_box.run))
    return [Cards(cards=cards), Text(sentences=sentences)] if cards else []


def _transfer_cards(transfer: Transfer) -> list[Card]:
    first, last = transfer.rows[0], transfer.rows[-1]
    inside = sum(
        row["attack_success_low"] <= row["paper_attack_success"] <= row["attack_success_high"] for row in transfer.rows
    )
    return [
        Card(
            label=f"Transfer: attack success on {first['title']}, then behind “{last['title']}”",
            number=f"{_share(first['attack_success'])} → {_share(last['attack_success'])}",
            beside=f"paper {_share(first['paper_attack_success'])} → {_share(last['paper_attack_success'])}",
        ),
        Card(
            label="Rows of Table 1 whose interval of the success holds the paper's",
            number=f"{inside} of {len(transfer.rows)}",
            beside="arXiv:1908.02256v1",
        ),
    ]


def _white_box_cards(white_box: WhiteBox) -> list[Card]:
    cards = []
    paper = [row for row in white_box.rows if row["paper_average_success"] is not None]
    baseline = next((row for row in paper if row["row"] == "baseline"), None)
    if baseline:
        cards.append(
            Card(
                label="White box: undefended, average and worst success",
                number=f"{_share(baseline['average_success'])} / {_share(baseline['worst_success'])}",
                beside=f"paper {_share(baseline['paper_average_success'])} / {_share(baseline['paper_worst_success'])}",
            )
        )
    if len(paper) > 1:
        best = min(paper, key=lambda row: row["average_success"])
        papers = min(paper, key=lambda row: row["paper_average_success"])
        cards.append(
            Card(
                label=f"White box: lowest average success, {best['title']}",
                number=_share(best["average_success"]),
                beside=f"paper's lowest of these: {papers['title']}, {_share(papers['paper_average_success'])}",
            )
        )
    if paper:
        inside = sum(
            row["average_success_low"] <= row["paper_average_success"] <= row["average_success_high"] for row in paper
        )
        outside = [
            row["title"]
            for row in paper
            if not row["average_success_low"] <= row["paper_average_success"] <= row["average_success_high"]
        ]
        cards.append(
            Card(
                label="Rows of Table 2 whose interval of the average holds the paper's",
                number=f"{inside} of {len(paper)}",
                beside=f"outside: {', '.join(outside)}" if outside else "all of them",
            )
        )
    return cards


def _said(table: str, run: Any) -> str:
    if run.get("papers_protocol"):
        return f"{table} follows the paper's protocol, as far as the paper states it."
    return f"{table} does not follow the paper's protocol: its figures are for orientation. What differs stands below."


def _share(share: float) -> str:
    return f"{100 * share:.1f}%"

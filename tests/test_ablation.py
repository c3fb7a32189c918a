"""The blur after each layer: table, figure, program."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from blurnet_tf.evaluation.metrics import Rate, wilson
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.ablation import ablation_figure, ablation_markdown, ablation_table
from experiments import ablation, blackbox
from tests.examples import RECORD

PLACES = {"baseline": (0, 0), "blur": (2, 3)}


def record(victim: str, clean: int, attacked: int, number: int) -> Record:
    named = {"image": f"{number}.png", "victim": victim}
    return dataclasses.replace(RECORD, **named, clean_prediction=clean, adversarial_prediction=attacked)


RECORDS = [record("baseline", 14, 12 if number < 3 else 14, number) for number in range(4)]
RECORDS += [record("blur", 3 if number == 0 else 14, 3 if number == 0 else 14, number) for number in range(4)]
LEGITIMATE = {"baseline": Rate(9, 10), "blur": Rate(2, 10)}


def test_the_rows_are_counted_from_the_records() -> None:
    plain, blurred = ablation_table(RECORDS, LEGITIMATE, PLACES)
    assert (plain["row"], plain["layer"], plain["size"]) == ("baseline", 0, 0)
    assert (blurred["row"], blurred["layer"], blurred["size"]) == ("blur", 2, 3)
    assert [plain[key] for key in ("legitimate_accuracy", "victim_accuracy", "attack_success")] == [0.9, 1.0, 0.75]
    assert [blurred[key] for key in ("legitimate_accuracy", "victim_accuracy", "attack_success")] == [0.2, 0.75, 0.25]
    assert (plain["attack_success_low"], plain["attack_success_high"]) == wilson(0.75, 4)
    assert (plain["n_test"], plain["n"]) == (10, 4)


def test_a_model_without_records_is_named() -> None:
    sentence = "The ablation needs records of the model 'blur'. Received: none"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        ablation_table(RECORDS[:4], LEGITIMATE, PLACES)


def test_the_markdown_says_where_the_blur_is() -> None:
    text = ablation_markdown(ablation_table(RECORDS, LEGITIMATE, PLACES), "Caption")
    assert text.startswith("Caption\n\n| blur ")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:6]]
    assert lines[0] == ["blur", "test split", "n", "attacked signs", "attack success", "n"]
    assert [line[0] for line in lines[2:]] == ["none", "3x3 after layer 2"]
    assert [line[2] for line in lines[2:]] == ["10", "10"]
    assert lines[3][1].startswith("20.0 [")


def test_the_figure_has_a_line_for_each_layer_that_starts_without_a_blur() -> None:
    places = {"baseline": (0, 0)} | {f"{layer}-{size}": (layer, size) for layer in (1, 2, 3) for size in (3, 5, 7)}
    records = [record(name, 14, 12, 0) for name in places]
    figure = ablation_figure(ablation_table(records, dict.fromkeys(places, Rate(5, 10)), places))
    assert [axis.get_title() for axis in figure.axes] == [
        "accuracy, test split",
        "accuracy, clean signs",
        "attack success",
    ]
    for axis, share in zip(figure.axes, (50, 100, 100), strict=True):
        assert len(axis.containers) == 3
        for container in axis.containers:
            assert container[0].get_ydata().tolist() == pytest.approx([share] * 4)
            assert len(container[0].get_xdata()) == 4


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask")
def test_the_blur_after_the_first_layer_is_that_of_table_1(
    rp2_folder: Path, lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    attacked = tmp_path / "blackbox"
    blackbox.main(["--data", "rp2", "--steps", "3", "--results", str(attacked)])
    ablation.main(["--attacked", str(attacked), "--results", str(tmp_path)])
    rows = {row["row"]: row for row in json.loads((tmp_path / "ablation.json").read_text())}
    assert len(rows) == 10
    # Of clean signs: the accuracies that Table 1 has for the same blur, one image of 40 below the paper.
    assert rows["baseline"]["victim_accuracy"] == 1.0
    assert rows["blur_3x3_after_1"]["victim_accuracy"] == 0.975
    assert rows["blur_5x5_after_1"]["victim_accuracy"] == 0.85
    assert rows["baseline"]["n_test"] > 1000
    assert rows["blur_5x5_after_2"]["legitimate_accuracy"] < rows["blur_5x5_after_1"]["legitimate_accuracy"]
    assert (tmp_path / "ablation.png").exists()

    run = json.loads((attacked / "provenance.json").read_text())
    run["baseline"]["weights_sha256"] = "0"
    (attacked / "provenance.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match=r"Run `make blackbox` again\.$"):
        ablation.main(["--attacked", str(attacked), "--results", str(tmp_path)])

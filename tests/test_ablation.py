"""The ablation as a user runs it, on the real data."""

import json
from pathlib import Path

import pytest

from experiments import ablation


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask")
def test_the_blur_after_the_first_layer_is_that_of_table_1(
    rp2_folder: Path, lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    ablation.main(["--data", "rp2", "--steps", "3", "--results", str(tmp_path)])
    rows = {row["row"]: row for row in json.loads((tmp_path / "ablation.json").read_text())}
    assert len(rows) == 10
    # Of clean signs: the accuracies that Table 1 has for the same blur, one image of 40 below the paper.
    assert rows["baseline"]["victim_accuracy"] == 1.0
    assert rows["blur_3x3_after_1"]["victim_accuracy"] == 0.975
    assert rows["blur_5x5_after_1"]["victim_accuracy"] == 0.85
    assert rows["baseline"]["n_test"] > 1000
    assert rows["blur_5x5_after_2"]["legitimate_accuracy"] < rows["blur_5x5_after_1"]["legitimate_accuracy"]
    assert (tmp_path / "ablation.png").exists()

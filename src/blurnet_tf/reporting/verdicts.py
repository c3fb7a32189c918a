"""The verdict on each claim of the paper: docs/verdicts.md, and a section of the report page.

The figures are of runs of the commands beside them, on the data and machines that `INTRODUCTION` names. They are facts
of those runs, not of what a report is about: change them with a run that says otherwise, then `make assets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blurnet_tf.reporting.tables import Cell, Column, Table, columns_table

REPRODUCED, PARTLY, NOT, UNTESTABLE = "reproduced", "partly", "not reproduced", "not testable"
SURE, FAIRLY, UNSURE = "sure", "fairly sure", "not sure"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim of arXiv:1908.02256v1, where it stands, what became of it, the run that says so, and what we believe."""

    where: str
    claim: str
    verdict: str
    measured: str
    command: str
    belief: str
    sure: str

    @property
    def run(self) -> str:
        """The command as text with code in it."""
        return f"`{self.command}`"

    @property
    def judgement(self) -> str:
        """What we believe, and how sure we are."""
        return f"{self.belief} ({self.sure})"


INTRODUCTION = (
    "Every claim of the paper (arXiv:1908.02256v1), what became of it here, the figures, and the command that makes "
    "them. Measured on LISA, split by tracks, and on RP2's 40 photographs of stop signs with the sticker mask of its "
    "authors (30 of 1024 pixels): one sign is 2.5 points. Models are trained with `PRESET=quick`, 24 epochs, where "
    "nothing else is said, on two cores of an AMD EPYC or of an Intel Xeon; the same training on the other one differs "
    "by a few signs. Success is the share of predictions that change."
)

VERDICTS: tuple[Verdict, ...] = (
    Verdict(
        where="Abstract",
        claim="RP2 reaches high targeted misclassification on a standard traffic-sign classifier.",
        verdict=REPRODUCED,
        measured=(
            "RP2's released weights: 90.0% of the signs are taken for speedLimit45, 97.5% fall to one of 17 targets. "
            "A LISA-CNN trained here: 77.5%."
        ),
        command="make check DATA=lisa",
        belief="Against an undefended model so few pixels suffice. How many signs fall hangs on the training.",
        sure=SURE,
    ),
    Verdict(
        where="Section 1",
        claim="The attack is 100% successful in misclassifying stop signs.",
        verdict=PARTLY,
        measured=(
            "97.5% of the signs with RP2's released weights, by one of 17 targets; 100% where the stickers may lie "
            "anywhere on the sign (the mask search of `SUITE=full`, baseline)."
        ),
        command="make check DATA=lisa SUITE=full",
        belief="The figure is RP2's, of printed stickers and other photographs. On these images it is nearly so.",
        sure=FAIRLY,
    ),
    Verdict(
        where="Section 2.2.2",
        claim="Adversarial examples transfer to models that the attacker does not know.",
        verdict=REPRODUCED,
        measured=(
            "Stickers made on one model break of another: baseline to TV 1e-4 75.0%, released weights to baseline "
            "47.5% (own stickers 77.5%); baseline to 5x5 filter 35.0% (own: 50.0%)."
        ),
        command="make check DATA=lisa",
        belief="They do, behind the learned filters too.",
        sure=SURE,
    ),
    Verdict(
        where="Section 2.2.3",
        claim="The mask of the stickers was made by hand; generating it is left for future work.",
        verdict=UNTESTABLE,
        measured=(
            "`MaskSearch` finds 30 pixels on the sign that break 100% of the baseline's predictions, where the "
            "authors' mask allows 77.5%."
        ),
        command="make check DATA=lisa SUITE=full VARIANT=baseline",
        belief="The authors' mask is far from the worst one. A defence that is judged in it alone is judged gently.",
        sure=SURE,
    ),
    Verdict(
        where="Figure 1",
        claim="The spectrum of the image does not show where the stickers' frequencies lie.",
        verdict=REPRODUCED,
        measured="Beyond 0.25 cycles a pixel lie 25.7% of the clean signs' energy and 27.3% of the attacked signs'.",
        command="make figures DATA=rp2",
        belief="So it is.",
        sure=SURE,
    ),
    Verdict(
        where="Abstract, section 6",
        claim="The attack adds high-frequency noise, which shows in the first layer's maps.",
        verdict=PARTLY,
        measured=(
            "Beyond 0.25 cycles a pixel lie 32.7% of what it adds to the image (the sign: 25.7%), but 24.4% of what "
            "it adds to the maps (clean maps: 28.0%). 64% lie between 0.125 and 0.25 (clean: 33%)."
        ),
        command="make figures DATA=rp2",
        belief="In the maps it adds middle frequencies, and no more of the highest ones than a sign has by itself.",
        sure=SURE,
    ),
    Verdict(
        where="Section 3",
        claim="The stickers make spikes in the first layer's maps, which a 5x5 blur makes substantially smaller.",
        verdict=REPRODUCED,
        measured="The blur leaves 10.6% of the energy that the attack adds, and 47.5% of the clean maps'.",
        command="make figures DATA=rp2",
        belief="This is why a blur helps: it costs the sticker more than the sign.",
        sure=SURE,
    ),
    Verdict(
        where="Figure 2",
        claim="Behind the blur most of the high-frequency artifacts are gone.",
        verdict=REPRODUCED,
        measured="Of the energy beyond 0.25 cycles a pixel 1.4% is left; its share falls from 24.4% to 3.2%.",
        command="make figures DATA=rp2",
        belief="So it is: a box does that to anything.",
        sure=SURE,
    ),
    Verdict(
        where="Section 3",
        claim="The low-frequency part of what the attack adds matters much less than the spikes.",
        verdict=PARTLY,
        measured=(
            "Below 0.125 cycles a pixel lie 11.9% of what it adds to the maps, and 57.7% of what the blur leaves. A "
            "sticker of low frequencies alone breaks 57.5% of the baseline's signs (any sticker: 77.5%), 37.5% "
            "(50.0) behind the 5x5 and 22.5% (25.0) behind the 7x7 filter."
        ),
        command="make figures DATA=rp2; make check DATA=lisa",
        belief="Without a filter it matters less. Behind a wide filter it is most of what gets through.",
        sure=FAIRLY,
    ),
    Verdict(
        where="Section 3.1",
        claim="Filtering after higher layers costs classification accuracy.",
        verdict=PARTLY,
        measured=(
            "Released weights, LISA test images, 90.2% without a filter: a 3x3 box after layer 1, 2, 3 leaves 80.4, "
            "20.2, 57.3%; a 5x5 box 46.0, 2.1, 58.4%."
        ),
        command="make ablation DATA=rp2",
        belief=(
            "After layer 2 it ruins the model. After layer 3, where maps are 2x2, the 5x5 costs less than after "
            "layer 1."
        ),
        sure=SURE,
    ),
    Verdict(
        where="Figure 3",
        claim="In the second layer's maps high frequencies are nearly as strong as low ones.",
        verdict=REPRODUCED,
        measured=(
            "48.3% of their energy lies beyond 0.25 cycles a pixel (if all were alike: 77.1%), of the first layer's "
            "28.0% (81.2%)."
        ),
        command="make figures DATA=rp2",
        belief="They are much flatter than the first layer's, if not flat.",
        sure=SURE,
    ),
    Verdict(
        where="Table 1",
        claim="Attack success by transfer: 90, 87.5, 67.5, 65 and 17.5%.",
        verdict=REPRODUCED,
        measured=(
            "90.0, 85.0, 65.0, 62.5 and 17.5%; accuracies 100, 100, 97.5, 97.5, 85.0% (paper 100, 100, 100, 100, "
            "87.5). Seeds 0, 1 and 2 alike."
        ),
        command="make blackbox DATA=rp2",
        belief=(
            "The paper attacked RP2's released weights, and its blur is the normalised box: each cell is within one "
            "sign."
        ),
        sure=SURE,
    ),
    Verdict(
        where="Section 3.2",
        claim="Blurring the image costs little accuracy and helps little; blurring the maps helps, and costs accuracy.",
        verdict=REPRODUCED,
        measured=(
            "Success behind a 5x5 box: 65.0% before the image, 17.5% on the maps. Of the 40 stop signs 85.0% are "
            "still known then, but 46.0% of all LISA test images (90.2% without)."
        ),
        command="make blackbox DATA=rp2; make ablation DATA=rp2",
        belief="True, and the price is higher than stop signs show. The attacker did not know the filter.",
        sure=SURE,
    ),
    Verdict(
        where="Section 4",
        claim="A fixed filter makes predictions less confident.",
        verdict=REPRODUCED,
        measured=(
            "Probability of the predicted class, clean stop signs: 81.5% without, 68.0% and 33.5% behind the 3x3 and "
            "5x5 box on the maps, 80.4% and 75.6% behind the boxes before the image."
        ),
        command="make blackbox DATA=rp2",
        belief="So it is, for a model that was not trained behind it.",
        sure=SURE,
    ),
    Verdict(
        where="Section 4, Eq. 3",
        claim="The L-infinity penalty makes the weights of a kernel alike, like a low-pass filter.",
        verdict=NOT,
        measured=(
            "7x7, started at random: the kernels' sums are 6 to 8% of the sums of their magnitudes (a box: 100%), "
            "average success 50.9%, worst 95.0%. Started as a box with the penalty 16.6 and 20.0%, without it 7.4 "
            "and 20.0%."
        ),
        command='make reproduction RUN="depthwise_7x7 depthwise_7x7__random-start depthwise_7x7__alpha-0"',
        belief="The penalty empties filters. What defends is the box that they start from.",
        sure=SURE,
    ),
    Verdict(
        where="Section 4, Eq. 5",
        claim="The total-variation loss makes the maps smooth and the first layer low-pass.",
        verdict=NOT,
        measured=(
            "TV over the size of the maps, baseline 0.628: 0.636 at 1e-4, 0.771 at 0.01, 0.268 at 0.1, where average "
            "success rises from 41.6 to 66.0%. After 2000 epochs at 1e-4: 1.440 (baseline 0.836)."
        ),
        command='make reproduction RUN="baseline tv_1e-4 tv_1e-4__alpha-0.01 tv_1e-4__alpha-0.1"',
        belief=(
            "A small weight shrinks the maps without making them smooth. A large one makes them smooth, and easier "
            "to attack."
        ),
        sure=SURE,
    ),
    Verdict(
        where="Table 2",
        claim="Baseline: 49.2% average, 90% worst success.",
        verdict=PARTLY,
        measured=(
            "35.6 to 41.6 and 70.0 to 87.5% over three training seeds; 39.6 and 92.5% after 2000 epochs; 52.2 and "
            "92.5% for RP2's released weights."
        ),
        command=(
            'make reproduction RUN="baseline baseline__seed-1 baseline__seed-2 baseline__constant-2000 rp2_release"'
        ),
        belief="The paper's baseline is RP2's released model: 91% is its accuracy in RP2's own words, here 90.2%.",
        sure=FAIRLY,
    ),
    Verdict(
        where="Table 2",
        claim="Learned filters of 3x3, 5x5, 7x7: 30.0, 24.1, 11.6% average success; the wider, the safer.",
        verdict=REPRODUCED,
        measured=(
            "25.1, 21.6, 16.6%; on another machine 29.1, 26.9, 19.0%. Worst 55.0, 35.0, 20.0% (paper 55, 47.5, 30)."
        ),
        command="make whitebox DATA=lisa",
        belief=(
            "True in this mask, of filters that start as boxes. With 48 painted pixels a sticker for each sign "
            "breaks 75% behind the 7x7, and with 96 all of them."
        ),
        sure=SURE,
    ),
    Verdict(
        where="Table 2",
        claim="TV 1e-4 and 1e-5: 7.9 and 8.5% average success.",
        verdict=NOT,
        measured="34.4 to 42.5% over three training seeds at 1e-4, 43.4% at 1e-5; 43.8% at 1e-4 after 2000 epochs.",
        command='make reproduction RUN="tv_1e-4 tv_1e-4__seed-1 tv_1e-4__seed-2 tv_1e-4__constant-2000"',
        belief=(
            "Eq. 5 as printed does not defend. What the paper ran instead is not known. The same penalty on the first "
            "layer's kernels, which fits its words on weights, comes nearest: a sticker for each breaks 57.5 to 22.5% "
            "for alpha 1e-3 to 1, at 96.1 to 90.9% accuracy (one training each; baseline 77.5%, TV 1e-4 80.0%)."
        ),
        sure=SURE,
    ),
    Verdict(
        where="Table 2",
        claim="Defended models have 82 to 87% legitimate accuracy, the baseline 91%.",
        verdict=NOT,
        measured="Learned filters 92.7 to 94.7%, TV 96.5 and 97.0%, baseline 96.1%.",
        command="make whitebox DATA=lisa",
        belief=(
            "The paper's defended rows come from another training than its baseline: a split, rate or length that it "
            "does not name."
        ),
        sure=FAIRLY,
    ),
    Verdict(
        where="Section 1",
        claim="In the white box the method reduces success from 90% to 17.5%.",
        verdict=NOT,
        measured="The row that is meant, TV 1e-4: 80.0% (baseline 70.0%). The 7x7 filter: 20.0%.",
        command="make whitebox DATA=lisa",
        belief="The learned filter does in this mask what is said of the total variation.",
        sure=SURE,
    ),
    Verdict(
        where="Section 4",
        claim="Success is most sensitive to the target.",
        verdict=REPRODUCED,
        measured="Baseline: from 17.5 to 72.5% over 17 targets, standard deviation 15.5 points.",
        command="make whitebox DATA=lisa",
        belief="So it is. An attack without a target finds the same signs in one run.",
        sure=SURE,
    ),
    Verdict(
        where="Section 4",
        claim="Success is relatively invariant to lambda.",
        verdict=REPRODUCED,
        measured="Baseline: 37.5, 41.6 and 38.8% on average with 0, 0.002 and 0.2.",
        command='make reproduction RUN="baseline baseline__lambda-0 baseline__lambda-0.2"',
        belief=(
            "The norm is small beside the cross-entropy. To TV 1e-4 after 2000 epochs it matters more: 40.3 to 56.6%."
        ),
        sure=SURE,
    ),
    Verdict(
        where="Section 4, Figure 4",
        claim="TV varies less over the targets than the learned filters.",
        verdict=NOT,
        measured=(
            "Standard deviation of success over 17 targets, points: baseline 15.5; 3x3, 5x5, 7x7 9.8, 11.6, 2.6; TV "
            "1e-4 and 1e-5 15.6 and 14.1."
        ),
        command="make whitebox DATA=lisa",
        belief="The 7x7 varies least, since white paint does to it what the attack does.",
        sure=SURE,
    ),
    Verdict(
        where="Table 2",
        claim="L2 dissimilarities of 0.189 to 0.224.",
        verdict=PARTLY,
        measured="0.252 to 0.261; with a non-printability score, as Eq. 2 has it, 0.217 and 0.223.",
        command='make reproduction RUN="baseline baseline__nps-original baseline__nps-corrected"',
        belief="The paper's attack may have had the score, or may have taken one norm over all images.",
        sure=UNSURE,
    ),
    Verdict(
        where="Section 4",
        claim="The white box shows whether an attack can get around the filter with low frequencies.",
        verdict=PARTLY,
        measured=(
            "Attacks that know the filter and ask for smooth maps, or for low frequencies alone, break no more than "
            "one without such a wish: 50.0 and 37.5% behind the 5x5 (50.0%), 25.0 and 22.5% behind the 7x7 (25.0%)."
        ),
        command="make check DATA=lisa",
        belief="Plain RP2 knows the filter well enough. More pixels get around it, not other frequencies.",
        sure=SURE,
    ),
    Verdict(
        where="Section 6",
        claim="Learned filters recover the accuracy that a fixed one costs, and stay robust.",
        verdict=REPRODUCED,
        measured=(
            "92.7 to 94.7% on LISA's test images, 46.0% behind a fixed 5x5 box put into trained weights, 84.2% where "
            "the rest is trained behind a fixed 7x7 box."
        ),
        command="make whitebox DATA=lisa; make reproduction RUN=depthwise_7x7__fixed-box",
        belief="True of accuracy; of robustness in this mask.",
        sure=SURE,
    ),
    Verdict(
        where="Section 5",
        claim="The method can be paired with adversarial training and its like.",
        verdict=PARTLY,
        measured=(
            "A sticker for each breaks 12.5% with sticker training alone (accuracy 96.9%), 0.0% with the 3x3 filter "
            "too (97.3%), 12.5% with the 5x5 (94.7%); with adversarial training 12.5% (96.3%), with the 5x5 too 0.0% "
            "(93.5%). On LISA's stop signs the filters change 66.8% to 69.0 and 62.6%, and 60.2% to 50.5%."
        ),
        command="make controls DATA=lisa TRAIN_SEEDS=0",
        belief="It can, but most of the robustness is the training's, and from 5x5 on the filter costs accuracy.",
        sure=UNSURE,
    ),
    Verdict(
        where="Section 5",
        claim="Other defences fail because they only hide gradients; this one changes the network.",
        verdict=REPRODUCED,
        measured=(
            "None of the six models raises a flag. Attacks without gradients break 75.0% of the baseline and 22.5% "
            "behind the 7x7, never more than those with them; attacks on other models neither."
        ),
        command="make check DATA=lisa",
        belief="BlurNet hides no gradients. Its figures are honest for this mask.",
        sure=SURE,
    ),
)


def verdict_table(verdicts: Sequence[Verdict] = VERDICTS) -> Table:
    """Return the verdicts as a table of the report page."""
    columns: list[Column] = [
        ("where", Cell, "where"), ("the paper's claim", _words, "claim"), ("verdict", Cell, "verdict"),
        ("measured", _words, "measured"), ("command", _words, "run"), ("we believe", _words, "judgement"),
    ]  # fmt: skip
    return columns_table("The claims of the paper", verdicts, columns, [INTRODUCTION])


def summary() -> str:
    """Return how many claims have which verdict, as a sentence."""
    counts = {name: sum(one.verdict == name for one in VERDICTS) for name in (REPRODUCED, PARTLY, NOT, UNTESTABLE)}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return f"Of {len(VERDICTS)} claims: {', '.join(parts)}."


def page() -> str:
    """Return docs/verdicts.md, which `make assets` writes."""
    header = ("the paper's claim", "measured, and by which command", "we believe")
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for one in VERDICTS:
        cells = (
            f"{one.where}: {one.claim} **{one.verdict.capitalize()}.**",
            f"{one.measured} {one.run}",
            one.judgement,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n\n".join(["# The paper, claim by claim", INTRODUCTION, summary(), "\n".join(lines)]) + "\n"


def _words(text: str) -> Cell:
    return Cell(text, left=True)

"""What several tests begin with."""

from blurnet_tf.evaluation.records import Record

RECORD = Record(
    image="1.png",
    label=14,
    source="baseline",
    victim="baseline",
    attack="RP2",
    attack_digest="0123456789ab",
    target=12,
    penalty=0.002,
    seed=0,
    clean_prediction=14,
    adversarial_prediction=14,
    dissimilarity=0.25,
)
"""One whose prediction the attack did not move; `dataclasses.replace` makes others of it."""

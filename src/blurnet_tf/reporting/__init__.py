"""From records to tables and pictures. The only place that loads matplotlib."""

from blurnet_tf.reporting.card_rows import attack_paragraph
from blurnet_tf.reporting.figures import adversarial_figure, perturbation_figure
from blurnet_tf.reporting.gallery import draw_figures
from blurnet_tf.reporting.report import write_report
from blurnet_tf.reporting.spectra_figures import blur_sentence, map_spectra_figure
from blurnet_tf.reporting.style import save_figure
from blurnet_tf.reporting.write import write_tables

__all__ = [
    "adversarial_figure", "attack_paragraph", "blur_sentence", "draw_figures", "map_spectra_figure",
    "perturbation_figure", "save_figure", "write_report", "write_tables",
]  # fmt: skip

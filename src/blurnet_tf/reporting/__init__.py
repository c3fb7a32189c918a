"""From records to tables and pictures. The only place that loads matplotlib."""

from blurnet_tf.reporting.card_rows import attack_paragraph
from blurnet_tf.reporting.gallery import draw_figures
from blurnet_tf.reporting.report import write_report
from blurnet_tf.reporting.write import write_tables

__all__ = ["attack_paragraph", "draw_figures", "write_report", "write_tables"]

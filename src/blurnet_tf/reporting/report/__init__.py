"""The report: one page that holds all results, drawn from what the experiments stored."""

from blurnet_tf.reporting.report.blocks import render
from blurnet_tf.reporting.report.write import write_report

__all__ = ["render", "write_report"]

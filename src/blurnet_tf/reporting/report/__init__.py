"""The report: one page that holds all results, drawn from what the experiments stored."""

from blurnet_tf.reporting.report.page import render

__all__ = ["render"]

"""The numbers that the paper reports, arXiv:1908.02256v1. Shares, not per cent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """A row of Table 2, or the difference of two; `None` where there is no such number."""

    legitimate_accuracy: float | None
    average_success: float | None
    worst_success: float | None
    l2_dissimilarity: float | None


NO_FIGURES = Figures(None, None, None, None)

# Accuracy and attack success of the rows of Table 1.
PAPER_TABLE_1: dict[str, tuple[float, float]] = {
    "baseline": (1.0, 0.9), "input_3x3": (1.0, 0.875), "input_5x5": (1.0, 0.675),
    "feature_3x3": (1.0, 0.65), "feature_5x5": (0.875, 0.175),
}  # fmt: skip
PAPER_TABLE_2: dict[str, Figures] = {
    "baseline": Figures(0.91, 0.4918, 0.9, 0.207),
    "depthwise_3x3": Figures(0.863, 0.3, 0.55, 0.201),
    "depthwise_5x5": Figures(0.863, 0.2411, 0.475, 0.189),
    "depthwise_7x7": Figures(0.87, 0.1161, 0.3, 0.203),
    "tv_1e-4": Figures(0.856, 0.0792, 0.175, 0.224),
    "tv_1e-5": Figures(0.823, 0.0847, 0.3, 0.199),
}

"""What the figures of a run mean: leaderboard, verdict, plots, drawing, page."""

from __future__ import annotations

from nasrec_nni.analysis.drawing import draw as draw_architecture
from nasrec_nni.analysis.leaderboard import Result, Standing, standings
from nasrec_nni.analysis.report import ReportContent, render_report

__all__ = ["ReportContent", "Result", "Standing", "draw_architecture", "render_report", "standings"]

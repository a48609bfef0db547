"""NNI runs the search: trials, web UI, several workers. State is the run folder's, never NNI's.

tuner (in NNI's dispatcher) ── batch ──► trial: supervisor ── one candidate at a time ──► child: scores
  owns candidates.jsonl     ◄─ records ─┘    time, memory, crashes      supernet and data loaded once
"""

from __future__ import annotations

"""`budget.json` of a run: how the time was divided, what was decided from measured speed, what was used."""

from __future__ import annotations

import shutil
from typing import Any

from nasrec_nni.durations import shown
from nasrec_nni.files import fingerprint, read_json, write_json
from nasrec_nni.pipeline import staleness
from nasrec_nni.run_folder import RunFolder


class Ledger:
    """Decisions are written down before the stage that they are for begins, so that a resumed run repeats them.

    Args:
        folder: of the run.

    Attributes:
        content: seconds, split, decisions per stage, notes, overhead (seconds outside of the stages), factor.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        empty: dict[str, Any] = {"seconds": None, "split": None, "decisions": {}, "notes": [], "overhead": 0.0}
        self.content: dict[str, Any] = empty | (read_json(folder.budget) if folder.budget.exists() else {})

    def decision(self, stage: str, key: dict[str, Any]) -> dict[str, Any] | None:
        """What was decided for a stage when the config asked for the same as now; None if nothing was."""
        found: dict[str, Any] | None = self.content["decisions"].get(stage)
        return found if found is not None and found["asked"] == fingerprint(key) else None

    def decide(self, stage: str, key: dict[str, Any], decision: dict[str, Any]) -> None:
        self.content["decisions"][stage] = {"asked": fingerprint(key)} | decision
        self.write()

    def note(self, text: str) -> None:
        """Something that the clock has ended early."""
        if text not in self.content["notes"]:
            self.content["notes"].append(text)
            self.write()

    def staged(self) -> dict[str, float]:
        """Seconds of each stage, all its sessions together."""
        found = {name: staleness.read_record(self.folder, name) for name in staleness.STAGES}
        return {name: record.get("seconds", 0.0) for name, record in found.items() if record is not None}

    def write(self) -> None:
        write_json(self.folder.budget, self.content)

    def sweep(self) -> None:
        """Remove what a killed measurement has left."""
        for place in self.folder.path.glob(".pace-*"):
            shutil.rmtree(place, ignore_errors=True)


def told(folder: RunFolder) -> list[str]:
    """What a reader must know of the time budget, in sentences; none if there was none."""
    if not folder.budget.exists():
        return []
    ledger = Ledger(folder)
    content = ledger.content
    used = ", ".join(f"{name} {shown(seconds)}" for name, seconds in ledger.staged().items())
    cuts = [f"{stage}: {', '.join(one['cut'])}" for stage, one in content["decisions"].items() if one["cut"]]
    found = [f"The run had a time budget of {shown(content['seconds'])}. Used: {used}."]
    if cuts:
        found.append(f"To keep to it, this was cut ({'; '.join(cuts)}).")
    return [*found, *content["notes"]]

"""Every built-in plug-in through the suites that `nasrec_nni.testing` gives to authors. New ones join by themselves.

ONNX of searched networks and of all hand-made models is tested beside the export; here one operator is enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasrec_nni.data.sources import avazu
from nasrec_nni.plugins import OWN, registry
from nasrec_nni.testing import (
    baseline_conformance,
    merger_conformance,
    objective_conformance,
    one_shot_conformance,
    operator_conformance,
    search_conformance,
    search_space_conformance,
    source_conformance,
)

ROWS = 120


def ours(group: str) -> list[str]:
    return [plugin.name for plugin in registry(group).list() if plugin.package == OWN]


def criteo_log(folder: Path) -> list[Path]:
    path = folder / "train.txt"
    rows = [["01"[row % 4 == 0], *[str(row - 2)] * 12, "", *["ab"] * 25, f"{row % 7:08x}"] for row in range(ROWS)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return [path]


def avazu_log(folder: Path) -> list[Path]:
    path, names = folder / "train.csv", ["id", "click", *list(avazu.ROWS)[1:]]
    values = {"id": "1000{}", "click": "{}", "hour": "141021{:02d}"}
    lines = [",".join(values.get(name, "a{}").format(row % (24 if name == "hour" else 2)) for name in names)
             for row in range(ROWS)]  # fmt: skip
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    return [path]


def kdd12_log(folder: Path) -> list[Path]:
    profile = [f"{user}\t{1 + user % 2}\t{user % 6}" for user in range(1, 9)]
    (folder / "userid_profile.txt").write_text("\n".join(profile) + "\n")
    lines = [f"{row % 3}\t5\t{100 + row % 9}\t{row % 5}\t{row % 4}\t3\t1\t{row % 11}\t8\t9\t10\t{row % 10}"
             for row in range(ROWS)]  # fmt: skip
    lines = [line if int(line.split("\t")[0]) < 2 else "1" + line[1:] for line in lines]
    (folder / "training.txt").write_text("\n".join(lines) + "\n")
    return [folder / "training.txt", folder / "userid_profile.txt"]


def movielens_log(folder: Path) -> list[Path]:
    place = folder / "ml"
    place.mkdir(exist_ok=True)
    users = [f"{user}::{'FM'[user % 2]}::{25 + user}::{user % 3}::0{user}48" for user in range(1, 9)]
    movies = [f"{item}::Film {item} (1999)::{'Drama|War' if item % 2 else 'Comedy'}" for item in range(1, 9)]
    ratings = [f"{1 + row % 8}::{1 + row % 7}::{1 + row % 5}::9783{row:05d}" for row in range(2 * ROWS)]
    for name, lines in (("users", users), ("movies", movies), ("ratings", ratings)):
        (place / f"{name}.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return [place]


def table_log(folder: Path) -> list[Path]:
    path = folder / "log.csv"
    lines = [f"{row % 2},{row / 7},{'abc'[row % 3]},{row}" for row in range(ROWS)]
    path.write_text("\n".join(["click,price,slot,seen", *lines]) + "\n")
    return [path]


LOGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "synthetic": (None, {"rows": 500}),
    "movielens": (movielens_log, {}),
    "criteo": (criteo_log, {"min_count": 1}),
    "avazu": (avazu_log, {"min_count": 1}),
    "kdd12": (kdd12_log, {"min_count": 1}),
    "table": (table_log, {"label": "click", "min_count": 1}),
}
# Sizes at which an algorithm does within 24 candidates what sets it apart.
SEARCH: dict[str, dict[str, Any]] = {
    "random": {},
    "regularized-evolution": {"population": 8, "sample": 4},
    "nsga2": {"population": 8},
    "predictor": {"first": 6, "refit_every": 8, "pool": 16, "trees": 5},
}
WITH_ONNX = ("dp",)

for name in ours("operators"):
    globals()[f"TestOperator_{name}"] = operator_conformance(name, onnx=name in WITH_ONNX)
for name in ours("mergers"):
    globals()[f"TestMerger_{name}"] = merger_conformance(name)
for name in ours("search_spaces"):
    globals()[f"TestSpace_{name}"] = search_space_conformance(name)
for name in ours("one_shot"):
    globals()[f"TestOneShot_{name}"] = one_shot_conformance(name)
for name in ours("search"):
    globals()[f"TestSearch_{name}"] = search_conformance(name, options=SEARCH[name])
for name in ours("sources"):
    globals()[f"TestSource_{name}"] = source_conformance(name, *LOGS[name])
for name in ours("objectives"):
    globals()[f"TestObjective_{name}"] = objective_conformance(name)
for name in ours("baselines"):
    globals()[f"TestBaseline_{name}"] = baseline_conformance(name, onnx=False)

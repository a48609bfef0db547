"""How the supernet's step grows: with blocks, connections, widths, table rows, batch, and with live MACs.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --plot step.svg     # step time against live MACs
    python benchmarks/scaling.py --short --axes blocks connections

All settings of an axis are in memory together and timed in one process and one thread; rounds go through them in
another order each time. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from measure import machine, table
from steps import (
    CAP,
    Parts,
    Step,
    Supernet,
    average,
    batches,
    cap_for,
    heading,
    interleaved,
    middle,
    parsed,
    sgemm,
    size_options,
    sizes_of_space,
    space_sizes,
    training_flop,
)

from nasrec_nni.architecture.draw import single_micro, stream
from nasrec_nni.architecture.value import Path as NetworkPath
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.sources.criteo import ROWS
from nasrec_nni.profiling import profile
from nasrec_nni.strategies.sampling import (
    FULL,
    SINGLE_OPERATOR_ANY_CONNECTION,
    SINGLE_OPERATOR_SINGLE_CONNECTION,
    Distribution,
)

ALL_CONNECTIONS = Distribution("single-operator-all-connections", FULL.macro, lambda s, g, _: single_micro(s, g))
CONNECTIONS = {
    "one": SINGLE_OPERATOR_SINGLE_CONNECTION,
    "1 to 4, sampled": SINGLE_OPERATOR_ANY_CONNECTION,
    "all": ALL_CONNECTIONS,
    "all, and all operators": FULL,
}
SHORT = {"architectures": 4, "repeats": 1, "table_rows": [50_000, 3_000_000], "batches": [128, 512, 2048]}


@dataclass
class Setting:
    """One value of an axis: paths through a supernet, at a batch size.

    Args:
        name: as shown.
        size: the number that grows, None if the axis has none.
        supernet: whose.
        paths: the architectures.
        batch: rows.
    """

    name: str
    size: float | None
    supernet: Supernet
    paths: list[NetworkPath]
    batch: int


def drawn(supernet: Supernet, options: argparse.Namespace, kind: Distribution) -> list[NetworkPath]:
    """Architectures by number, so that settings of one space are measured on the same ones."""
    space = supernet.space.description
    count = 1 if kind is FULL else options.architectures
    return [kind.draw(space, stream(options.seed, "scaling", number), "binomial") for number in range(count)]


def setting(name: str, size: float | None, supernet: Supernet, options: argparse.Namespace, **more: Any) -> Setting:
    kind = more.get("kind", SINGLE_OPERATOR_ANY_CONNECTION)
    return Setting(name, size, supernet, drawn(supernet, options, kind), more.get("batch", options.batch))


def by_blocks(options: argparse.Namespace) -> list[Setting]:
    """Supernets of so many blocks."""
    sizes = space_sizes(options)
    return [
        setting(str(n), n, Supernet(options.space, options.rows, **(sizes | {"blocks": n})), options)
        for n in options.block_counts
    ]


def by_connections(options: argparse.Namespace) -> list[Setting]:
    """One supernet, and paths that read one source a list up to all."""
    supernet = Supernet(options.space, options.rows, **space_sizes(options))
    return [setting(name, None, supernet, options, kind=kind) for name, kind in CONNECTIONS.items()]


def by_widths(options: argparse.Namespace) -> list[Setting]:
    """Supernets whose widths end at so many columns, and one path of the smallest widths in the widest of them."""
    sizes = space_sizes(options)
    every = sorted(sizes["dense_widths"] or (16, 32, 64, 128, 256, 512, 768, 1024))
    found = []
    for most in options.widest:
        widths = tuple(width for width in every if width <= most) or (most,)
        supernet = Supernet(options.space, options.rows, **(sizes | {"dense_widths": widths}))
        found.append(setting(f"up to {most}", most, supernet, options))
    smallest = Setting(f"as first, in {found[-1].name}", None, found[-1].supernet, found[0].paths, options.batch)
    return [*found, smallest]


def by_rows(options: argparse.Namespace) -> list[Setting]:
    """The same supernet over tables of so many rows in all."""
    found = []
    for rows in options.table_rows:
        supernet = Supernet(options.space, cap_for(rows), **space_sizes(options))
        held = len(supernet.space.embedding.weight)
        found.append(setting(f"{held:,}", held, supernet, options))
    return found


def by_batch(options: argparse.Namespace) -> list[Setting]:
    """The same supernet at so many rows a step."""
    supernet = Supernet(options.space, options.rows, **space_sizes(options))
    return [setting(str(batch), batch, supernet, options, batch=batch) for batch in options.batches]


AXES: dict[str, Callable[[argparse.Namespace], list[Setting]]] = {
    "blocks": by_blocks,
    "connections": by_connections,
    "widths": by_widths,
    "table rows": by_rows,
    "batch": by_batch,
}


def timed(settings: Sequence[Setting], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Mean parts, work and every architecture's step of each setting."""
    drawn_batches: dict[int, list[Batch]] = {
        size: batches(size, seed=options.seed) for size in {one.batch for one in settings}
    }
    steps: dict[Hashable, Step] = {}
    sources: dict[Hashable, list[Batch]] = {}
    for place, one in enumerate(settings):
        for number, path in enumerate(one.paths):
            steps[place, number] = one.supernet.step(lambda path=path: path)  # type: ignore[misc]
            sources[place, number] = drawn_batches[one.batch]
    times = interleaved(steps, sources, options.repeats, options.seed)
    found = []
    for place, one in enumerate(settings):
        parts = [middle(times[place, number]) for number in range(len(one.paths))]
        macs = [profile(path, one.supernet.sizes).live_macs for path in one.paths]
        points = [{"macs": work, "cpu": step.cpu} for work, step in zip(macs, parts, strict=True)]
        facts = {"name": one.name, "size": one.size, "batch": one.batch, "macs": mean(macs)}
        found.append(facts | {"step": average(parts).as_dict(), "points": points})
    return found


def line_of(points: Sequence[dict[str, float]]) -> dict[str, float]:
    """Least squares of step time (ms) over live MACs (millions): ms at no work, ms a MMAC, share of the variance."""
    x = np.array([1e-6 * one["macs"] for one in points])
    y = np.array([one["cpu"] for one in points])
    slope, start = np.polyfit(x, y, 1)
    left = y - (start + slope * x)
    spread = float(((y - y.mean()) ** 2).sum())
    return {"start": float(start), "slope": float(slope), "r2": 1 - float((left**2).sum()) / spread if spread else 0.0}


def against_macs(options: argparse.Namespace) -> list[dict[str, float]]:
    """Step time and live MACs of random architectures of one supernet."""
    count = argparse.Namespace(**(vars(options) | {"architectures": options.points}))
    supernet = Supernet(options.space, options.rows, **space_sizes(options))
    return timed([setting("", None, supernet, count)], options)[0]["points"]  # type: ignore[no-any-return]


def plot(points: Sequence[dict[str, float]], line: dict[str, float], title: str, limit: float) -> str:
    """Step time against live MACs with its line, and what sgemm alone would take, as SVG text."""
    import matplotlib

    from nasrec_nni.analysis.style import BLOCKS, INK, MUTED, SETTINGS, new_figure, svg

    with matplotlib.rc_context(SETTINGS):
        figure = new_figure(7.6, 4.2)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.97, top=0.9, bottom=0.14)
        x = [1e-6 * one["macs"] for one in points]
        ends = np.array([0.0, max(x) * 1.03])
        axes.scatter(x, [one["cpu"] for one in points], s=18, color=BLOCKS[0])
        label = f"{line['start']:.1f} ms + {line['slope']:.1f} ms a million (r² {line['r2']:.2f})"
        axes.plot(ends, line["start"] + line["slope"] * ends, color=INK, linewidth=1.2, label=label)
        axes.plot(ends, limit * ends, color=MUTED, linewidth=1, linestyle="--", label="sgemm alone")
        axes.set_xlim(0, None)
        axes.set_ylim(0, None)
        axes.set_xlabel("million multiply-accumulates per example that reach the output", color=INK)
        axes.set_ylabel("CPU ms a step", color=INK)
        axes.set_title(title, color=INK, loc="left")
        axes.legend(frameon=False)
        return str(svg(figure, "scaling"))


def exponent(first: dict[str, Any], last: dict[str, Any]) -> float | None:
    """Of the growth of the step with the axis's number."""
    if not first["size"] or not last["size"] or first["size"] == last["size"]:
        return None
    return math.log(last["step"]["cpu"] / first["step"]["cpu"]) / math.log(last["size"] / first["size"])


def measured(options: argparse.Namespace) -> dict[str, Any]:
    axes: dict[str, Any] = {}
    gflops = [sgemm()]
    for axis in options.axes:
        print(f"{axis}: measuring", file=sys.stderr)
        axes[axis] = timed(AXES[axis](options), options)
        gflops.append(sgemm())
    found: dict[str, Any] = {"axes": axes, "gflops": gflops, "machine": machine()}
    if options.plot:
        points = against_macs(options)
        found["points"], found["line"] = points, line_of(points)
        limit = 1e-6 * training_flop(1_000_000, options.batch) / max(gflops)
        title = f"{options.space}, batch {options.batch}, {len(points)} random architectures"
        options.plot.write_text(plot(points, found["line"], title, limit))
    keys = ("space", "batch", "rows", "architectures", "repeats", "seed", "threads")
    return found | {"options": {key: getattr(options, key) for key in keys}}


def words(found: dict[str, Any]) -> str:
    texts = []
    for axis, every in found["axes"].items():
        head = (
            axis,
            "n",
            "CPU ms",
            "× first",
            "MMACs",
            "× first",
            "ms/MMAC",
            "forward",
            "backward",
            "optimizer",
            "wall",
        )
        first = every[0]
        lines = []
        for one in every:
            parts = Parts(**{key: one["step"][key] for key in Parts.__dataclass_fields__})
            cells = (f"{parts.cpu:.1f}", f"{parts.cpu / first['step']['cpu']:.2f}")
            work = (
                f"{1e-6 * one['macs']:.2f}",
                f"{one['macs'] / first['macs']:.2f}",
                f"{1e6 * parts.cpu / one['macs']:.1f}",
            )
            rest = (f"{ms:.1f}" for ms in (parts.forward, parts.backward, parts.optimizer, parts.wall))
            lines.append((one["name"], str(len(one["points"])), *cells, *work, *rest))
        text = table(head, lines)
        numbered = [one for one in every if one["size"] is not None]
        grown = exponent(numbered[0], numbered[-1]) if numbered else None
        texts.append(text + (f"\n\nexponent of the growth: {grown:.2f}" if grown is not None else ""))
    if "line" in found:
        line = found["line"]
        texts.append(
            f"over live MACs: {line['start']:.1f} ms + {line['slope']:.1f} ms a million "
            f"(r² {line['r2']:.2f}, {len(found['points'])} architectures)"
        )
    return "\n\n".join(texts)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size_options(parser)
    sizes_of_space(parser)
    parser.add_argument("--space", default="nasrec-small")
    parser.add_argument("--axes", nargs="*", choices=list(AXES), default=list(AXES))
    parser.add_argument("--architectures", type=int, default=12, help="of each setting")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=CAP, help="table rows of a field at most, where they do not grow")
    parser.add_argument("--block-counts", type=int, nargs="+", default=[3, 5, 7])
    parser.add_argument("--widest", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--table-rows", type=int, nargs="+", default=[50_000, 3_000_000, 30_000_000], help="about")
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512, 2048, 8192])
    parser.add_argument("--points", type=int, default=50, help="architectures in the plot")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="step time against live MACs")
    options = parsed(parser, given, SHORT)
    found = measured(options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(heading(found["machine"], found["gflops"]))
    o = found["options"]
    rows = sum(min(n, o["rows"]) for n in ROWS)
    print(f"{o['space']}, batch {o['batch']}, {rows:,} table rows where nothing else is said")
    print(f"means over architectures of medians of {o['repeats']} steps\n\n{words(found)}")


if __name__ == "__main__":
    main()

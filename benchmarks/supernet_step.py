"""A training step of the supernet beside the step of the standalone network of the same architecture.

    python benchmarks/supernet_step.py               # 50 architectures each of NASRec-Full and NASRec-Small
    python benchmarks/supernet_step.py --short
    python benchmarks/supernet_step.py --spaces nasrec-full --profile step.txt

One process and one thread; rounds go through all steps in another order each time. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from breakdown import added, in_words, profiled, shares
from measure import MIB, child, in_child, machine, table
from steps import (
    AUTHORS_DLRM,
    CAP,
    Parts,
    PlainDLRM,
    Standalone,
    Step,
    Supernet,
    average,
    batches,
    groups,
    heading,
    interleaved,
    middle,
    parsed,
    plain_step,
    sgemm,
    size_options,
    sizes_of_space,
    space_sizes,
    training_flop,
)
from yardstick import Yardstick

from nasrec_nni.architecture.canonical import canonical_path
from nasrec_nni.architecture.draw import stream
from nasrec_nni.architecture.value import Path as NetworkPath
from nasrec_nni.profiling import profile
from nasrec_nni.strategies.sampling import FULL, SINGLE_OPERATOR_ANY_CONNECTION, PathSampler
from nasrec_nni.threads import set_threads

GROUP = 5  # architectures whose standalone networks are in memory together
ATTENTION, OTHER = "attn", "efc"
DLRM, PAGED = "own DLRM, sparse gradient", "own DLRM with large pages"
SUPERNET, ALONE, LEAN = "supernet", "standalone", "standalone, torch's Adagrad"
WITHOUT = f"supernet, {OTHER} for {ATTENTION}"
AUTHORS = {"nasrec-full": 2902.0, "nasrec-small": 1110.0}  # CPU ms of a mean step of their code, rows as by default
PROFILED = 5  # architectures whose steps the profiler sees
SHORT = {"architectures": 6, "repeats": 2}


def without_attention(path: NetworkPath) -> NetworkPath:
    """The same path with another operator wherever attention stands."""
    blocks = (
        replace(b, sparse_operators=tuple(OTHER if name == ATTENTION else name for name in b.sparse_operators))
        for b in path.blocks
    )
    return NetworkPath(tuple(blocks))


def attention_blocks(path: NetworkPath) -> int:
    """Live blocks with attention."""
    return sum(ATTENTION in block.sparse_operators for block in canonical_path(path).blocks)


class Measuring:
    """One search space: its supernet, the standalone networks and the yardstick, timed together."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.options = options
        self.supernet = Supernet(name, options.rows, **space_sizes(options))
        self.alone = Standalone(self.supernet.sizes, options.rows)
        self.sampler = PathSampler(SINGLE_OPERATOR_ANY_CONNECTION, self.supernet.space.description, seed=options.seed)
        self.batches = batches(options.batch)
        self.yardstick = Yardstick(options.rows, options.batch)
        self.paged = plain_step(PlainDLRM(options.rows))
        self.gflops: list[float] = []

    def path(self, number: int) -> NetworkPath:
        return self.sampler.draw(number)[0].path

    def architectures(self) -> list[dict[str, Any]]:
        """The measured steps of every architecture."""
        found = []
        for numbers in groups(range(self.options.architectures), GROUP):
            steps: dict[tuple[int, str], Any] = {}
            for number in numbers:
                path = self.path(number)
                steps[number, SUPERNET] = self.supernet.step(lambda number=number: self.path(number))  # type: ignore[misc]
                steps[number, ALONE] = self.alone.step(path)
                steps[number, LEAN] = self.alone.lean_step(path)
                if attention_blocks(path):
                    steps[number, WITHOUT] = self.supernet.step(lambda path=path: without_attention(path))  # type: ignore[misc]
                steps[number, DLRM], steps[number, PAGED] = self.yardstick, self.paged
            self.gflops.append(sgemm())
            times = interleaved(steps, self.batches, self.options.repeats, self.options.seed + numbers[0])
            for number in numbers:
                own = {key[1]: middle(times[key]).as_dict() for key in steps if key[0] == number}
                found.append(self._facts(number) | {"steps": own})
            print(f"{len(found)} of {self.options.architectures} architectures", file=sys.stderr)
        return found

    def _facts(self, number: int) -> dict[str, Any]:
        path = self.path(number)
        macs = profile(path, self.supernet.sizes).live_macs
        other = profile(without_attention(path), self.supernet.sizes).live_macs
        return {"macs": macs, "macs_without_attention": other, "attention_blocks": attention_blocks(path)}

    def full_path(self) -> dict[str, Any]:
        """The step of a warm-up with every operator and connection at the largest sizes."""
        path = FULL.draw(self.supernet.space.description, stream(self.options.seed, "full", 0), "binomial")
        steps: dict[Hashable, Step] = {SUPERNET: self.supernet.step(lambda: path), ALONE: self.alone.step(path)}
        times = interleaved(steps, self.batches, self.options.full_repeats)
        macs = profile(path, self.supernet.sizes).live_macs
        return {"macs": macs, "steps": {name: middle(every).as_dict() for name, every in times.items()}}

    def profiles(self) -> tuple[dict[str, float], str]:
        """Mean shares of steps of the first architectures, and torch.profiler's table of the last of them."""
        found = []
        for number in range(min(PROFILED, self.options.architectures)):
            step = self.supernet.step(lambda number=number: self.path(number))  # type: ignore[misc]
            step.run(self.batches[0])
            profiler = profiled(lambda step=step: step.run(self.batches[1]))  # type: ignore[misc]
            found.append(shares(profiler))
        return added(found), str(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=60))


def memory(space: str, rows: int, batch: int, steps: int, sizes: dict[str, Any], threads: int) -> Callable[[], Any]:
    """For a process of its own: a supernet trained for some steps; says what table and used optimizer rows take."""
    supernet = Supernet(space, rows, **{key: tuple(v) if isinstance(v, list) else v for key, v in sizes.items()})
    sampler = PathSampler(SINGLE_OPERATOR_ANY_CONNECTION, supernet.space.description)
    set_threads(threads)

    def run() -> tuple[int, dict[str, Any]]:
        touched = torch.zeros(len(supernet.space.embedding.weight), dtype=torch.bool)
        for number in range(steps):
            drawn = batches(batch, 1, seed=number)[0]
            supernet.step(lambda number=number: sampler.draw(number)[0].path).run(drawn)  # type: ignore[misc]
            touched[supernet.space.embedding.table_rows(drawn.sparse)] = True
        weight = supernet.space.embedding.weight
        row = weight.shape[1] * weight.element_size()
        extra = {"table_mib": len(weight) * row / MIB, "touched_state_mib": int(touched.sum()) * row / MIB}
        return steps * batch, extra

    return run


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All figures: of each architecture, and of the full path."""
    spaces: dict[str, Any] = {}
    profiles: list[str] = []
    for name in options.spaces:
        print(f"{name}: building", file=sys.stderr)
        work = Measuring(name, options)
        spaces[name] = {"architectures": work.architectures(), "gflops": work.gflops}
        if options.full_repeats:
            spaces[name]["full_path"] = work.full_path()
        spaces[name]["shares"], text = work.profiles()
        profiles.append(f"{name}\n{text}")
        work.yardstick.close()
        del work
        if options.memory:
            given = {"space": name, "rows": options.rows, "batch": options.batch, "steps": options.memory}
            given |= {"sizes": space_sizes(options), "threads": options.threads}
            figures = in_child(Path(__file__), "memory", given)
            spaces[name]["memory"] = {"peak_mib": figures.peak_mib, **figures.extra}
    if options.profile:
        options.profile.write_text("\n".join(profiles))
    keys = ("batch", "rows", "architectures", "repeats", "seed", "threads")
    return {"spaces": spaces, "options": {key: getattr(options, key) for key in keys}, "machine": machine()}


def line(name: str, several: list[dict[str, Any]], kind: str, macs: str, gflops: float, batch: int) -> tuple[str, ...]:
    """A row of the table: means of one kind of step over some architectures, medians of its ratios to others."""
    names = Parts.__dataclass_fields__
    own = [Parts(**{key: one["steps"][kind][key] for key in names}) for one in several]
    middle_of, parts = median(one.cpu for one in own), average(own)
    work = sum(one[macs] for one in several)
    rate = 1e-6 * training_flop(work, batch) / sum(one.cpu for one in own)

    def ratio(other: str) -> str:
        if kind == WITHOUT and other == ALONE:  # another architecture
            return ""
        pairs = [
            (a.cpu, one["steps"][other]["cpu"]) for a, one in zip(own, several, strict=True) if other in one["steps"]
        ]
        return f"{median(a / b for a, b in pairs):.2f}" if pairs else ""

    times = (parts.cpu, middle_of, parts.forward, parts.backward, parts.optimizer, parts.wall)
    work_columns = (f"{1e-6 * work / len(several):.2f}", f"{rate:.0f}", f"{rate / gflops:.0%}")
    return (name, str(len(several)), *(f"{ms:.1f}" for ms in times), ratio(ALONE), ratio(DLRM), *work_columns)


def words(found: dict[str, Any]) -> str:
    batch = found["options"]["batch"]
    times = ("mean ms", "median", "forward", "backward", "optimizer", "wall")
    head = ("", "n", *times, "× alone", "× DLRM", "MMACs", "GFLOP/s", "of sgemm")
    texts = []
    for space, content in found["spaces"].items():
        every, gflops = content["architectures"], median(content["gflops"])
        apart = [one for one in every if one["attention_blocks"]]
        plain = [one for one in every if not one["attention_blocks"]]
        lines = [line(kind, every, kind, "macs", gflops, batch) for kind in (SUPERNET, ALONE, LEAN)]
        if apart:
            for name, some in (("with attention", apart), ("without", plain)):
                kinds = (SUPERNET, ALONE) if some else ()
                lines += [line(f"{kind}: {name}", some, kind, "macs", gflops, batch) for kind in kinds]
            lines.append(line(WITHOUT, apart, WITHOUT, "macs_without_attention", gflops, batch))
        full = content.get("full_path")
        if full:
            lines += [line(f"{kind}: full path", [full], kind, "macs", gflops, batch) for kind in (SUPERNET, ALONE)]
        for name in (DLRM, PAGED):
            parts = {key: [one["steps"][name][key] for one in every] for key in every[0]["steps"][name]}
            cells = [f"{mean(parts[key]):.1f}" for key in ("forward", "backward", "optimizer", "wall")]
            cells = [f"{mean(parts['cpu']):.1f}", f"{median(parts['cpu']):.1f}", *cells]
            ratio = f"{median(a / b['steps'][DLRM]['cpu'] for a, b in zip(parts['cpu'], every, strict=True)):.2f}"
            lines.append((name, str(len(every)), *cells, "", ratio, "", "", ""))
        texts.append(f"{space}\n\n{table(head, lines)}")
        floor = mean(training_flop(one["macs"], batch) for one in every) * 1e-6 / gflops
        texts[-1] += f"\n\nfloor by sgemm: {floor:.1f} ms a step; under the profiler: {in_words(content['shares'])}"
        if space in AUTHORS:
            # Means of both: a step of each architecture and as many of the yardstick, all rounds over all of them, so
            # that a machine that is now slow and now fast is so for both. A median would take one of its two speeds.
            own = mean(one["steps"][SUPERNET]["cpu"] for one in every) / mean(
                one["steps"][DLRM]["cpu"] for one in every
            )
            theirs = AUTHORS[space] / AUTHORS_DLRM
            texts[-1] += f"\nin steps of DLRM: {own:.1f}, the authors' code {theirs:.1f}: {theirs / own:.1f} times"
        if "memory" in content:
            m = content["memory"]
            rest = m["peak_mib"] - m["table_mib"] - m["touched_state_mib"]
            texts[-1] += (
                f"\npeak memory {m['peak_mib']:,.0f} MiB: table {m['table_mib']:,.0f}, its optimizer's touched rows "
                f"{m['touched_state_mib']:,.0f}, all else {rest:,.0f}"
            )
    return "\n\n".join(texts)


def main(given: list[str] | None = None) -> None:
    given = sys.argv[1:] if given is None else given
    if given[:1] == ["--child"]:
        child({"memory": memory}, given[1:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size_options(parser)
    sizes_of_space(parser)
    parser.add_argument("--spaces", nargs="+", default=["nasrec-full", "nasrec-small"])
    parser.add_argument("--architectures", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each kind and architecture")
    parser.add_argument("--full-repeats", type=int, default=2, help="timed full-path steps, 0 for none")
    parser.add_argument("--rows", type=int, default=CAP, help="table rows of a field at most")
    parser.add_argument("--memory", type=int, default=0, metavar="STEPS", help="peak of a process that trains so long")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="torch.profiler's table of one step of each space")
    options = parsed(parser, given, SHORT)
    found = measured(options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(heading(found["machine"], (rate for one in found["spaces"].values() for rate in one["gflops"])))
    o = found["options"]
    print(f"batch {o['batch']}, tables of {o['rows']:,} rows a field at most; CPU ms a step\n\n{words(found)}")


if __name__ == "__main__":
    main()

"""Eight float32 numbers at once, at addresses, for kernels whose speed hangs on what stays in registers.

LLVM makes what the processor has of them: one register with AVX, two with SSE or NEON. numba alone keeps a tile of sums
in memory, which takes a matrix product three times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

FLOAT, VECTOR, INDEX = ir.FloatType(), ir.VectorType(ir.FloatType(), 8), ir.IntType(32)
BYTES = 32  # of one vector
FREEDOM = ("contract", "reassoc", "nsz", "arcp")  # as in compiled.py
Build = Callable[[Any, Any, Any, Any], Any]


class Eight(types.Type):
    """The type of a vector."""

    def __init__(self) -> None:
        super().__init__("eight")


eight = Eight()


@register_model(Eight)
class _EightModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def _constant(kind: Any, value: Any) -> Any:
    return ir.Constant(kind, value)


def _spread(builder: Any, number: Any) -> Any:
    vector = builder.insert_element(_constant(VECTOR, ir.Undefined), number, _constant(INDEX, 0))
    return builder.shuffle_vector(vector, _constant(VECTOR, ir.Undefined), _constant(ir.VectorType(INDEX, 8), [0] * 8))


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, address: Any) -> tuple[Any, Build]:
    """The vector at an address, which may be any."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], VECTOR.as_pointer()), align=4)

    return eight(types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, address: Any, vector: Any) -> tuple[Any, Build]:
    """Writes a vector."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[1], builder.inttoptr(values[0], VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, eight), build


@intrinsic  # type: ignore[untyped-decorator]
def spread_from(typing: Any, address: Any) -> tuple[Any, Build]:
    """The number at an address, eight times."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _spread(builder, builder.load(builder.inttoptr(values[0], FLOAT.as_pointer()), align=4))

    return eight(types.intp), build


@intrinsic  # type: ignore[untyped-decorator]
def spread(typing: Any, number: Any) -> tuple[Any, Build]:
    """A float32 number, eight times."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _spread(builder, values[0])

    return eight(types.float32), build


@intrinsic  # type: ignore[untyped-decorator]
def plus_product(typing: Any, total: Any, x: Any, y: Any) -> tuple[Any, Build]:
    """`total + x y`, rounded once where the processor can."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        product = builder.fmul(values[1], values[2], flags=FREEDOM)
        return builder.fadd(values[0], product, flags=FREEDOM)

    return eight(eight, eight, eight), build


def _of_two(instruction: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def operation(typing: Any, x: Any, y: Any) -> tuple[Any, Build]:
        def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, instruction)(values[0], values[1], flags=FREEDOM)

        return eight(eight, eight), build

    return operation


plus, minus, times = _of_two("fadd"), _of_two("fsub"), _of_two("fmul")


@intrinsic  # type: ignore[untyped-decorator]
def where_positive(typing: Any, sign: Any, x: Any) -> tuple[Any, Build]:
    """x where `sign > 0`, else 0."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        zero = _constant(VECTOR, None)
        return builder.select(builder.fcmp_ordered(">", values[0], zero), values[1], zero)

    return eight(eight, eight), build


@intrinsic  # type: ignore[untyped-decorator]
def not_negative(typing: Any, x: Any) -> tuple[Any, Build]:
    """x, and 0 where `x < 0`: not a number stays one."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        zero = _constant(VECTOR, None)
        return builder.select(builder.fcmp_ordered("<", values[0], zero), zero, values[0])

    return eight(eight), build


@intrinsic  # type: ignore[untyped-decorator]
def total_of(typing: Any, x: Any) -> tuple[Any, Build]:
    """The sum of the eight."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = values[0]
        for shift in (4, 2, 1):
            order = _constant(ir.VectorType(INDEX, 8), [(place + shift) % 8 for place in range(8)])
            vector = builder.fadd(vector, builder.shuffle_vector(vector, vector, order), flags=FREEDOM)
        return builder.extract_element(vector, _constant(INDEX, 0))

    return types.float32(eight), build


@intrinsic  # type: ignore[untyped-decorator]
def copy_number(typing: Any, source: Any, target: Any) -> tuple[Any, Build]:
    """One number from an address to another."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = (builder.inttoptr(value, FLOAT.as_pointer()) for value in values)
        builder.store(builder.load(source, align=4), target, align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), build

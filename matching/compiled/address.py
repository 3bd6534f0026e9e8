"""Bytes at an address, for compiled loops: a row is a number to them, and numba counts references to a slice.

The code ensures: nothing. Whoever imports this follows pointers: rows lie within their buffers, which
`batch.are_within` has seen, and what is written is no longer than what is read.
"""

from __future__ import annotations

from typing import Any

import numba as nb
from llvmlite import ir as llvm_ir
from numba import extending

_types: Any = nb.types
_pointer = _types.intp
_ir: Any = llvm_ir
_WORD: Any = _ir.IntType(64)
_intrinsic: Any = extending.intrinsic


@_intrinsic
def load(_typing, _address):  # type: ignore[no-untyped-def]
    """The 8 bytes at an address, aligned or not."""

    def code(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        word = builder.load(builder.inttoptr(arguments[0], _WORD.as_pointer()))
        word.align = 1
        return word

    return _types.uint64(_pointer), code


@_intrinsic
def store(_typing, _address, _word):  # type: ignore[no-untyped-def]
    """Puts 8 bytes at an address, aligned or not."""

    def code(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        builder.store(arguments[1], builder.inttoptr(arguments[0], _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return _types.void(_pointer, _types.uint64), code


@_intrinsic
def byte_at(_typing, _address):  # type: ignore[no-untyped-def]
    """The byte at an address."""

    def code(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(builder.inttoptr(arguments[0], _ir.IntType(8).as_pointer()))

    return _types.uint8(_pointer), code


@_intrinsic
def put(_typing, _address, _value):  # type: ignore[no-untyped-def]
    """Puts a byte at an address."""

    def code(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        builder.store(arguments[1], builder.inttoptr(arguments[0], _ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return _types.void(_pointer, _types.uint8), code


@_intrinsic
def bits(_typing, _word):  # type: ignore[no-untyped-def]
    """How many bits are one."""
    return _types.int64(_types.uint64), lambda _context, builder, _signature, arguments: builder.ctpop(arguments[0])


@_intrinsic
def leading_zeros(_typing, _word):  # type: ignore[no-untyped-def]
    def code(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctlz(arguments[0], _ir.Constant(_ir.IntType(1), 0))

    return _types.int64(_types.uint64), code

"""What a comparison asks of a column, exactly, for operands that no column could hold too.

A column of text holds no NUL and no lone surrogate, one of integers no fraction and 64 bits, one of decimals the
numbers of IEEE 754. An operand beyond that is not sent: the question is put in other words, or answered here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from app.scim.attributes import Attribute, Type
from app.scim.filter.nodes import Compare, Op
from app.scim.registry import META_CREATED, META_LAST_MODIFIED

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_AFTER_SURROGATES = "\ue000"
_LAST = "\U0010ffff"
_INTEGERS = (-(2**63), 2**63 - 1)


class Check(Enum):
    """What is asked of a column. RANGE: at least the first and below the second operand. END: the part is the last
    so many characters."""

    NEVER = auto()
    HELD = auto()
    EQ = auto()
    GT = auto()
    GE = auto()
    LT = auto()
    LE = auto()
    RANGE = auto()
    PART = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """A test and its operands."""

    test: Check
    operands: tuple[Any, ...] = ()


_NEVER = Question(Check.NEVER)
_HELD = Question(Check.HELD)
_ORDER = {Op.GT: Check.GT, Op.GE: Check.GE, Op.LT: Check.LT, Op.LE: Check.LE}


def question(compare: Compare) -> Question:
    """What to ask of the column that holds the comparison form of the attribute."""
    attribute, operand = compare.attribute, compare.operand
    if attribute in (META_CREATED, META_LAST_MODIFIED):
        return _of_moment(compare.op, str(operand))
    if isinstance(operand, str):
        return _of_text(compare.op, operand)
    if isinstance(operand, bool):
        return Question(Check.EQ, (operand,)) if compare.op is Op.EQ else _NEVER
    return _of_number(attribute, compare.op, operand)


def storable(text: str) -> bool:
    """Whether a column of text can hold it, as far as its characters go."""
    return not _UNSTORABLE.search(text)


def _of_moment(op: Op, operand: str) -> Question:
    moment = datetime.fromisoformat(operand)
    # A part of the text of an instant that is an instant itself is the whole of it.
    return Question(_ORDER.get(op, Check.EQ), (moment,))


def _of_text(op: Op, operand: str) -> Question:
    if op in (Op.CO, Op.SW, Op.EW) and not operand:
        return _HELD
    if not storable(operand):
        return _of_unstorable(op, operand)
    if op is Op.SW:
        end = _after(operand)
        return Question(Check.RANGE, (operand, end)) if end else Question(Check.GE, (operand,))
    if op is Op.EW:
        return Question(Check.END, (operand, len(operand)))
    return Question({Op.EQ: Check.EQ, Op.CO: Check.PART, **_ORDER}[op], (operand,))


def _of_unstorable(op: Op, operand: str) -> Question:
    if op not in _ORDER:
        return _NEVER
    found = _UNSTORABLE.search(operand)
    assert found is not None
    before = operand[: found.start()]
    if found.group() == "\0":
        # What begins like the operand up to the NUL and goes on is greater; what ends there is less.
        return Question(Check.GT if op in (Op.GT, Op.GE) else Check.LE, (before,))
    # Between the last character before the surrogates and the first after them nothing is stored.
    return Question(Check.GE if op in (Op.GT, Op.GE) else Check.LT, (before + _AFTER_SURROGATES,))


def _after(prefix: str) -> str:
    """The least text that is greater than every text with the prefix; empty where there is none."""
    head = prefix.rstrip(_LAST)
    if not head:
        return ""
    code = ord(head[-1]) + 1
    return head[:-1] + (_AFTER_SURROGATES if code == 0xD800 else chr(code))


def _of_number(attribute: Attribute, op: Op, operand: float) -> Question:
    if attribute.type is Type.INTEGER:
        return _of_integer(op, operand)
    try:
        near = float(operand)
    except OverflowError:
        near = math.inf if operand > 0 else -math.inf
    if math.isinf(near):
        return _beyond(op, above=near > 0)
    if near == operand:
        return Question(_ORDER.get(op, Check.EQ), (near,))
    if op is Op.EQ:
        return _NEVER
    above = op in (Op.GT, Op.GE)
    # No stored number lies between the operand and its neighbour.
    if near > operand:
        return Question(Check.GE if above else Check.LT, (near,))
    return Question(Check.GT if above else Check.LE, (near,))


def _of_integer(op: Op, operand: float) -> Question:
    if operand in (math.inf, -math.inf):
        return _beyond(op, above=operand > 0)
    whole = math.floor(operand)
    if not _INTEGERS[0] <= whole <= _INTEGERS[1]:
        return _beyond(op, above=whole > 0)
    if whole == operand:
        return Question(_ORDER.get(op, Check.EQ), (whole,))
    if op is Op.EQ:
        return _NEVER
    return Question(Check.GT if op in (Op.GT, Op.GE) else Check.LE, (whole,))


def _beyond(op: Op, *, above: bool) -> Question:
    """The answer for an operand that is above, or below, everything that can be stored."""
    return _HELD if op in ((Op.LT, Op.LE) if above else (Op.GT, Op.GE)) else _NEVER

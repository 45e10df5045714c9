"""How much the log is told of failed authentications."""

from __future__ import annotations

from app.auth.failures import Allowance
from tests.control.clock import Clock


def test_of_one_address_no_more_than_ten_are_told_in_a_minute() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    assert [allowance.take("192.0.2.1") for _ in range(15)] == [0] * 10 + [None] * 5
    assert [allowance.take("192.0.2.2") for _ in range(2)] == [5, 0]
    clock.forward(59)
    assert allowance.take("192.0.2.1") is None
    clock.forward(1)
    assert [allowance.take("192.0.2.1") for _ in range(11)] == [1] + [0] * 9 + [None]


def test_of_all_addresses_no_more_than_a_hundred_are_told_in_a_minute() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    told = [allowance.take(f"2001:db8::{number:x}") for number in range(1000)]
    assert told == [0] * 100 + [None] * 900
    clock.forward(60)
    assert allowance.take("2001:db8::1") == 900

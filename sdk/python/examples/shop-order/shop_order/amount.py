"""Sums of money without rounding: exact, or refused.

Own code because `decimal` rounds silently to the digits of its context, and lets a message of ten bytes (`1e999999999`) ask for a
gigabyte.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate_sdk import Permanent

#: A coefficient of more than 38 digits or so is refused: the range of a signed integer of 128 bits.
_MOST = 2**127 - 1
_LEAST = -(2**127)


def out_of_range(what: str) -> Permanent:
    """The failure for `what` that cannot be added exactly."""
    return Permanent("amount-out-of-range", f"{what}: cannot be added without rounding (an exponent, or over 38 digits)")


@dataclass(frozen=True)
class Amount:
    """A decimal number: `coefficient` divided by ten to the `scale`. What does not fit is `None`, and stays so."""

    coefficient: int = 0
    scale: int = 0

    @staticmethod
    def parse(text: str) -> Amount | None:
        """Reads `-12.50`. `None` for an exponent, or for more digits than fit."""
        whole, _, fraction = text.partition(".")
        digits = (whole + fraction).removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or "-" in whole[1:] or "-" in fraction or len(digits) > 4000:
            return None
        return _fitting(int(whole + fraction), len(fraction))

    def plus(self, other: Amount) -> Amount | None:
        """The sum, in the finer of both scales."""
        scale = max(self.scale, other.scale)
        ours, theirs = self._at_scale(scale), other._at_scale(scale)
        return None if ours is None or theirs is None else _fitting(ours + theirs, scale)

    def minus(self, other: Amount) -> Amount | None:
        """The difference, in the finer of both scales."""
        negated = _fitting(-other.coefficient, other.scale)
        return None if negated is None else self.plus(negated)

    def times(self, count: int) -> Amount | None:
        """The product with a count."""
        return _fitting(self.coefficient * count, self.scale)

    def _at_scale(self, scale: int) -> int | None:
        if scale - self.scale > 38:
            return None
        fitting = _fitting(self.coefficient * 10 ** (scale - self.scale), scale)
        return None if fitting is None else fitting.coefficient

    def __str__(self) -> str:
        digits = str(abs(self.coefficient)).rjust(self.scale + 1, "0")
        sign = "-" if self.coefficient < 0 else ""
        whole, fraction = (digits[: -self.scale], digits[-self.scale :]) if self.scale else (digits, "")
        return f"{sign}{whole}.{fraction}" if self.scale else f"{sign}{whole}"


def _fitting(coefficient: int, scale: int) -> Amount | None:
    return Amount(coefficient, scale) if _LEAST <= coefficient <= _MOST else None

"""The card schemes cardwatch knows, under test BINs that payment processors publish.

A random Luhn-valid number under an issuer's live BIN may be somebody's card. So numbers are made,
and read, only under the first six digits of the test cards that processors publish for their
sandboxes. Sources: Stripe, "Testing" (docs.stripe.com/testing) for 424242, 400005, 555555, 222300,
520082, 510510, 378282, 371449, 601111, 601100, 305693, 356600 and 620000; Braintree, "Testing and
Go Live" (developer.paypal.com/braintree/docs/reference/general/testing) for 411111, 401288, 353011.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scheme:
    """One scheme: how long its numbers are, its test BINs, and its share of generated cards."""

    name: str
    length: int
    test_bins: tuple[str, ...]
    weight: int
    """Of 100 generated cards, about this many."""


SCHEMES: Final = (
    Scheme("Visa", 16, ("411111", "401288", "424242", "400005"), 44),
    Scheme("Mastercard", 16, ("555555", "510510", "520082", "222300"), 32),
    Scheme("American Express", 15, ("378282", "371449"), 10),
    Scheme("Discover", 16, ("601111", "601100"), 5),
    Scheme("JCB", 16, ("356600", "353011"), 4),
    Scheme("Diners Club", 16, ("305693",), 3),
    Scheme("UnionPay", 16, ("620000",), 2),
)

_BY_BIN: Final = {test_bin: scheme for scheme in SCHEMES for test_bin in scheme.test_bins}


def scheme_of(digits: str) -> Scheme | None:
    """Give the scheme a number belongs to by its first six digits, or None for no test BIN."""
    return _BY_BIN.get(digits[:6])

"""The card schemes cardwatch knows, under test BINs that payment processors publish.

A random Luhn-valid number under an issuer's live BIN may be somebody's card. So numbers are made,
and read, only under the first six digits of the test cards that processors publish for their
sandboxes. Sources, as of 2026-11: Stripe, "Testing" (docs.stripe.com/testing); Braintree, "Testing
and Go Live" (developer.paypal.com/braintree/docs/reference/general/testing); PayPal, "Card testing"
(developer.paypal.com/tools/sandbox/card-testing) and Payflow, "Test Transactions"; Cybersource,
"Testing Credit Card Services" (developer.cybersource.com).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scheme:
    """One scheme: how long its numbers may be, and its published test BINs."""

    name: str
    lengths: tuple[int, ...]
    test_bins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What the generator makes of one scheme."""

    length: int
    test_bins: tuple[str, ...]
    weight: int
    """Of 100 generated cards, about this many."""


SCHEMES: Final = (
    Scheme(
        "Visa",
        (13, 16, 19),
        (
            *("411111", "401288", "424242", "400005", "400000", "400011", "400551", "400934"),
            *("401200", "421765", "422222", "450060", "477212", "491580"),
        ),
    ),
    Scheme(
        "Mastercard",
        (16,),
        ("555555", "510510", "520082", "222300", "222100", "222301", "222242", "222263"),
    ),
    Scheme("American Express", (15,), ("378282", "371449", "378734", "376680")),
    Scheme("Discover", (16,), ("601111", "601100", "601198", "655590")),
    Scheme("JCB", (16,), ("356600", "353011", "356611")),
    Scheme("Diners Club", (14, 16), ("305693", "362272", "362596", "385200")),
    Scheme("UnionPay", (16, 19), ("620000", "620550", "624303", "622126", "622316")),
    Scheme(
        "Maestro",
        (14, 16, 18, 19),
        ("630400", "506351", "633110", "503396", "586824", "675941", "675956", "564182"),
    ),
    Scheme("Dankort", (16,), ("501971",)),
    Scheme("Bankcard", (16,), ("561059",)),
)

# The same shares always: the file of a seed must stay what it is.
SHARES: Final = (
    Share(16, ("411111", "401288", "424242", "400005"), 44),
    Share(16, ("555555", "510510", "520082", "222300"), 32),
    Share(15, ("378282", "371449"), 10),
    Share(16, ("601111", "601100"), 5),
    Share(16, ("356600", "353011"), 4),
    Share(16, ("305693",), 3),
    Share(16, ("620000",), 2),
)

_BY_BIN: Final = {test_bin: scheme for scheme in SCHEMES for test_bin in scheme.test_bins}


def scheme_of(digits: str) -> Scheme | None:
    """Give the scheme a number belongs to by its first six digits, or None for no test BIN."""
    return _BY_BIN.get(digits[:6])

from pathlib import Path

import pytest

from cardwatch.contract.currencies import decimals_of
from cardwatch.imports.errors import ImportFileError
from cardwatch.imports.mapping import Mapping, built_in_mappings, find_mapping, parse_mapping

ROOT = Path(__file__).parents[3]
SMALL = """
time: {column: at, format: iso, zone: UTC}
card: {number: pan}
payment:
  payment_id: {column: id}
  account_id: {from: card}
  user_id: {from: card}
  amount: {column: amount}
  currency: {value: EUR}
  merchant_id: {column: shop}
  country: {column: country, map: {NORGE: NO}}
  city: {column: city}
"""


def small(changed: str, to: str) -> str:
    assert changed in SMALL
    return SMALL.replace(changed, to)


@pytest.mark.parametrize("name", built_in_mappings())
def test_every_built_in_mapping_can_be_read_by_its_name(name: str) -> None:
    assert find_mapping(name).description


def test_a_mapping_in_the_documents_can_be_read() -> None:
    text = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    (example,) = (part.split("```")[0] for part in text.split("```yaml\n")[1:])
    assert isinstance(parse_mapping(example, "docs/import.md"), Mapping)


def test_what_yaml_would_take_for_something_else_is_the_text_that_it_is() -> None:
    source = parse_mapping(SMALL, "small").payment.country
    assert source.map == {"NORGE": "NO"}


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(ImportFileError, match=r"sparkvo: name one of ieee_cis, paysim, sparkov"):
        find_mapping("sparkvo")


@pytest.mark.parametrize(
    ("changed", "to", "told"),
    [
        ("city: {column: city}", "citty: {column: city}", "payment.citty is not part of"),
        ("{value: EUR}", "{}", "payment.currency needs exactly one of column or value"),
        ("{column: id}", "{column: id, value: x}", "needs exactly one of column, columns, value"),
        ("  amount: {column: amount}\n", "", "payment.amount is missing"),
        ("{column: amount}", "{column: amount, round: up}", "payment.amount.round"),
        ("{column: amount}", "{column: amount, optional: true}", "amount cannot be optional"),
        ("zone: UTC", "zone: CEST", "zone must be an IANA name"),
        ("zone: UTC", "zone: UTC, shift: soon", "shift must be none, to now, or a duration"),
        ("{number: pan}", "{number: pan, reference: [a]}", "exactly one of number or reference"),
        ("user_id: {from: card}", "user_id: {from: row}", "cannot be made from the row"),
        ("user_id: {from: card}", "user_id: {column: pan}", "user_id must not be read from the"),
        ("card: {number: pan}", "card: {number: pan}\nseparator: ;;", "separator"),
        ("card: {number: pan}", "card: {number: pan}\nencoding: utf8000", "no encoding"),
        ("{number: pan}", "{number: pan", "line 4 is no YAML"),
    ],
)
def test_a_wrong_mapping_is_one_line_with_the_place(changed: str, to: str, told: str) -> None:
    with pytest.raises(ImportFileError) as caught:
        parse_mapping(small(changed, to), "my.yaml")
    assert "the mapping my.yaml" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_currency_without_a_minor_unit_takes_the_contract_s_decimals() -> None:
    assert decimals_of("XAU") == 4
    assert decimals_of("KWD") == 3

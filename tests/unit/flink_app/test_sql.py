"""The job's SQL files, as text."""

from pathlib import Path

import pytest
from tests.flink.oracle import DECIMALS

from cardwatch.contract.currencies import MINOR_UNITS
from cardwatch.simulation.population import PLACES
from sql_files import SQL, placeholders, sql_text


def test_currencies_have_the_minor_units_of_iso_4217() -> None:
    assert MINOR_UNITS == DECIMALS


def test_the_simulator_knows_each_currencys_decimals() -> None:
    for place in PLACES:
        assert MINOR_UNITS[place.currency.code] == place.currency.decimals, place.currency.code


@pytest.mark.parametrize("path", sorted(SQL.glob("detections/*.sql")), ids=lambda p: p.stem)
def test_a_detection_starts_with_its_question_its_rule_and_its_constants(path: Path) -> None:
    header = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("--")
    )
    question, rule, constants = (header.find(word) for word in ("?", "Rule:", "Constants:"))
    assert 0 < question < rule < constants


def test_a_value_with_a_quote_stays_inside_its_literal(tmp_path: Path) -> None:
    path = tmp_path / "table.sql"
    path.write_text("WITH ('path' = '${path}', 'pattern' = '^a$');\n")
    assert placeholders(path) == {"path"}
    assert sql_text(path, {"path": "o'clock"}) == "WITH ('path' = 'o''clock', 'pattern' = '^a$')"


def test_a_placeholder_without_a_value_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "table.sql"
    path.write_text("'${path}'")
    with pytest.raises(KeyError, match="path"):
        sql_text(path, {})

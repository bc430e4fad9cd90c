"""The Flink application's properties: a missing or wrong one is one error that names it."""

import json
from pathlib import Path

import pytest

from properties import Properties, PropertyError


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "properties.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def groups(tmp_path: Path, **values: str) -> Properties:
    content = [{"PropertyGroupId": "group", "PropertyMap": values}]
    return Properties.read(written(tmp_path, content))


def test_properties_are_read_by_group_and_key(tmp_path: Path) -> None:
    assert groups(tmp_path, key="value").text("group", "key") == "value"


@pytest.mark.parametrize(
    ("group", "key"), [("group", "other"), ("other", "key"), ("group", "empty")]
)
def test_a_missing_property_names_its_group_its_key_and_the_file(
    tmp_path: Path, group: str, key: str
) -> None:
    properties = groups(tmp_path, key="value", empty="")
    with pytest.raises(PropertyError) as raised:
        properties.text(group, key)
    for part in (group, key, "properties.json", "add it"):
        assert part in str(raised.value)


def test_a_missing_property_with_a_default_is_the_default(tmp_path: Path) -> None:
    assert groups(tmp_path).text("group", "key", "default") == "default"
    assert groups(tmp_path).whole_number("group", "key", 5, least=0, most=9) == 5


@pytest.mark.parametrize("value", ["-1", "10", "1.5", "one", "1 s", "²"])
def test_a_wrong_number_names_what_is_allowed(tmp_path: Path, value: str) -> None:
    with pytest.raises(PropertyError, match="from 0 to 9") as raised:
        groups(tmp_path, key=value).whole_number("group", "key", 5, least=0, most=9)
    assert "key" in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        {"a": 1},
        [1],
        [{"PropertyGroupId": "g"}],
        "null",
        [{"PropertyGroupId": "g", "PropertyMap": {"number": 1}}],
    ],
)
def test_a_file_that_holds_no_property_groups_is_said_with_the_remedy(
    tmp_path: Path, content: object
) -> None:
    with pytest.raises(PropertyError, match="PropertyGroupId"):
        Properties.read(written(tmp_path, content))


def test_a_missing_file_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PropertyError, match="--properties FILE"):
        Properties.read(tmp_path / "none.json")

"""The program itself: what it says when it cannot start."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.flink.running import FLINK_PYTHON, ROOT

from cardwatch.local.services.java import java_home
from cardwatch.settings import program_environment

pytestmark = pytest.mark.flink


def started(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLINK_PYTHON, ROOT / "flink_app" / "main.py", *arguments],
        env=program_environment({"JAVA_HOME": str(java_home())}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_without_a_properties_file_it_looks_where_managed_flink_puts_it() -> None:
    result = started()
    assert result.returncode == 1
    assert result.stderr.startswith(
        "cardwatch: cannot read the properties /etc/flink/application_properties.json"
    )
    assert "Traceback" not in result.stderr


def test_a_missing_property_ends_it_with_one_line_that_names_group_key_and_file(
    tmp_path: Path,
) -> None:
    properties = tmp_path / "properties.json"
    group = {"PropertyGroupId": "cardwatch.edge", "PropertyMap": {"events_path": "/nowhere"}}
    properties.write_text(json.dumps([group]))
    result = started("--edge", "files", "--properties", properties)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last == (
        "cardwatch: property outputs_path of group cardwatch.edge is missing: "
        f"add it to {properties}"
    )
    assert "Traceback" not in result.stderr


def test_an_argument_that_managed_flink_adds_is_none_of_ours_and_elsewhere_a_slip_of_the_pen(
    tmp_path: Path,
) -> None:
    managed = started("--added-by-the-service", "yes")
    assert managed.stderr.startswith("cardwatch: cannot read the properties /etc/flink")
    elsewhere = started("--egde", "files", "--properties", tmp_path / "properties.json")
    assert elsewhere.returncode == 2
    assert "unknown arguments: --egde files" in elsewhere.stderr

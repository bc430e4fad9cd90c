"""Which properties the job gets on one machine, by its edge."""

from dataclasses import fields
from pathlib import Path

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]  # has no stubs
from tests.infrastructure.conftest import ROOT

from cardwatch.local.errors import LocalStackError
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.services.flink import check_edge, edge_properties
from cardwatch.settings import LocalSettings
from sql_files import SQL, placeholders

OUTPUTS = StackOutputs(
    **{item.name: 5 if item.type is int else item.name for item in fields(StackOutputs)}  # type: ignore[arg-type]
)
SETTINGS = LocalSettings(aws_port=14110)


def test_the_connector_edge_gets_the_properties_that_the_application_has_on_aws() -> None:
    template = cfn_yaml.load(str(ROOT / "infra" / "detection.yaml"))
    configuration = template["Resources"]["Application"]["Properties"]["ApplicationConfiguration"]
    on_aws = {
        group["PropertyGroupId"]: group["PropertyMap"]
        for group in configuration["EnvironmentProperties"]["PropertyGroups"]
    }["cardwatch.edge"]
    here = edge_properties("connector", OUTPUTS, SETTINGS)["cardwatch.edge"]
    assert set(here) == set(on_aws)
    assert here["start_position"] == on_aws["start_position"]
    assert here["start_timestamp"] == on_aws["start_timestamp"]
    for table in ("events", "outputs"):
        assert placeholders(SQL / "connectors" / "kinesis" / f"{table}.sql") <= set(here)


def test_the_connector_reaches_the_emulator_with_its_credentials() -> None:
    options = edge_properties("connector", OUTPUTS, SETTINGS)["cardwatch.connector"]
    assert options["aws.endpoint"] == "http://127.0.0.1:14110"
    assert options["aws.credentials.provider"] == "BASIC"
    # Only options of this prefix are taken by both tables unseen.
    assert all(name.startswith("aws.") for name in options)


def test_the_local_edge_needs_neither_a_jar_nor_a_connector_s_options() -> None:
    groups = edge_properties("local", OUTPUTS, SETTINGS)
    assert set(groups) == {"cardwatch.detection", "cardwatch.edge"}
    check_edge(SETTINGS.var, "local")


def test_any_connector_jar_in_lib_will_do(tmp_path: Path) -> None:

    with pytest.raises(LocalStackError, match="make connector"):
        check_edge(tmp_path, "connector")
    lib = tmp_path / "flink_app" / "lib"
    lib.mkdir(parents=True)
    (lib / "flink-connector-aws-kinesis-streams-6.0.1-2.0.jar").touch()
    check_edge(tmp_path, "connector")

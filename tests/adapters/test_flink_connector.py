"""The production connector's tables use options that it has, and name what is missing."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from string import Template

import pytest
from tools.flink_package import Artifact

from sql_files import placeholders, sql_text, with_options

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = ROOT / "flink_app"
CONNECTORS = APPLICATION / "sql" / "connectors"
KNOWN = json.loads((Path(__file__).parent / "kinesis_connector_options.json").read_text())
CONNECTOR = Artifact.from_pom(APPLICATION / "pom.xml")


def options(ddl: Path) -> dict[str, str]:
    return dict(re.findall(r"'([\w.-]+)' = '([^']*)'", ddl.read_text()))


@pytest.mark.parametrize(
    ("table", "side", "format_"), [("events", "source", "json"), ("outputs", "sink", "csv")]
)
def test_the_tables_use_only_options_that_the_connector_has(
    table: str, side: str, format_: str
) -> None:
    used = options(CONNECTORS / "kinesis" / f"{table}.sql")
    assert used["connector"] == "kinesis"
    assert set(KNOWN["required"]) <= set(used)
    assert used["format"] == format_
    assert set(used) <= {*KNOWN["required"], *KNOWN[side], *KNOWN[format_]}


@pytest.mark.flink
def test_a_record_is_written_whole_under_its_entity_whatever_the_entity_is_called() -> None:
    entities = ["acc_1", "rule", 'a"b\\c\n', "é𝒳 <>/,;", '"', "x" * 128]
    script = Path(__file__).with_name("written_records.py")
    done = subprocess.run(
        [ROOT / ".venvs/flink/bin/python", script],
        input=json.dumps(entities),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    written, keys = json.loads(done.stdout)
    assert [json.loads(line) for line in written] == [
        {"type": "RULE_ALERT", "event_json_data": {"entity_id": entity, "rule": "a;b"}}
        for entity in entities
    ]
    # A key is the entity as the record has it, between its quotes.
    assert [json.loads(f'"{key}"') for key in keys] == entities


def test_an_alert_waits_at_most_a_quarter_second_for_its_batch() -> None:
    assert int(options(CONNECTORS / "kinesis" / "outputs.sql")["sink.flush-buffer.timeout"]) <= 250


def test_files_and_the_connector_decode_records_alike() -> None:
    decoding = [
        {name: value for name, value in options(path).items() if name.startswith("json.")}
        for path in (CONNECTORS / "kinesis" / "events.sql", CONNECTORS / "files" / "events.sql")
    ]
    assert decoding[0] == decoding[1]


def test_the_example_properties_fill_every_placeholder_of_the_connector() -> None:
    groups = json.loads((APPLICATION / "application_properties.json").read_text())
    given = {group["PropertyGroupId"]: group["PropertyMap"] for group in groups}
    wanted = {
        name
        for path in (CONNECTORS / "kinesis").glob("*.sql")
        for name in Template(path.read_text()).get_identifiers()
    }
    assert wanted <= set(given["cardwatch.edge"])


def test_the_build_declares_the_connector_in_the_version_whose_options_were_checked() -> None:
    artifact, version = "flink-sql-connector-aws-kinesis-streams", KNOWN["version"]
    assert Artifact("org.apache.flink", artifact, version) == CONNECTOR


def test_what_reaches_another_kinesis_changes_nothing_in_the_production_ddl() -> None:
    added = {"aws.endpoint": "http://127.0.0.1:4566", "aws.credentials.provider": "it's"}
    for table in ("events", "outputs"):
        path = CONNECTORS / "kinesis" / f"{table}.sql"
        values = dict.fromkeys(placeholders(path), "value")
        plain = sql_text(path, values)
        text = with_options(plain, added)
        assert "'aws.endpoint' = 'http://127.0.0.1:4566'," in text
        assert "'aws.credentials.provider' = 'it''s'," in text
        kept = [line for line in text.splitlines() if "'aws.endpoint'" not in line]
        kept = [line.replace("    'aws.credentials.provider' = 'it''s',", "") for line in kept]
        assert "".join("".join(kept).split()) == "".join(plain.split())
        assert with_options(plain, {}) == plain


@pytest.mark.parametrize("text", ["CREATE TABLE t (a INT)", "A WITH (x) B WITH (y)"])
def test_options_are_not_added_where_there_is_not_one_place_for_them(text: str) -> None:
    with pytest.raises(ValueError, match="one WITH clause"):
        with_options(text, {"key": "value"})


def run(
    tmp_path: Path, edge: str, properties: dict[str, str], application: Path = APPLICATION
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "properties.json"
    path.write_text(json.dumps([{"PropertyGroupId": "cardwatch.edge", "PropertyMap": properties}]))
    python = ROOT / ".venvs" / "flink" / "bin" / "python"
    return subprocess.run(
        [python, application / "main.py", "--edge", edge, "--properties", path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.flink
def test_without_the_jar_the_connector_edge_says_in_one_line_what_is_missing(
    tmp_path: Path,
) -> None:
    application = tmp_path / "flink_app"
    shutil.copytree(APPLICATION, application, ignore=shutil.ignore_patterns("lib"))
    done = run(
        tmp_path,
        "connector",
        {
            "stream_arn": "arn:aws:kinesis:us-east-1:000000000000:stream/events",
            "aws_region": "us-east-1",
            "start_position": "TRIM_HORIZON",
            "start_timestamp": "1970-01-01T00:00:00.000Z",
            "poll_interval_ms": "700",
        },
        application,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert CONNECTOR.file in line
    assert "make connector" in line


@pytest.mark.flink
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ["stream 'nowhere' at http://127.0.0.1:9", "start the local stack"]),
        ({"start_position": "LATEST"}, ["cardwatch.edge: start_position", "properties.json"]),
    ],
    ids=["unreachable", "unknown-start"],
)
def test_the_local_edge_says_in_one_line_what_is_wrong(
    tmp_path: Path, changed: dict[str, str], words: list[str]
) -> None:
    properties = {
        "stream_name": "nowhere",
        "aws_region": "us-east-1",
        "endpoint_url": "http://127.0.0.1:9",
    }
    done = run(tmp_path, "local", {**properties, **changed})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    for word in words:
        assert word in line

"""Managed Flink's refusal of options, by Flink's own check of what a program changes.

Since Flink 2.0 a cluster may forbid programs to change its configuration, but for a list of options
(`execution.program-config.*`); Managed Flink does so from 2.2 on. The check is made where the
program ends its plan, in the client, so no cluster is needed.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.flink.running import FLINK_PYTHON, ROOT
from tests.managed_flink import ALLOWED_OPTIONS

from cardwatch.local.services.java import java_home
from cardwatch.settings import program_environment

JARS = sorted((ROOT / "flink_app/lib").glob("*.jar"))
PROPERTIES = {
    "files": {"events_path": "events", "outputs_path": "outputs"},
    "connector": {
        "stream_arn": "arn:aws:kinesis:us-east-1:000000000000:stream/events",
        "scores_stream_arn": "arn:aws:kinesis:us-east-1:000000000000:stream/scores",
        "aws_region": "us-east-1",
        "start_position": "TRIM_HORIZON",
        "start_timestamp": "1970-01-01T00:00:00.000Z",
        "poll_interval_ms": "700",
    },
}
FLINKS_OWN = re.compile(
    r"__table\.query-start\..*"  # the planner's, of every job
    r"|python\.loopback-server\.address"  # of a Python worker in the client, on one machine
    r"|pipeline\.cached-files"  # --pyFiles
)
"""What Flink and PyFlink set by themselves, whatever the program."""

pytestmark = pytest.mark.flink


@pytest.mark.parametrize(
    "edge",
    [
        "files",
        pytest.param(
            "connector",
            marks=pytest.mark.skipif(not JARS, reason="no connector jar in flink_app/lib"),
        ),
    ],
)
def test_a_cluster_with_managed_flinks_list_refuses_no_option_that_the_program_sets(
    edge: str, tmp_path: Path
) -> None:
    refused = refused_options(edge, tmp_path)
    assert refused, "the check was not made"
    assert [option for option in refused if not FLINKS_OWN.fullmatch(option)] == []


def refused_options(edge: str, folder: Path) -> set[str]:
    """Run the program as `flink run` does, and give what the cluster's configuration refuses."""
    home = next((ROOT / ".venvs/flink").glob("lib/python3.*/site-packages/pyflink"))
    (folder / "conf").mkdir()
    configuration = yaml.safe_load((home / "conf/config.yaml").read_text())
    configuration |= {
        "execution.program-config.enabled": False,
        "execution.program-config.wildcards": list(ALLOWED_OPTIONS),
        "python.client.executable": str(FLINK_PYTHON),
        "python.executable": str(FLINK_PYTHON),
    }
    (folder / "conf/config.yaml").write_text(yaml.safe_dump(configuration))
    properties = folder / "properties.json"
    group = {"PropertyGroupId": "cardwatch.edge", "PropertyMap": PROPERTIES[edge]}
    properties.write_text(json.dumps([group]))
    application = ROOT / "flink_app"
    command: list[str | Path] = ["bash", home / "bin/flink", "run", "--target", "local"]
    command += ["--python", application / "main.py", "--pyFiles", application]
    command += ["--edge", edge, "--properties", properties]
    environment = {
        "PATH": os.environ["PATH"],
        "JAVA_HOME": str(java_home()),
        "JVM_ARGS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "FLINK_CONF_DIR": str(folder / "conf"),
        "FLINK_LOG_DIR": str(folder),
    }
    done = subprocess.run(
        command,
        env=program_environment(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "MutatedConfigurationException" in said, said[-3000:]
    return set(
        re.findall(r"^ - Configuration ([\w.-]+?)(?::.*)? (?:not allowed|was )", said, re.MULTILINE)
    )

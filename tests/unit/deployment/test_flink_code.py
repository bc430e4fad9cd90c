"""The application's code reaches the bucket under its hash, and never without the connector."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from tests.fakes import FakeClock
from tests.managed_flink import Context
from tools.flink_package import build_archive

from cardwatch.aws.flink_code import S3CodeStore
from cardwatch.deployment.custom_resource import respond
from cardwatch.deployment.flink_code import KEPT, FlinkCode

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "code"
JAR = "lib/flink-sql-connector-aws-kinesis-streams-6.0.0-2.0.jar"


@pytest.fixture
def s3() -> "Iterator[S3Client]":
    with mock_aws():
        client = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  it opens nothing
        )
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def archive(path: Path, *names: str, code: str = "v1") -> Path:
    with zipfile.ZipFile(path, "w") as written:
        for name in names:
            written.writestr(zipfile.ZipInfo(name), code)
    return path


def ask(client: "S3Client", path: Path, kind: str, *, seconds: float = 900) -> dict[str, Any]:
    bodies: list[bytes] = []
    event = {
        "RequestType": kind,
        "RequestId": "request-1",
        "ResponseURL": "https://answers.example/",
        "StackId": "stack",
        "LogicalResourceId": "FlinkCode",
        "ResourceProperties": {"Bucket": BUCKET, "Version": "arn"},
    }
    if kind != "Create":
        event["PhysicalResourceId"] = f"{BUCKET}/flink_app/"
    clock = FakeClock()
    respond(
        event,
        Context(clock, seconds),
        FlinkCode(path, S3CodeStore(client), clock.sleep).handle,
        put=lambda _address, body: bodies.append(body),
    )
    answer: dict[str, Any] = json.loads(bodies[0])
    return answer


def keys(client: "S3Client") -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_the_archive_is_copied_whole_to_a_key_that_its_content_decides(
    s3: "S3Client", tmp_path: Path
) -> None:
    first = archive(tmp_path / "1.zip", "main.py", JAR)
    answer = ask(s3, first, "Create")
    assert answer["Status"] == "SUCCESS", answer
    key = answer["Data"]["Key"]
    assert answer["Data"]["Jar"] == JAR
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == first.read_bytes()
    again = ask(s3, archive(tmp_path / "2.zip", "main.py", JAR), "Update")
    assert (again["Data"], again["PhysicalResourceId"]) == (
        answer["Data"],
        answer["PhysicalResourceId"],
    )
    other = ask(s3, archive(tmp_path / "3.zip", "main.py", JAR, code="v2"), "Update")
    assert other["Data"]["Key"] != key
    assert keys(s3) == sorted([key, other["Data"]["Key"]])


@pytest.mark.parametrize(
    "names",
    [
        ["main.py"],
        ["main.py", "lib/another.jar"],
        ["main.py", JAR, JAR.replace("6.0.0", "6.0.1")],
        [JAR],
    ],
)
def test_an_application_that_could_not_run_is_never_copied(
    s3: "S3Client", tmp_path: Path, names: list[str]
) -> None:
    answer = ask(s3, archive(tmp_path / "a.zip", *names), "Create")
    assert answer["Status"] == "FAILED"
    assert "make connector" in answer["Reason"]
    assert keys(s3) == []


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_an_artifact_that_was_built_without_the_application_says_how_to_build_it(
    s3: "S3Client", tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "flink_app.zip"
    if content is not None:
        path.write_bytes(content)
    answer = ask(s3, path, "Create")
    assert answer["Status"] == "FAILED"
    for words in ("holds no Flink application", "make connector", "sam build"):
        assert words in answer["Reason"]


def test_what_the_build_packs_is_accepted(s3: "S3Client", tmp_path: Path) -> None:
    application = tmp_path / "flink_app"
    (application / "lib").mkdir(parents=True)
    (application / "main.py").write_text("print()\n")
    (application / JAR).write_bytes(b"jar")
    pom = Path(__file__).resolve().parents[3] / "flink_app" / "pom.xml"
    (application / "pom.xml").write_text(pom.read_text())
    build_archive(application, tmp_path / "flink_app.zip")
    assert ask(s3, tmp_path / "flink_app.zip", "Create")["Data"]["Jar"] == JAR


def test_of_many_archives_the_newest_stay(s3: "S3Client", tmp_path: Path) -> None:
    made = []
    for number in range(KEPT + 3):
        path = archive(tmp_path / f"{number}.zip", "main.py", JAR, code=f"v{number}")
        made.append(ask(s3, path, "Update")["Data"]["Key"])
    assert len(keys(s3)) == KEPT
    assert made[-1] in keys(s3)


def test_deleting_empties_the_bucket_of_every_version(s3: "S3Client", tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", "main.py", JAR)
    key = ask(s3, path, "Create")["Data"]["Key"]
    ask(s3, path, "Update")
    s3.delete_object(Bucket=BUCKET, Key=key)
    assert ask(s3, path, "Delete")["Status"] == "SUCCESS"
    s3.delete_bucket(Bucket=BUCKET)  # which is refused while anything is in it


def test_deleting_with_a_bucket_that_is_gone_succeeds(s3: "S3Client", tmp_path: Path) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    assert ask(s3, tmp_path / "none.zip", "Delete")["Status"] == "SUCCESS"


def test_a_bucket_too_full_for_the_time_left_is_said_to_be(s3: "S3Client", tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", "main.py", JAR)
    ask(s3, path, "Create")
    answer = ask(s3, path, "Delete", seconds=60)
    assert answer["Status"] == "FAILED"
    assert "time is up" in answer["Reason"]
    assert keys(s3)


def test_a_bucket_that_refuses_is_named_with_its_words(s3: "S3Client", tmp_path: Path) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    answer = ask(s3, archive(tmp_path / "a.zip", "main.py", JAR), "Create")
    assert answer["Status"] == "FAILED"
    for words in (BUCKET, "NoSuchBucket"):
        assert words in answer["Reason"]


@pytest.mark.parametrize(("refusals", "status"), [(3, "SUCCESS"), (1000, "FAILED")])
def test_a_right_that_is_seconds_old_is_waited_for_a_minute(
    s3: "S3Client", tmp_path: Path, refusals: int, status: str
) -> None:
    path = archive(tmp_path / "1.zip", "main.py", JAR)
    left = [ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")] * refusals

    def refuse(**_: object) -> None:
        if left:
            raise left.pop()

    s3.meta.events.register("before-call.s3.PutObject", refuse)
    answer = ask(s3, path, "Create")
    assert answer["Status"] == status
    if status == "FAILED":
        assert "AccessDenied" in answer["Reason"]
        assert refusals - len(left) == 13

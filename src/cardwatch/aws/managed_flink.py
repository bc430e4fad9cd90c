"""The Managed Flink application, by the Kinesis Analytics V2 API."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from botocore.exceptions import ClientError

from cardwatch.aws.failures import FAILURES, Failure, code, passes, reason
from cardwatch.deployment.flink_application import (
    Application,
    ApplicationBusyError,
    ApplicationMissingError,
    ApplicationRefusedError,
    Operation,
)

if TYPE_CHECKING:
    from mypy_boto3_kinesisanalyticsv2 import KinesisAnalyticsV2Client
    from mypy_boto3_kinesisanalyticsv2.type_defs import PropertyGroupTypeDef

_BUSY: Final = frozenset({"ConcurrentModificationException", "ResourceInUseException"})
"""Its own error codes of calls that may be taken a moment later."""

T = TypeVar("T")


class ManagedFlink:
    """An ApplicationApi of the service."""

    def __init__(self, client: "KinesisAnalyticsV2Client") -> None:
        """Use a client of `kinesisanalyticsv2`."""
        self._client = client

    def describe(self, name: str) -> Application:
        """Describe the application."""
        answer = _call(lambda: self._client.describe_application(ApplicationName=name))
        detail = answer["ApplicationDetail"]
        described = detail.get("ApplicationConfigurationDescription", {}).get(
            "EnvironmentPropertyDescriptions", {}
        )
        return Application(
            status=detail["ApplicationStatus"],
            version=detail["ApplicationVersionId"],
            properties={
                group["PropertyGroupId"]: group["PropertyMap"]
                for group in described.get("PropertyGroupDescriptions", [])
            },
        )

    def start(self, name: str, *, restore: bool) -> str | None:
        """Begin to start it; state that does not fit the code makes the start fail."""
        answer = _call(
            lambda: self._client.start_application(
                ApplicationName=name,
                RunConfiguration={
                    "FlinkRunConfiguration": {"AllowNonRestoredState": False},
                    "ApplicationRestoreConfiguration": {
                        "ApplicationRestoreType": "RESTORE_FROM_LATEST_SNAPSHOT"
                        if restore
                        else "SKIP_RESTORE_FROM_SNAPSHOT"
                    },
                },
            )
        )
        return answer.get("OperationId")

    def stop(self, name: str, *, force: bool) -> str | None:
        """Begin to stop it, with a snapshot unless forced."""
        answer = _call(lambda: self._client.stop_application(ApplicationName=name, Force=force))
        return answer.get("OperationId")

    def set_properties(
        self, name: str, version: int, groups: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Replace all property groups of that version of it."""
        listed: list[PropertyGroupTypeDef] = [
            {"PropertyGroupId": group, "PropertyMap": dict(values)}
            for group, values in groups.items()
        ]
        _call(
            lambda: self._client.update_application(
                ApplicationName=name,
                CurrentApplicationVersionId=version,
                ApplicationConfigurationUpdate={
                    "EnvironmentPropertyUpdates": {"PropertyGroups": listed}
                },
            )
        )

    def latest_snapshot(self, name: str) -> datetime | None:
        pages = self._client.get_paginator("list_application_snapshots").paginate(
            ApplicationName=name
        )
        found = _call(lambda: [item for page in pages for item in page["SnapshotSummaries"]])
        return max(
            (
                item["SnapshotCreationTimestamp"]
                for item in found
                if item["SnapshotStatus"] == "READY" and "SnapshotCreationTimestamp" in item
            ),
            default=None,
        )

    def operation(self, name: str, identity: str) -> Operation:
        """Say what became of an operation."""
        answer = _call(
            lambda: self._client.describe_application_operation(
                ApplicationName=name, OperationId=identity
            )
        )
        details = answer["ApplicationOperationInfoDetails"]
        error = details.get("OperationFailureDetails", {}).get("ErrorInfo", {})
        return Operation(
            status=details["OperationStatus"],
            reason=error.get("ErrorString", "the service gives no reason"),
        )


def _call(call: Callable[[], T]) -> T:
    """Make a call; raises the errors of ApplicationApi."""
    try:
        return call()
    except FAILURES as error:
        if passes(error, _BUSY):
            raise ApplicationBusyError(code(error)) from None
        if code(error) == "ResourceNotFoundException":
            raise ApplicationMissingError(reason(error)) from None
        raise ApplicationRefusedError(code(error), _words(error)) from None


def _words(error: Failure) -> str:
    if isinstance(error, ClientError):
        return error.response["Error"].get("Message", "")
    return str(error)

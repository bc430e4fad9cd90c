"""AWS clients with named time-outs and retries.

The endpoint and the credentials come from botocore's own chain (AWS_ENDPOINT_URL, profile, role);
a program of the one-machine stack passes them instead.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesisanalyticsv2 import KinesisAnalyticsV2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_redshift_data import RedshiftDataAPIServiceClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


def _config(*, tries: int, read_timeout: float) -> Config:
    return Config(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": tries},
        max_pool_connections=10,
    )


_IMPATIENT = _config(tries=1, read_timeout=2).merge(Config(connect_timeout=1))


def refuse_half_answers(response_dict: Mapping[str, Any], **_: object) -> None:
    """Raise ResponseParserError for an answer whose connection was lost in the middle.

    botocore looks at no length: half a JSON document is an answer without any field to it, and
    would be taken for a table without the item, or a put without a failed record.
    """
    length, body = response_dict["headers"].get("content-length"), response_dict["body"]
    if length is None or not isinstance(body, bytes):
        return  # chunks have an end of their own, and a stream looks at its length itself
    if 0 < len(body) < int(length):
        msg = f"the answer was cut off: {len(body)} of {length} bytes"
        raise ResponseParserError(msg)


class AwsClients:
    """Makes clients of one session and, where given, one endpoint."""

    def __init__(
        self, session: boto3.Session | None = None, *, endpoint_url: str | None = None
    ) -> None:
        """Use a session (default: botocore's own chain) and an endpoint (default: AWS)."""
        self._session = session or boto3.Session()
        self._session.events.register(
            "before-parse", refuse_half_answers, unique_id="cardwatch-half-answers"
        )
        self._endpoint_url = endpoint_url

    @property
    def region(self) -> str | None:
        return self._session.region_name

    def cloudformation(self) -> "CloudFormationClient":
        """Give a client that retries."""
        return self._session.client(
            "cloudformation",
            endpoint_url=self._endpoint_url,
            config=_config(tries=2, read_timeout=10),
        )

    def kinesis(self) -> "KinesisClient":
        """Give a client that never retries: KinesisEventStream resends, counts and gives up."""
        return self._session.client(
            "kinesis", endpoint_url=self._endpoint_url, config=_config(tries=1, read_timeout=5)
        )

    def dynamodb(self) -> "DynamoDBClient":
        """Give a client that retries; a repeated transaction carries the same client token."""
        return self._session.client(
            "dynamodb", endpoint_url=self._endpoint_url, config=_config(tries=4, read_timeout=3)
        )

    def impatient_dynamodb(self) -> "DynamoDBClient":
        """Give a client that fails within a second or two, because events wait for it."""
        config = _config(tries=1, read_timeout=1).merge(Config(connect_timeout=1))
        return self._session.client("dynamodb", endpoint_url=self._endpoint_url, config=config)

    def managed_flink(self) -> "KinesisAnalyticsV2Client":
        """Give a client that retries; a repeated start or stop is refused, not done twice."""
        return self._session.client(
            "kinesisanalyticsv2",
            endpoint_url=self._endpoint_url,
            config=_config(tries=4, read_timeout=10),
        )

    def redshift_data(self) -> "RedshiftDataAPIServiceClient":
        """Give a client that tries twice; RedshiftDataSession knows what to wait for."""
        return self._session.client(
            "redshift-data",
            endpoint_url=self._endpoint_url,
            config=_config(tries=2, read_timeout=15),
        )

    def sns(self) -> "SNSClient":
        """Give a client that never retries: a hidden second try could be an unmarked repeat."""
        return self._session.client(
            "sns", endpoint_url=self._endpoint_url, config=_config(tries=1, read_timeout=5)
        )

    def impatient_sns(self) -> "SNSClient":
        """Give a client that fails within 3 s, because pages wait for what it asks."""
        return self._session.client("sns", endpoint_url=self._endpoint_url, config=_IMPATIENT)

    def sqs(self) -> "SQSClient":
        """Give a client that outwaits the longest poll, 20 s."""
        return self._session.client(
            "sqs", endpoint_url=self._endpoint_url, config=_config(tries=4, read_timeout=25)
        )

    def impatient_sqs(self) -> "SQSClient":
        """Give a client that fails within 3 s: a function that times out forgets what it did."""
        return self._session.client("sqs", endpoint_url=self._endpoint_url, config=_IMPATIENT)

    def impatient_secrets(self) -> "SecretsManagerClient":
        """Give a client that fails within 3 s, because pages wait for it."""
        return self._session.client(
            "secretsmanager", endpoint_url=self._endpoint_url, config=_IMPATIENT
        )

    def lambda_(self) -> "LambdaClient":
        """Give a client that retries: for what may be called twice."""
        return self._session.client(
            "lambda", endpoint_url=self._endpoint_url, config=_config(tries=3, read_timeout=20)
        )

    def impatient_lambda(self, *, patience_seconds: float = 5) -> "LambdaClient":
        """Give a client that never retries, or calls would double; it waits so long for one."""
        config = _config(tries=1, read_timeout=patience_seconds)
        return self._session.client("lambda", endpoint_url=self._endpoint_url, config=config)

    def s3(self) -> "S3Client":
        """Give a client that retries; the same object twice is one object."""
        return self._session.client(
            "s3", endpoint_url=self._endpoint_url, config=_config(tries=4, read_timeout=10)
        )

    def impatient_s3(self) -> "S3Client":
        """Give a client that fails within 3 s, because events wait for it."""
        return self._session.client("s3", endpoint_url=self._endpoint_url, config=_IMPATIENT)

    def secrets(self) -> "SecretsManagerClient":
        """Give a client that retries."""
        return self._session.client(
            "secretsmanager",
            endpoint_url=self._endpoint_url,
            config=_config(tries=4, read_timeout=5),
        )

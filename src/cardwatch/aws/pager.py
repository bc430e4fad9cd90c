"""Pages through an Amazon SNS topic."""

import json
from typing import TYPE_CHECKING, Final

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from cardwatch.aws.failures import FAILURES, Failure, code
from cardwatch.paging.ports import (
    PageMayBeSentError,
    PageMessage,
    PageNotSentError,
    PageRefusedError,
)

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_SERVER_ERROR: Final = 500
_NEVER_REACHED: Final = (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError)
_REFUSED: Final = frozenset(
    {"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "ValidationException"}
)
"""What SNS says of a message that is too long, or holds what it does not take (Amazon SNS API
Reference, Publish, "Errors")."""


class SnsPager:
    """Publishes a page once; the topic's subscriptions (e-mail, SQS, …) take it from there.

    Message attributes, for machines: `page_id`; `kind`; `alert_ids`, a String.Array (JSON) of every
    alert the page accounts for; `alert_count`; `repeat`, "true" or "false".
    """

    channel = "sns"

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        """Use a topic through a client that does not retry by itself (`AwsClients.sns`)."""
        self._client = client
        self._topic_arn = topic_arn

    def send(self, message: PageMessage) -> None:
        """Publish one page; raises PageNotSentError, PageRefusedError or PageMayBeSentError."""
        try:
            self._client.publish(
                TopicArn=self._topic_arn,
                Subject=message.subject,
                Message=message.text,
                MessageAttributes={
                    "page_id": {"DataType": "String", "StringValue": message.page_id},
                    "kind": {"DataType": "String", "StringValue": message.kind},
                    "alert_ids": {
                        "DataType": "String.Array",
                        "StringValue": json.dumps(message.alert_ids, separators=(",", ":")),
                    },
                    "alert_count": {
                        "DataType": "Number",
                        "StringValue": str(len(message.alert_ids)),
                    },
                    "repeat": {"DataType": "String", "StringValue": str(message.repeat).lower()},
                },
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status >= _SERVER_ERROR:
                raise PageMayBeSentError(_problem(self._topic_arn, error)) from error
            if code(error) in _REFUSED:
                raise PageRefusedError(_problem(self._topic_arn, error)) from error
            raise PageNotSentError(_problem(self._topic_arn, error)) from error
        except ParamValidationError as error:
            raise PageRefusedError(_problem(self._topic_arn, error)) from error
        except _NEVER_REACHED as error:
            raise PageNotSentError(_problem(self._topic_arn, error)) from error
        except FAILURES as error:
            # A time-out, a connection that broke, an answer that nobody can read.
            raise PageMayBeSentError(_problem(self._topic_arn, error)) from error


def _problem(topic_arn: str, error: Failure) -> str:
    return f"publishing to {topic_arn} failed: {code(error)}"

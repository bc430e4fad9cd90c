"""Wires what the command line publishes rules with, and what publishes them again."""

from collections.abc import Callable, Sequence

from aws_lambda_powertools import Logger

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.rule_history import S3RuleHistory
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock, StreamEntry
from cardwatch.rules.errors import PublicationError, RuleHistoryUnavailableError
from cardwatch.rules.publication import RuleHistory, in_use, newest_first


def build_rule_history(delivery_bucket: str, clients: AwsClients) -> RuleHistory:
    """Give the versions that were published on a stack."""
    return S3RuleHistory(clients.s3(), delivery_bucket, SystemClock())


def build_rules_again(
    delivery_bucket: str, *, logger: Logger, clock: Clock, clients: AwsClients
) -> Callable[[], Sequence[StreamEntry]]:
    """Give what the records of the rules in use are asked of, to publish them again.

    It gives none, and says why in the log, where they cannot be read: events go on.
    """
    history = S3RuleHistory(clients.impatient_s3(), delivery_bucket, clock)

    def rules() -> Sequence[StreamEntry]:
        try:
            used = in_use(newest_first(history))
            return [entry for publication in used for entry in publication.entries()]
        except (PublicationError, RuleHistoryUnavailableError) as error:
            logger.warning("rules not published again", extra={"error": str(error)})
            return ()

    return rules

"""What acting on pages logs and counts; no link is in it, for whoever has one may act."""

from dataclasses import dataclass

from aws_lambda_powertools import Logger, Metrics

from cardwatch.acts.answers import Answer, answer_get, answer_post
from cardwatch.acts.desk import ActDesk
from cardwatch.observability import count


@dataclass(frozen=True, slots=True)
class MeasuredDesk:
    """The desk as its handler calls it."""

    desk: ActDesk
    logger: Logger
    metrics: Metrics

    def get(self, link: str) -> Answer:
        """Show a link's page."""
        return self._told("GET", answer_get(self.desk, link))

    def post(self, link: str, body: bytes, content_type: str) -> Answer:
        """Do what a form asks."""
        return self._told("POST", answer_post(self.desk, link, body, content_type))

    def _told(self, method: str, answer: Answer) -> Answer:
        count(self.metrics, "ActsDone", 1 if answer.done else 0)
        count(self.metrics, "ActsRefused", 1 if answer.refused else 0)
        count(self.metrics, "ActProblems", 1 if answer.problem else 0)
        self.logger.info(
            "answered",
            method=method,
            status=answer.status,
            done=answer.done,
            refused=answer.refused,
        )
        if answer.problem:
            self.logger.error("not done", problem=answer.problem)
        return answer

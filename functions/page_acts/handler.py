"""The links of pages: GET shows a page, POST takes what somebody does about it."""

import base64
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from cardwatch.acts.answers import Answer
from cardwatch.acts.html import HEADERS
from cardwatch.bootstrap.page_acts import build_page_acts
from cardwatch.observability import get_logger, get_metrics
from cardwatch.settings import PageActsSettings

logger = get_logger("page_acts")
metrics = get_metrics("page_acts")
desk = build_page_acts(PageActsSettings.from_env(), logger=logger, metrics=metrics)
app = APIGatewayHttpResolver()


@app.get("/pages/<link>")
def show(link: str) -> Response[str]:
    """Show a page; nothing is done, for mail scanners follow links too."""
    return _response(desk.get(link))


@app.post("/pages/<link>")
def act(link: str) -> Response[str]:
    """Do what the page's form asks."""
    event = app.current_event
    text = event.body or ""
    body = base64.b64decode(text) if event.is_base64_encoded else text.encode(errors="replace")
    return _response(desk.post(link, body, event.headers.get("content-type", "")))


def _response(answer: Answer) -> Response[str]:
    headers = {name: value for name, value in HEADERS.items() if name != "Content-Type"}
    return Response(answer.status, HEADERS["Content-Type"], answer.html, headers=headers)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return app.resolve(event, context)

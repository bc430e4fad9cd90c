"""What the desk answers a browser: a status and a page, whatever happens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from cardwatch.acts.book import NoSuchPageError, NotRecordedError, NotTakenError
from cardwatch.acts.desk import ActDesk, ForeignFormError
from cardwatch.acts.html import notice_html, page_html
from cardwatch.acts.links import BadLinkError, ExpiredLinkError
from cardwatch.acts.ports import LinkKeysUnavailableError
from cardwatch.contract.act import Act
from cardwatch.paging.ports import LedgerUnavailableError

MAX_FORM: Final = 4096
"""Bytes; what a person types takes a few hundred."""
FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 10

_PHONE: Final = "The page itself says what to do; act by phone if it is urgent."

_REFUSALS: Final[dict[type[Exception], tuple[int, str, str, str]]] = {
    BadLinkError: (
        403,
        "link",
        "No such link",
        "This address is none of ours, or no longer. Take the one of the newest page.",
    ),
    ExpiredLinkError: (
        410,
        "expired",
        "This link has expired",
        "A link holds for 72 hours. Nothing was done.",
    ),
    NoSuchPageError: (404, "page", "No such page", "This page is not known any more."),
    ForeignFormError: (
        403,
        "token",
        "Not this page's form",
        "The form does not come from this page. Open the link again; nothing was done.",
    ),
}
"""Status, the word it is counted under, title and text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser gets."""

    status: int
    html: str
    done: Act | None = None
    """What was done by this very request."""
    refused: str | None = None
    """Why the request was not served, in one word, for counting."""
    problem: str | None = None
    """What did not work on our side, for the log."""


def answer_get(desk: ActDesk, link: str) -> Answer:
    """Show a link's page."""
    return _answer(lambda: Answer(200, page_html(desk.show(link))))


def answer_post(desk: ActDesk, link: str, body: bytes, content_type: str) -> Answer:
    """Do what a form asks, and show the page as it is then."""
    form = _fields(body, content_type)
    if form is None:
        return _told(400, "form", "No form", "What came is not the form of a page.")

    def act() -> Answer:
        shown, done = desk.act(link, form)
        if shown.problem:
            return Answer(422, page_html(shown), refused="form")
        return Answer(200, page_html(shown), done=done.act if done else None)

    return _answer(act)


def _fields(body: bytes, content_type: str) -> Mapping[str, str] | None:
    """Read a form; None when it is none. Of a field that comes twice the first counts."""
    if len(body) > MAX_FORM or content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        return None
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _answer(serve: Callable[[], Answer]) -> Answer:
    try:
        return serve()
    except tuple(_REFUSALS) as error:
        return _told(*_REFUSALS[type(error)])
    except NotTakenError as error:
        text = f"Nothing was done: the act could not be written down. Try again soon. {_PHONE}"
        return _failed("Not done", text, str(error))
    except NotRecordedError as error:
        text = "It is not sure that this was done. Send it again, it counts once."
        return _failed("Not sure", text, str(error))
    except (LinkKeysUnavailableError, LedgerUnavailableError) as error:
        text = f"The page cannot be shown now. Try again soon. {_PHONE}"
        return _failed("Not now", text, str(error))


def _told(status: int, refused: str, title: str, text: str) -> Answer:
    return Answer(status, notice_html(title, text), refused=refused)


def _failed(title: str, text: str, problem: str) -> Answer:
    return Answer(503, notice_html(title, text), problem=problem)

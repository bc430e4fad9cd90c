"""The page in a browser of a phone's size: real Chromium, where one is on the machine.

The screenshot that docs/acts.md shows is left in `.build/acts`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route
from tests.browser import IN_A_BROWSER, axe_violations, chromium
from tests.unit.acts.support import Office
from tests.unit.paging.support import alert_event

from cardwatch.acts.answers import answer_post
from cardwatch.acts.html import HEADERS

SCREENSHOTS: Final = Path(__file__).parents[3] / ".build" / "acts"
WIDTH: Final = 390
"""Of a phone, in CSS pixels."""
FINGER: Final = 44
"""What a finger hits, by WCAG 2.5.5."""
ADDRESS: Final = "https://pages.example"

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def on_a_phone(browser: Browser, office: Office, *, scripts: bool) -> Page:
    """Give a phone that reaches this office's desk and nothing else."""

    def serve(asked: Route) -> None:
        request = asked.request
        link = request.url.removeprefix(f"{ADDRESS}/pages/")
        if not request.url.startswith(f"{ADDRESS}/pages/"):
            asked.abort()
        elif request.method == "POST":
            body, form = request.post_data_buffer or b"", request.header_value("content-type")
            answer = answer_post(office.desk, link, body, form or "")
            asked.fulfill(status=answer.status, body=answer.html, headers=HEADERS)
        else:
            answer = office.get(link)
            asked.fulfill(status=answer.status, body=answer.html, headers=HEADERS)

    context = browser.new_context(
        viewport={"width": WIDTH, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        java_script_enabled=scripts,
        # Only the axe of this test, which the page's own policy would refuse.
        bypass_csp=scripts,
    )
    context.set_default_timeout(60_000)
    context.route("**/*", serve)
    return context.new_page()


def test_on_a_phone_without_javascript_a_page_is_read_and_acknowledged(browser: Browser) -> None:
    office = Office()
    page = office.paged(alert_event(1), alert_event(2, amount="310.00", merchant_id="mer_0042"))
    phone = on_a_phone(browser, office, scripts=False)
    phone.goto(f"{ADDRESS}/pages/{office.link(page)}")
    for button in phone.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= FINGER
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= WIDTH
    phone.get_by_label("Your name").fill("Ana Vella")
    phone.get_by_role("button", name="Acknowledge").click()
    phone.get_by_role("status").wait_for()
    assert phone.get_by_role("status").inner_text() == "Done."
    phone.get_by_text("Ana Vella (as typed) acknowledged it").wait_for()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    phone.screenshot(path=SCREENSHOTS / "act-page.png", full_page=True)
    [act] = office.on_stream()
    assert (act.act, act.by) == ("ACKNOWLEDGED", "Ana Vella")
    phone.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_page_is_accessible_and_as_wide_as_the_screen(
    scheme: str, browser: Browser
) -> None:
    office = Office()
    page = office.paged(alert_event(1, merchant_id="m" * 80))
    phone = on_a_phone(browser, office, scripts=True)
    phone.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    phone.goto(f"{ADDRESS}/pages/{office.link(page)}")
    assert phone.evaluate("document.documentElement.scrollWidth") <= WIDTH
    found = [f"{each['id']}: {each['nodes'][0]['html']}" for each in axe_violations(phone)]
    assert found == []
    phone.context.close()

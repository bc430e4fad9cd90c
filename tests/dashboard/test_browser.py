"""The dashboard as a browser shows it: real Chromium, where one is on the machine.

Screenshots of every page, light and dark, are left in `.build/dashboard`.
"""

import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route
from tests.browser import IN_A_BROWSER, axe_violations, chromium
from tests.dashboard.conftest import OBJECTIVE_SECONDS, ROOT, Load
from tests.dashboard.events import CARD, ago, alert, page, payment, rule_alert, score, stolen
from tests.e2e.test_main_job import wait_until

from cardwatch.local.processes.ports import free_port
from cardwatch.local.warehouse import WarehouseServer

SCREENSHOTS: Final = ROOT / ".build" / "dashboard"
ADDRESSES: Final = {
    "now": "/",
    "scores": "/scores",
    "map": "/map",
    "card": f"/card?id={CARD}",
    "account": "/account?id=acc_00042",
    "merchant": "/merchant?id=mer_0007",
    "paging": "/paging",
    "rules": "/rules",
    "pipeline": "/pipeline",
}

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def served(server: WarehouseServer, load: Load, tmp_path: Path) -> Iterator[str]:
    """The dashboard over a warehouse in which something happened; gives its address."""
    places = ["MT", "DE", "DE", "US", "BR"]
    paid = [payment(f"pay_{n}", ago(1200 - 20 * n), country=places[n // 2 % 5]) for n in range(50)]
    found = [alert(each) for each in paid[::5]]
    of_rule = rule_alert("large_amount", "merchant", "mer_0007", ago(100))
    load(
        [
            *(stolen(CARD, ago(4000)), *paid, *found, of_rule),
            *(score(each) for each in paid[1::2]),
            *(score(each, ("stolen_card", 60), ("velocity_card", 25)) for each in paid[::10]),
            *(page(f"page-{n}", ago(1194 - 100 * n), each) for n, each in enumerate(found)),
        ]
    )
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "dashboard.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", "dashboard/app.py"),
                f"--server.port={port}",
                "--",
                f"--postgres={server.folder}",
                f"--status={tmp_path / 'status.json'}",
                f"--page-objective-seconds={OBJECTIVE_SECONDS}",
            ],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: answers(address), 60)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def open_page(shown: Page, address: str) -> None:
    shown.goto(address)
    shown.wait_for_selector('[data-testid="stAppViewContainer"] h1')
    shown.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    shown.wait_for_timeout(1500)  # charts settle


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_asks_no_foreign_host(
    scheme: str, browser: Browser, served: str
) -> None:
    foreign: Counter[str] = Counter()

    def route(asked: Route) -> None:
        if asked.request.url.startswith((served, "data:", "blob:")):
            asked.continue_()
        else:
            foreign[asked.request.url] += 1
            asked.abort()

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 1280, "height": 1600},
    )
    context.route("**/*", route)
    shown = context.new_page()
    found: dict[str, list[str]] = {}
    for name, where in ADDRESSES.items():
        open_page(shown, served + where)
        shown.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png")
        found[name] = [
            f"{each['id']}: {each['nodes'][0]['html']}"
            for each in axe_violations(shown)
            if each["impact"] in {"serious", "critical"}
        ]
    context.close()
    assert found == {name: [] for name in ADDRESSES}
    assert foreign == Counter()


def test_a_link_in_the_alerts_leads_to_the_cards_page_and_new_rows_come_by_themselves(
    browser: Browser, served: str, load: Load
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    shown = context.new_page()
    open_page(shown, served)
    shown.get_by_role("link", name="card ••4242").first.click()
    shown.get_by_role("heading", name="Timeline").wait_for()
    assert CARD in shown.url
    table = shown.get_by_role("table", name="Payments, alerts and pages of this card")
    table.get_by_role("columnheader", name="Merchant").wait_for()

    load([payment("pay_new", ago(1), merchant_id="mer_0777")])

    table.get_by_role("link", name="mer_0777").wait_for(timeout=20_000)
    context.close()

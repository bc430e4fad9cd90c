"""Real Chromium for tests of what people see, where one is on the machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
_AXE: Final = Path(axe_playwright_python.__file__).with_name("axe.min.js")
_QUIET: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

IN_A_BROWSER: Final = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on this machine"),
    # Playwright talks to its driver through pipes, and leaves its event loop's sockets to the end.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.enable_socket,
]
"""The marks of a module whose tests use one."""


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield browser
        browser.close()


def axe_violations(page: Page) -> list[dict[str, Any]]:
    """Give what axe-core finds wrong with a page for people who see or hear it otherwise."""
    page.evaluate(_AXE.read_text("utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return list(result["violations"])

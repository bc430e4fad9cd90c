"""Signed links: whoever has one may see its page and act on it until it expires.

A link is `<page id>.<expiry>.<key id>.<signature>`: the expiry in seconds since 1970, hexadecimal,
and HMAC-SHA-256 over all before it. Texts are compared, never decoded, so no other spelling of a
link is that link.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cardwatch.acts.keyring import Keyring
from cardwatch.acts.ports import LinkKey

HOLDS_FOR: Final = timedelta(hours=72)
MAX_LINK: Final = 300
"""Characters; a page's id has at most 128."""
_PARTS: Final = 4


class BadLinkError(Exception):
    """Nobody signed this link with a key that counts; the text does not quote it."""


class ExpiredLinkError(Exception):
    """The link was a good one, and its time is over."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was verified."""

    text: str
    page_id: str
    expires_at: datetime
    key: LinkKey

    @property
    def link_id(self) -> str:
        """Name the link without being one: SHA-256 over what is signed, without the signature."""
        return hashlib.sha256(self.text.rpartition(".")[0].encode()).hexdigest()

    def form_token(self, seen: str) -> str:
        """Give what a form on this link's page must bring along; `seen` is what it was made of."""
        return _signature(self.key, "form", f"{self.text}.{seen}")

    def is_form_token(self, token: str, seen: str) -> bool:
        """Say whether a form came from this link's page."""
        return hmac.compare_digest(token.encode(), self.form_token(seen).encode())


def sign(page_id: str, expires_at: datetime, key: LinkKey) -> str:
    """Give a link's text; the expiry counts to the second."""
    signed = f"{page_id}.{int(expires_at.timestamp()):x}.{key.key_id}"
    return f"{signed}.{_signature(key, 'link', signed)}"


def verify(text: str, keyring: Keyring, now: datetime) -> Link:
    """Read a link; raises BadLinkError, ExpiredLinkError or LinkKeysUnavailableError."""
    parts = text.rsplit(".", _PARTS - 1) if len(text) <= MAX_LINK and text.isascii() else []
    key = keyring.find(parts[2]) if len(parts) == _PARTS else None
    if key is None:
        msg = "the link is not one of ours, or its key counts no longer"
        raise BadLinkError(msg)
    page_id, expiry, _, signature = parts
    signed = text.rpartition(".")[0]
    if not hmac.compare_digest(signature.encode(), _signature(key, "link", signed).encode()):
        msg = "the link is not as it was sent"
        raise BadLinkError(msg)
    expires_at = datetime.fromtimestamp(int(expiry, 16), UTC)
    if now >= expires_at:
        msg = f"the link expired at {expires_at:%Y-%m-%d %H:%M} UTC"
        raise ExpiredLinkError(msg)
    return Link(text, page_id, expires_at, key)


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """Makes the links that pages carry."""

    keyring: Keyring
    address: str
    """Where pages are shown, without a slash at its end."""

    def link(self, page_id: str, since: datetime) -> str:
        """Give a page's address for 72 hours from `since`; raises LinkKeysUnavailableError."""
        return f"{self.address}/pages/{sign(page_id, since + HOLDS_FOR, self.keyring.current())}"


def _signature(key: LinkKey, what: str, text: str) -> str:
    """Sign a text for one purpose: what is signed as a form is no link."""
    digest = hmac.digest(key.secret, f"{what}\n{text}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

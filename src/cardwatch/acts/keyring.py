"""The keys of links, remembered for a while: a page must not wait for them."""

from datetime import timedelta
from typing import Final

from cardwatch.acts.ports import LinkKey, LinkKeys, LinkKeyStore, LinkKeysUnavailableError
from cardwatch.ports import Clock

KEPT_FOR: Final = timedelta(minutes=5)
"""How long keys are used before they are read again; after a rotation the older one signs on."""
ASKED_AGAIN_AFTER: Final = timedelta(seconds=10)
"""How long after a look the next one is at the earliest: for a key that nobody knows, or after a
failure. So links with made-up keys cost no more than that."""


class Keyring:
    """Reads keys and remembers them; those that it has outlast a store that does not answer."""

    def __init__(self, store: LinkKeyStore, clock: Clock) -> None:
        """Use one store."""
        self._store = store
        self._clock = clock
        self._keys: LinkKeys | None = None
        self._read_at: float | None = None
        self._looked_at: float | None = None

    def current(self) -> LinkKey:
        """Give the key that signs; raises LinkKeysUnavailableError."""
        return self._known(KEPT_FOR).current

    def find(self, key_id: str) -> LinkKey | None:
        """Give the key of an id, or None when there is no such key (any more).

        One that is not known may have come with a rotation just now, so it is looked for again.
        Raises LinkKeysUnavailableError.
        """
        return self._known(KEPT_FOR).find(key_id) or self._known(timedelta(0)).find(key_id)

    def _known(self, at_most: timedelta) -> LinkKeys:
        now = self._clock.monotonic()
        age = None if self._read_at is None else now - self._read_at
        if (age is None or age >= at_most.total_seconds()) and self._may_look(now):
            self._looked_at = now
            try:
                self._keys = self._store.read()
                self._read_at = now
            except LinkKeysUnavailableError:
                if self._keys is None:
                    raise
        if self._keys is None:
            msg = "the keys of links could not be read a moment ago"
            raise LinkKeysUnavailableError(msg)
        return self._keys

    def _may_look(self, now: float) -> bool:
        looked = self._looked_at
        return looked is None or now - looked >= ASKED_AGAIN_AFTER.total_seconds()

"""The words of each rule, a file per rule: `<rule>.py` with one `WORDS`. A new file is found."""

import importlib
import pkgutil
from typing import Final

from cardwatch.paging.words import PLAIN, Words

_WORDS: Final[dict[str, Words]] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").WORDS
    for module in pkgutil.iter_modules(__path__)
}


def words_of(rule: str) -> Words:
    """Give a rule's words; plain ones where nobody wrote any."""
    return _WORDS.get(rule, PLAIN)

"""The application's settings: property groups, as Managed Service for Apache Flink hands them over.

There the runtime writes them to /etc/flink/application_properties.json; locally the same format is
read from the file that `--properties` names. A missing or wrong property is one PropertyError that
names its group, its key and the remedy.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MANAGED_FLINK_FILE = Path("/etc/flink/application_properties.json")


class PropertyError(Exception):
    """A property is missing or wrong; the text names the group, the key and the remedy."""


@dataclass(frozen=True)
class Properties:
    """Property groups by name, each a mapping from key to text; `source` says where they are."""

    groups: Mapping[str, Mapping[str, str]]
    source: str

    @classmethod
    def read(cls, path: Path) -> "Properties":
        """Read a list of {"PropertyGroupId": …, "PropertyMap": {…}}; raises PropertyError."""
        remedy = (
            "give a JSON list of objects with PropertyGroupId and PropertyMap "
            "(--properties FILE locally, EnvironmentProperties on Managed Flink)"
        )
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            msg = f"cannot read the properties {path}: {error.strerror}; {remedy}"
            raise PropertyError(msg) from None
        except ValueError:
            msg = f"the properties {path} are no JSON; {remedy}"
            raise PropertyError(msg) from None
        try:
            groups = {
                group["PropertyGroupId"]: {
                    key: _as_text(value) for key, value in group["PropertyMap"].items()
                }
                for group in listed
            }
        except (TypeError, KeyError, AttributeError):
            msg = f"the properties {path} are no list of property groups; {remedy}"
            raise PropertyError(msg) from None
        return cls(groups, str(path))

    def text(self, group: str, key: str, default: str | None = None) -> str:
        """Give a property; raises PropertyError when it is missing, or empty, without a default."""
        value = self.groups.get(group, {}).get(key) or default
        if value is None:
            msg = f"property {key} of group {group} is missing: add it to {self.source}"
            raise PropertyError(msg)
        return value

    def whole_number(self, group: str, key: str, default: int, *, least: int, most: int) -> int:
        """Give a whole number from `least` to `most`; raises PropertyError for anything else."""
        value = self.text(group, key, str(default))
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            msg = (
                f"property {key} of group {group} must be a whole number from {least} to {most}, "
                f"not {value!r}: correct it in {self.source}"
            )
            raise PropertyError(msg)
        return int(value)


def _as_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value

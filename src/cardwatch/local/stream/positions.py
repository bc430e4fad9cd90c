"""Where a reader of the stream stands, in a file."""

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from cardwatch import files

Kept = TypeVar("Kept", bound=BaseModel)


class PositionFile(Generic[Kept]):
    """Positions on disk, in the reader's own form; a write is whole or not there at all."""

    def __init__(self, path: Path, kind: type[Kept], *, durable: bool = False) -> None:
        """Take the file's path; `kind` without arguments is no position.

        `durable`: what was written is there after the machine lost its power.
        """
        self._path = path
        self._kind = kind
        self._durable = durable

    def read(self) -> Kept:
        """Read; raises ValueError, naming the file and the remedy, where it is damaged."""
        try:
            return self._kind.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return self._kind()
        except ValidationError:
            msg = (
                f"{self._path} is damaged: delete it, and everything that is still on the stream "
                "is read again"
            )
            raise ValueError(msg) from None

    def write(self, positions: Kept) -> None:
        """Replace the file."""
        body = positions.model_dump_json(indent=1) + "\n"
        files.replace(self._path, body, durable=self._durable)

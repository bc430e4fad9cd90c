"""Copies what a function without the layer needs of cardwatch beside its handler.

    function_modules.py functions/flink_code/handler.py ARTIFACT

CloudFormation's custom resources have no layer; they take along the modules that their handler
imports, and those that these import, and no others. Standard library alone: `sam build` runs it
with whatever Python there is.
"""

import ast
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).resolve().parents[1] / "src"
PACKAGE: Final = "cardwatch"


def modules_of(handler: Path, sources: Path = SOURCES) -> set[Path]:
    """Give the files below `sources` that a handler imports, with those that they import.

    What is imported for type checking alone is left out, and so is what is not ours. Raises
    FileNotFoundError for a module of ours that is not there.
    """
    found: set[Path] = set()
    waiting = [handler]
    while waiting:
        for name, imported in _imports(waiting.pop()):
            parts = [*name.split("."), *([imported] if imported else [])]
            if parts[0] != PACKAGE:
                continue
            for file in _files(parts, sources, may_be_a_name=imported is not None):
                if file not in found:
                    found.add(file)
                    waiting.append(file)
    return found


def _files(parts: Sequence[str], sources: Path, *, may_be_a_name: bool) -> Iterator[Path]:
    """Give a module's file and its packages'; the last part may be a name within a module."""
    for length in range(1, len(parts) + 1):
        place = sources.joinpath(*parts[:length])
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        elif place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")
        elif length < len(parts) or not may_be_a_name:
            raise FileNotFoundError(place)


def _imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Give what a module imports at run time: a module's name, and a name that is taken from it."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)
        else:
            waiting += ast.iter_child_nodes(node)


def main(handler: Path, artifact: Path) -> None:
    """Copy the handler and its modules into the artifact."""
    shutil.copy(handler, artifact)
    for file in sorted(modules_of(handler)):
        copy = artifact / file.relative_to(SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

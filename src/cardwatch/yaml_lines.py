"""YAML as people write it: every scalar is the text that it is, and each place has its line.

So no amount passes through a float, `on` stays a word, and what is wrong is told with its line.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]
"""Where something stands: the keys that lead to it."""
Lines = dict[Place, int]
"""The line of each place, from 1."""
Problem = tuple[int | None, str]
"""What is wrong, and the number of its line as far as there is one."""


Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES: Final = 65_536
MAX_PROBLEMS: Final = 20


NAMES: Final = "must be names with values, each on a line of its own"
TOLD: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "model_type": NAMES,
    "model_attributes_type": NAMES,
    "dict_type": NAMES,
    "too_short": "must not be empty",
}


class YamlFileError(Exception):
    """A file that is not taken; the text has a line for each of its problems."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        """Keep what is wrong, and on which line as far as there is one."""
        self.problems = tuple(problems)
        at = [name if line is None else f"{name}:{line}" for line, _ in problems]
        texts = zip(at, (text for _, text in problems), strict=True)
        super().__init__("\n".join(f"{place}: {text}" for place, text in texts))


class _UnreadableError(Exception):
    """A text that is no YAML as it is taken here."""

    def __init__(self, line: int | None, problem: str) -> None:
        super().__init__(problem)
        self.at = (line, problem)


def told(item: ErrorDetails, _: Place) -> str:
    """Say what is wrong in words of the file, not of Python."""
    kind = item["type"]
    if kind == "literal_error":
        return f"must be {item['ctx']['expected']}"
    if kind == "greater_than_equal":
        return f"must be at least {item['ctx']['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {item['ctx']['le']}"
    return TOLD.get(kind) or item["msg"].removeprefix("Value error, ")


def read_model(
    path: Path,
    model: type[Model],
    *,
    tags: Collection[str] = (),
    told: Callable[[ErrorDetails, Place], str] = told,
) -> Model:
    """Read and check a file of UTF-8; raises YamlFileError with each problem and its line."""
    try:
        text = _text_of(path)
    except _UnreadableError as error:
        raise YamlFileError(str(path), [error.at]) from None
    return parse_model(text, str(path), model, tags=tags, told=told)


def parse_model(
    text: str,
    name: str,
    model: type[Model],
    *,
    tags: Collection[str] = (),
    told: Callable[[ErrorDetails, Place], str] = told,
) -> Model:
    """Read and check a file's text; raises YamlFileError with each problem and its line.

    `tags` tell the members of a list's union apart: they stand in no file. `told` says what is
    wrong at a place.
    """
    try:
        read, lines = _parsed(text)
        return model.model_validate(read)
    except _UnreadableError as error:
        raise YamlFileError(name, [error.at]) from None
    except ValidationError as error:
        problems = [
            (line, f"{'.'.join(map(str, place)) or 'the file'} {told(item, place)}")
            for line, place, item in _places(error, lines, tags)
        ]
        raise YamlFileError(name, problems[:MAX_PROBLEMS]) from None


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _UnreadableError(None, error.strerror or "cannot be read") from None
    if len(raw) > MAX_BYTES:
        raise _UnreadableError(None, f"is longer than {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _UnreadableError(line, "is not UTF-8") from None


def _parsed(text: str) -> tuple[object, Lines]:
    """Give what a text says, scalars as their texts.

    It takes no alias and no key that is said twice.
    """
    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            raise _UnreadableError(None, "is empty")
        return _value(node, (), lines), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "is no YAML"
        raise _UnreadableError(mark.line + 1 if mark else None, problem) from None
    except yaml.YAMLError:
        raise _UnreadableError(None, "is no YAML text") from None
    except RecursionError:
        raise _UnreadableError(None, "is nested too deeply") from None


def _places(
    error: ValidationError, lines: Mapping[Place, int], tags: Collection[str]
) -> Iterator[tuple[int, Place, ErrorDetails]]:
    """Give each problem that pydantic found, with its line and place.

    What is missing has no line: it gets that of what it is missing in. An error of one's own names
    a key of its place in its context, as `at`, or several.
    """
    for item in error.errors(include_url=False, include_input=False):
        loc = item["loc"]
        place: Place = tuple(
            part
            for number, part in enumerate(loc)
            if part != "[key]"
            and not (part in tags and number and isinstance(loc[number - 1], int))
        )
        at = item.get("ctx", {}).get("at", ())
        place = (*place, *(at if isinstance(at, tuple) else (at,)))
        where = place
        while where not in lines:
            where = where[:-1]
        yield lines[where], place, item


class _Loader(yaml.SafeLoader):
    """Takes no aliases: a few of them can make a document without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="must not have an alias (*)", problem_mark=mark)
        return super().compose_node(parent, index)


def _value(node: yaml.Node, place: Place, lines: Lines) -> object:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        read: dict[str, object] = {}
        for key, value in node.value:
            word = key.value if isinstance(key, yaml.ScalarNode) else "a key that is no word"
            if word in read:
                raise yaml.MarkedYAMLError(
                    problem=f"{word} is said twice", problem_mark=key.start_mark
                )
            lines[(*place, word)] = key.start_mark.line + 1
            read[word] = _value(value, (*place, word), lines)
        return read
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, (*place, at), lines) for at, each in enumerate(node.value)]
    return node.value

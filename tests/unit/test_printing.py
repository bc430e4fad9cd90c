"""Nothing that is printed or logged could hold a card number.

A card number may be in whatever comes from outside: an event, a record, its data. So the sources
print no such thing whole, nor the value of a card, a secret or a password; they print counts, ids,
types and reasons. A lint over the syntax holds them to it, and seeded violations hold the lint.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("src", "functions", "flink_app") for path in (ROOT / folder).rglob("*.py")
)
PRINTING = {"print", "echo", "debug", "info", "warning", "error", "exception", "critical", "log"}
"""Calls that print: by these names, on anything."""
WHOLE = {
    "body",
    "card",
    "card_number",
    "cards",
    "content",
    "data",
    "document",
    "entries",
    "entry",
    "envelope",
    "envelopes",
    "event",
    "event_json_data",
    "events",
    "number",
    "pan",
    "password",
    "payload",
    "raw",
    "rawData",
    "record",
    "records",
    "row",
    "rows",
    "secret",
    "secret_string",
    "webhook",
}
"""Names of what comes from outside, or must stay inside."""
COUNTING = {"len", "sum", "type", "bool"}
"""Functions whose value tells nothing of what they are given but how many, or of which kind."""
LOG_EVENT = {"log_event", "capture_response", "capture_error"}
"""Switches of Powertools that log what a function is given or answers."""


def violations(tree: ast.AST) -> Iterator[str]:
    """Give the line and the expression of what is printed whole."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg in LOG_EVENT and ast.unparse(keyword.value) != "False":
                yield f"{node.lineno}: {ast.unparse(keyword)}"
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name in PRINTING:
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            for argument in arguments:
                yield from (f"{argument.lineno}: {text}" for text in whole(argument))


def whole(node: ast.AST) -> Iterator[str]:
    """Give the parts of an expression whose value is a thing named in WHOLE."""
    name = named(node)
    if name in WHOLE:
        yield ast.unparse(node)
    if name is None and not gives_nothing(node):
        for part in parts(node):
            yield from whole(part)


def named(node: ast.AST) -> str | None:
    """Give the name of what a variable, a field or a key holds; None for another expression."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return None


def gives_nothing(node: ast.AST) -> bool:
    """Say whether an expression's value tells nothing of what is in it."""
    counts = isinstance(node, ast.Call) and named(node.func) in COUNTING
    return counts or isinstance(node, ast.Lambda | ast.Compare)


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """Give the expressions that an expression's value is made of."""
    match node:
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            yield element
        case ast.Call(func=function, args=arguments, keywords=keywords):
            if isinstance(function, ast.Attribute):
                yield function.value
            yield from arguments
            yield from (keyword.value for keyword in keywords)
        case _:
            yield from ast.iter_child_nodes(node)


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_a_source_prints_nothing_whole_that_could_hold_a_card_number(path: Path) -> None:
    assert list(violations(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "print(event)",
        "logger.info('got', record=record)",
        "logger.info('got %s', record.kinesis.data)",
        "_LOG.warning(f'bad record {raw!r}')",
        "log('staged', records=[r.data for r in batch])",
        "logger.error('failed: ' + json.dumps(event))",
        "typer.echo(str(row))",
        "logger.debug('card', number=card.number)",
        "print(event['event_json_data'])",
        "print(raw.decode())",
        "logger.info('text', extra={'payload': payload})",
        "logger.inject_lambda_context(log_event=True)",
        "tracer.capture_method(capture_response=True)",
    ],
)
def test_the_lint_finds_a_seeded_violation(source: str) -> None:
    assert list(violations(ast.parse(source))) != []


@pytest.mark.parametrize(
    "source",
    [
        "logger.info('staged', staged=len(records))",
        "logger.info('got', type=event['type'], id=event.event_id)",
        "print(type(record).__name__)",
        "print(type(record))",
        "logger.inject_lambda_context(log_event=False)",
        "store(event)",
    ],
)
def test_the_lint_lets_counts_ids_and_types_pass(source: str) -> None:
    assert list(violations(ast.parse(source))) == []

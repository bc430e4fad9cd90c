"""CloudFormation templates as data: read, and evaluated for given parameters.

Source: AWS CloudFormation User Guide, "Intrinsic function reference" and "Conditions". Why not
cfn-lint's reader: docs/decisions/0035.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

_SHORT_WITHOUT_PREFIX: Final = ("Ref", "Condition")
_VARIABLE: Final = re.compile(r"\$\{([^!${}][^${}]*)\}")
_LITERAL: Final = re.compile(r"\$\{!([^}]*)\}")
_NO_VALUE: Final = object()

Node: TypeAlias = Any
"""Any part of a template."""


class TemplateError(Exception):
    """A template cannot be read or evaluated; the text says where and what is wrong."""


class _Loader(yaml.SafeLoader):
    """Reads `!Sub x` as {"Fn::Sub": "x"}."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  yaml has three kinds of nodes
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in _SHORT_WITHOUT_PREFIX else f"Fn::{suffix}": value}


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """Keep `2010-09-09` a text, as CloudFormation does."""
    return str(loader.construct_scalar(node))


_Loader.add_multi_constructor("!", _long_form)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def read_template(path: Path) -> dict[str, Any]:
    """Read a template with its intrinsic functions in long form; raises TemplateError."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, _Loader)  # noqa: S506  it is a SafeLoader  # nosec B506
    except yaml.YAMLError as error:
        msg = f"{path} is no YAML: {' '.join(str(error).split())}"
        raise TemplateError(msg) from None
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict):
        msg = f"{path} is no CloudFormation template: it has no Resources"
        raise TemplateError(msg)
    return content


def unresolved(logical_id: str, attribute: str | None) -> str:
    """Give `${Topic}` or `${Table.Arn}`: what only the deployed stack knows, as a text."""
    return f"${{{logical_id}.{attribute}}}" if attribute else f"${{{logical_id}}}"


def as_text(value: Node) -> str:
    """Give a value as CloudFormation turns it into a text: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Evaluation:
    """A template under given parameters; what is not given has the template's default."""

    content: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    """Parameters, and pseudo parameters such as AWS::Region."""
    reference: Callable[[str, str | None], Any] = unresolved
    """Gives what Ref (attribute None) and GetAtt of a resource stand for."""

    def resources(self) -> dict[str, dict[str, Any]]:
        """Give the resources that exist, evaluated, by logical id."""
        return {
            name: {key: self.value(part) for key, part in resource.items() if key != "Condition"}
            for name, resource in self.content["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def condition(self, name: str) -> bool:
        """Say whether a named condition holds; raises TemplateError for an unknown one."""
        try:
            node = self.content.get("Conditions", {})[name]
        except KeyError:
            msg = f"the template has no condition {name}"
            raise TemplateError(msg) from None
        return bool(self.value(node))

    def value(self, node: Node) -> Node:
        """Give a node with its intrinsic functions evaluated; an unknown function stays."""
        if isinstance(node, list):
            parts = [self.value(part) for part in node]
            return [part for part in parts if part is not _NO_VALUE]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            [(name, argument)] = node.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument)
        values = {key: self.value(part) for key, part in node.items()}
        return {key: part for key, part in values.items() if part is not _NO_VALUE}

    def ref(self, name: str) -> Node:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self.given:
            return self.given[name]
        parameters = self.content.get("Parameters", {})
        if name in parameters:
            if "Default" not in parameters[name]:
                return self.reference(name, None)
            default = parameters[name]["Default"]
            listed = str(parameters[name].get("Type", "")).startswith(("List<", "Comma"))
            return [part.strip() for part in str(default).split(",")] if listed else default
        return self.reference(name, None)

    def get_att(self, argument: Node) -> Node:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        return self.reference(str(parts[0]), str(self.value(parts[1])))

    def sub(self, argument: Node) -> Node:
        """Give the text with its variables put in."""
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def put_in(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name in names:
                return as_text(self.value(names[name]))
            resource, _, attribute = name.partition(".")
            return as_text(self.reference(resource, attribute) if attribute else self.ref(name))

        return _LITERAL.sub(r"${\1}", _VARIABLE.sub(put_in, text))

    def find_in_map(self, argument: list[Node]) -> Node:
        """Give a map's value; one whose key only the deployed stack knows stays."""
        name, first, second = (as_text(self.value(part)) for part in argument[:3])
        try:
            return self.content["Mappings"][name][first][second]
        except KeyError:
            return {"Fn::FindInMap": argument}

    def select(self, argument: list[Node]) -> Node:
        index, items = (self.value(part) for part in argument)
        return items[int(index)] if isinstance(items, list) else {"Fn::Select": [index, items]}

    def split(self, argument: list[Node]) -> Node:
        delimiter, text = (self.value(part) for part in argument)
        return text.split(delimiter) if isinstance(text, str) else {"Fn::Split": [delimiter, text]}

    def join(self, argument: list[Node]) -> Node:
        delimiter, items = (self.value(part) for part in argument)
        if isinstance(items, list) and all(not isinstance(item, Mapping) for item in items):
            return delimiter.join(as_text(item) for item in items)
        return {"Fn::Join": [delimiter, items]}

    def either(self, argument: list[Node]) -> Node:
        condition, yes, no = argument
        return self.value(yes if self.condition(condition) else no)

    def equals(self, argument: list[Any]) -> bool:
        """Compare as CloudFormation does, as texts."""
        left, right = (as_text(self.value(part)) for part in argument)
        return left == right


_FUNCTIONS: Final[Mapping[str, Callable[[Evaluation, Any], Any]]] = {
    "Ref": Evaluation.ref,
    "Condition": lambda e, name: (
        e.condition(name) if isinstance(name, str) else {"Condition": e.value(name)}
    ),
    "Fn::GetAtt": Evaluation.get_att,
    "Fn::Sub": Evaluation.sub,
    "Fn::Join": Evaluation.join,
    "Fn::If": Evaluation.either,
    "Fn::Select": Evaluation.select,
    "Fn::Split": Evaluation.split,
    "Fn::FindInMap": Evaluation.find_in_map,
    "Fn::Equals": Evaluation.equals,
    "Fn::Not": lambda e, argument: not e.value(argument[0]),
    "Fn::And": lambda e, argument: all(e.value(part) for part in argument),
    "Fn::Or": lambda e, argument: any(e.value(part) for part in argument),
}

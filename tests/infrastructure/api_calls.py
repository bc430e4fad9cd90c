"""Which AWS API calls a function's code can make, read from the code itself.

From the handler on, everything is followed that can be reached: a function or class by its name, a
method by its name on any class that is used. In what is reached, an attribute or a text that is the
name of an operation of the client at hand is a call: `client.put_object`, `get_paginator("list_…")`
or `call("describe_statement")`. So a call on a path that no test takes counts as well, and one in
an adapter's method that this function never uses does not.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

CLIENT = re.compile(r"^([A-Za-z0-9]+)Client$")


@cache
def operations(service: str) -> dict[str, str]:
    """Give a service's operations by the name of their method."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


@cache
def services() -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_available_services())


@dataclass
class Module:
    """A module's definitions and what it imports from other modules of ours."""

    tree: ast.Module
    definitions: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """A name here, and the module and the name there; None for the module itself."""
    clients: dict[str, str] = field(default_factory=dict)
    """The name of a client's type and its service."""
    makes_clients: bool = False


@cache
def load(path: Path) -> Module:
    module = Module(ast.parse(path.read_text(encoding="utf-8")))
    for statement in module.tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            module.definitions[statement.name] = statement
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                _imported(module, node.module, alias.name, alias.asname or alias.name)
        if isinstance(node, ast.Import):
            module.makes_clients |= any(alias.name == "boto3" for alias in node.names)
    return module


def _imported(module: Module, source: str, name: str, here: str) -> None:
    if source.startswith("mypy_boto3_") and CLIENT.match(name):
        service = source.removeprefix("mypy_boto3_").split(".")[0]
        module.clients[here] = service.replace("_", "-") if service not in services() else service
    elif source == "cardwatch" or source.startswith("cardwatch."):
        inner = importlib.util.find_spec(f"{source}.{name}") if _is_package(source) else None
        module.imported[here] = (f"{source}.{name}", None) if inner else (source, name)


@cache
def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def path_of(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.origin is not None, name
    return Path(spec.origin)


@dataclass(frozen=True)
class Unit:
    """A function, a method, or what a class or a module does by itself."""

    module: Path
    owner: ast.ClassDef | None
    node: ast.AST

    @property
    def references(self) -> Iterator[ast.AST]:
        """Give the nodes within, without what is a unit of its own."""
        body = self.node
        if isinstance(body, ast.Module | ast.ClassDef):
            own = (n for n in body.body if not isinstance(n, ast.FunctionDef | ast.ClassDef))
            for node in own:
                yield from ast.walk(node)
        else:
            yield from ast.walk(body)


def _words(unit: Unit) -> Iterator[str]:
    """Give the attributes and texts of a unit."""
    for node in unit.references:
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


class Reach:
    """What can be reached from a handler."""

    def __init__(self, handler: Path) -> None:
        self._units: dict[int, Unit] = {}
        self._classes: dict[int, tuple[Path, ast.ClassDef]] = {}
        self._called: set[str] = set()
        self._waiting: list[Unit] = []
        module = load(handler)
        self._module(handler)
        for node in module.definitions.values():
            self._define(handler, node)
        while self._waiting:
            self._follow(self._waiting.pop())

    def calls(self) -> dict[str, set[str]]:
        """Give the operations by service, for instance {"s3": {"PutObject"}}."""
        found: dict[str, set[str]] = {}
        for unit in self._units.values():
            names = set(_words(unit))
            for service in self._services(unit):
                made = {operations(service)[name] for name in names & set(operations(service))}
                if made:
                    found.setdefault(service, set()).update(made)
        return found

    def _services(self, unit: Unit) -> set[str]:
        """Give the services of the clients that a unit has at hand."""
        module = load(unit.module)
        places = [unit.owner or unit.node]
        words = {
            word
            for place in places
            for node in ast.walk(place)
            if isinstance(node, ast.arg) and node.annotation is not None
            for word in re.findall(r"\w+", ast.unparse(node.annotation))
        }
        found = {service for name, service in module.clients.items() if name in words}
        if module.makes_clients:
            found |= {
                str(node.args[0].value)
                for node in unit.references
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "client"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            }
        return found

    def _module(self, path: Path) -> None:
        self._reach(Unit(path, None, load(path).tree))

    def _reach(self, unit: Unit) -> None:
        if id(unit.node) not in self._units:
            self._units[id(unit.node)] = unit
            self._waiting.append(unit)

    def _define(self, path: Path, node: ast.AST) -> None:
        """Reach a function, or a class with what it does when it is made."""
        if not isinstance(node, ast.ClassDef):
            self._reach(Unit(path, None, node))
        elif id(node) not in self._classes:
            self._classes[id(node)] = (path, node)
            self._reach(Unit(path, node, node))
            for base in node.bases:
                if isinstance(base, ast.Name):
                    self._name(path, base.id)
            self._methods(path, node)

    def _methods(self, path: Path, node: ast.ClassDef) -> None:
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and (
                method.name in self._called or method.name.startswith("__")
            ):
                self._reach(Unit(path, node, method))

    def _follow(self, unit: Unit) -> None:
        for node in unit.references:
            if isinstance(node, ast.Name):
                self._name(unit.module, node.id)
            elif isinstance(node, ast.Attribute):
                if isinstance(node.value, ast.Name):
                    module, inner = load(unit.module).imported.get(node.value.id, ("", ""))
                    if module and inner is None:
                        self._name(path_of(module), node.attr)
                if node.attr not in self._called:
                    self._called.add(node.attr)
                    for path, owner in list(self._classes.values()):
                        self._methods(path, owner)

    def _name(self, path: Path, name: str) -> None:
        module = load(path)
        if name in module.definitions:
            self._define(path, module.definitions[name])
        elif name in module.imported:
            source, inner = module.imported[name]
            there = path_of(source)
            self._module(there)
            if inner is not None:
                self._name(there, inner)

"""Invoke one function of the template on the running local stack.

What the stack has is invoked as it is deployed. What it has not (the custom resources' functions,
Slack's) is held there for one invocation: the code that `sam build --config-env local` built, with
the template's variables. Either talks to the emulator and never to AWS.
"""

import base64
import http.server
import io
import json
import threading
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.config import Config

from cardwatch.aws.failures import FAILURES, reason
from cardwatch.deployment.template import Evaluation, as_text, read_template
from cardwatch.local.services import deploy, ministack
from cardwatch.settings import LocalSettings

LOAD_SECONDS: Final = 10.0
"""What Lambda gives a function's code to load, beside its timeout."""
_DEFAULTS: Final[Mapping[str, Any]] = {"Timeout": 3, "MemorySize": 128, "Handler": ""}
_ACCOUNT: Final = "000000000000"


class InvokeError(Exception):
    """The function cannot be invoked; the text says what is missing and how to give it."""


@dataclass(frozen=True, slots=True)
class TemplateFunction:
    """A function as the templates describe it, evaluated for the local stack."""

    path: str
    """Its logical id, below those of its nested stacks: `DetectionStack/FlinkCodeFunction`."""
    properties: Mapping[str, Any]
    environment: Mapping[str, str]
    """The variables that parameters and literals decide."""
    references: Mapping[str, str]
    """The variables that only a deployed stack knows, with what they refer to."""
    layers: tuple[str, ...]

    @property
    def logical_id(self) -> str:
        """Give the logical id within its own template."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Invoked:
    """How an invocation ended."""

    answer: str
    """JSON: the answer, or Lambda's description of the error."""
    failed: bool
    log: str


def functions(root: Path, settings: LocalSettings) -> dict[str, TemplateFunction]:
    """Give every function of the root template and its nested stacks by its path.

    Raises TemplateError when a template cannot be read.
    """
    given = {
        **deploy.local_parameters(root),
        "AWS::Region": settings.region,
        "AWS::AccountId": _ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": settings.stack_name,
    }
    return {f.path: f for f in _functions(root / "template.yaml", given, "", {})}


def _functions(
    template: Path, given: Mapping[str, Any], above: str, passed_layers: Mapping[str, str]
) -> Iterator[TemplateFunction]:
    """Give a template's functions; `passed_layers` are those that its parameters stand for."""
    content = read_template(template)
    own_layers = {
        name: f"{above}{name}"
        for name, resource in content["Resources"].items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }
    known_layers = {**passed_layers, **own_layers}
    used: set[str] = set()

    def reference(logical_id: str, attribute: str | None) -> str:
        name = f"{logical_id}.{attribute}" if attribute else logical_id
        used.add(name)
        return f"${{{name}}}"

    evaluation = Evaluation(content, given, reference)
    shared = content.get("Globals", {}).get("Function", {})
    for name, resource in content["Resources"].items():
        own = resource.get("Properties", {})
        if resource["Type"] in {"AWS::Serverless::Function", "AWS::Lambda::Function"}:
            nodes = [level.get("Environment", {}).get("Variables", {}) for level in (shared, own)]
            variables: dict[str, str] = {}
            references: dict[str, str] = {}
            for variable, node in {**nodes[0], **nodes[1]}.items():
                used.clear()
                text = as_text(evaluation.value(node))
                if used:
                    references[variable] = ", ".join(sorted(used))
                else:
                    variables[variable] = text
            layers = [
                known_layers[layer["Ref"]]
                for layer in (*shared.get("Layers", ()), *own.get("Layers", ()))
                if isinstance(layer, Mapping) and layer.get("Ref") in known_layers
            ]
            scalars = {
                key: evaluation.value(node)
                for key, node in {**_DEFAULTS, **shared, **own}.items()
                if key in _DEFAULTS
            }
            yield TemplateFunction(f"{above}{name}", scalars, variables, references, tuple(layers))
        elif resource["Type"] == "AWS::CloudFormation::Stack" and "TemplateURL" in own:
            passed = {
                key: value
                for key, node in own.get("Parameters", {}).items()
                # What only the deployed stack above knows stays open below as well.
                if "${" not in str(value := evaluation.value(node))
            }
            pseudo = {key: value for key, value in given.items() if key.startswith("AWS::")}
            nested = template.parent / str(own["TemplateURL"])
            handed = {
                key: known_layers[node["Ref"]]
                for key, node in own.get("Parameters", {}).items()
                if isinstance(node, Mapping) and node.get("Ref") in known_layers
            }
            yield from _functions(nested, {**pseudo, **passed}, f"{above}{name}/", handed)


def find(known: Mapping[str, TemplateFunction], name: str) -> TemplateFunction:
    """Give the function of a path, a logical id, or a logical id without `Function`.

    Raises InvokeError with the names there are.
    """
    wanted = name.lower().replace("_", "").removesuffix("function")
    found = [
        function
        for path, function in known.items()
        if path == name or function.logical_id.lower().removesuffix("function") == wanted
    ]
    # A template that is nested twice has each of its functions twice, of one code.
    if found and all(function.properties == found[0].properties for function in found):
        return found[0]
    problem = f"{name} is several functions" if found else f"no function {name}"
    msg = f"{problem} in template.yaml and its nested stacks; there are: " + ", ".join(
        sorted(function.path for function in found) or sorted(known)
    )
    raise InvokeError(msg)


def read_event(path: Path) -> Any:  # noqa: ANN401  an event is any JSON
    """Read an event file; raises InvokeError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"no event file {path}; events/invocations/ holds one for every way of invoking"
    except (ValueError, OSError) as error:
        msg = f"event file {path} is no JSON: {error}"
    raise InvokeError(msg) from None


def read_variables(path: Path, function: TemplateFunction) -> dict[str, str]:
    """Read a file in the form of `sam local invoke --env-vars`; raises InvokeError.

    `Parameters` holds for all functions, a function's own entry goes over it.
    """
    content = read_event(path)
    given: dict[str, str] = {}
    for name in ("Parameters", function.logical_id, function.path):
        level = content.get(name, {}) if isinstance(content, dict) else None
        if not isinstance(level, dict):
            msg = (
                f"{path} is no file of variables: it must map function names (or Parameters) to "
                "variables and their values"
            )
            raise InvokeError(msg)
        given |= {variable: as_text(value) for variable, value in level.items()}
    return given


def environment(function: TemplateFunction, given: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of a function that is not deployed; raises InvokeError for missing ones.

    What is given goes over what the parameters decide.
    """
    known = {**function.environment, **given}
    missing = {name: to for name, to in function.references.items() if name not in known}
    if missing:
        names = ", ".join(f"{name} ({to})" for name, to in sorted(missing.items()))
        msg = (
            f"{function.path} needs {names}, which only a deployed stack knows, and no running one "
            "has this function; start it with `cardwatch up --detach`, or give them with "
            "--env-vars FILE"
        )
        raise InvokeError(msg)
    return known


def variables(
    known: Mapping[str, TemplateFunction], settings: LocalSettings
) -> dict[str, dict[str, str]]:
    """Give the variables of all functions in the form of `sam local invoke --env-vars`.

    A function that the running stack does not have is left out. Raises InvokeError when none is
    there.
    """
    found = {f.logical_id: dict(_deployed_variables(f, settings)) for f in known.values()}
    deployed = {name: content for name, content in found.items() if content}
    if not deployed:
        msg = (
            f"no stack {settings.stack_name} with functions on {ministack.endpoint(settings)}; "
            "start it with `cardwatch up --detach`"
        )
        raise InvokeError(msg)
    return deployed


def _deployed_variables(function: TemplateFunction, settings: LocalSettings) -> Mapping[str, str]:
    """Ask the running stack how it set the function up; nothing when it has none such."""
    name = deployed_name(function, settings)
    if name is None:
        return {}
    client = ministack.clients(settings).impatient_lambda()
    deployed = client.get_function_configuration(FunctionName=name)
    return deployed.get("Environment", {}).get("Variables", {})


def deployed_name(function: TemplateFunction, settings: LocalSettings) -> str | None:
    """Give the name of the function on the running stack; None where there is none such."""
    session = ministack.session(settings)
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    stacks = session.client(
        "cloudformation", endpoint_url=ministack.endpoint(settings), config=config
    )
    name = settings.stack_name
    try:
        for logical_id in function.path.split("/"):
            found = stacks.describe_stack_resource(StackName=name, LogicalResourceId=logical_id)
            name = found["StackResourceDetail"]["PhysicalResourceId"]
    except (*FAILURES, KeyError):
        return None
    return name


@contextmanager
def held(
    function: TemplateFunction, variables: Mapping[str, str], settings: LocalSettings, root: Path
) -> Iterator[str]:
    """Have the emulator hold a built function meanwhile; gives its name there.

    Raises InvokeError when the function is not built, or no emulator runs.
    """
    folders = [root / deploy.BUILT / path for path in (*function.layers, function.path)]
    if not folders[-1].is_dir():
        msg = f"{function.path} is not built ({folders[-1]} is missing); run `sam build` first"
        raise InvokeError(msg)
    client = ministack.clients(settings).impatient_lambda(patience_seconds=60)
    name = f"{function.logical_id}-{uuid.uuid4().hex[:8]}"
    known = function.properties
    try:
        client.create_function(
            FunctionName=name,
            Runtime="python3.13",  # the emulator has one, its own
            Role=f"arn:aws:iam::{_ACCOUNT}:role/invoke",
            Handler=known["Handler"],
            Timeout=int(known["Timeout"]),
            MemorySize=int(known["MemorySize"]),
            Environment={"Variables": dict(variables)},
            Code={"ZipFile": _archive(folders)},
        )
    except FAILURES as error:
        msg = (
            f"{ministack.endpoint(settings)} does not take {function.path}: {reason(error)}; "
            "start the local stack with `cardwatch up --detach`"
        )
        raise InvokeError(msg) from None
    try:
        yield name
    finally:
        client.delete_function(FunctionName=name)


def _archive(folders: list[Path]) -> bytes:
    """Pack layers and code into one archive; what comes later goes over what was before."""
    files: dict[str, Path] = {}
    for folder in folders:
        top = folder / "python" if (folder / "python").is_dir() else folder
        files |= {str(f.relative_to(top)): f for f in top.rglob("*") if f.is_file()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, file in files.items():
            archive.write(file, name)
    return packed.getvalue()


def invoke(
    function: TemplateFunction,
    name: str,
    event: Any,  # noqa: ANN401  an event is any JSON
    settings: LocalSettings,
) -> Invoked:
    """Have the emulator invoke the function that it has under a name, once.

    Raises InvokeError when it cannot be invoked.
    """
    patience = float(function.properties["Timeout"]) + LOAD_SECONDS
    client = ministack.clients(settings).impatient_lambda(patience_seconds=patience)
    try:
        answer = client.invoke(
            FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail"
        )
        payload = answer["Payload"].read().decode()
    except FAILURES as error:
        msg = (
            f"{function.path} cannot be invoked on {ministack.endpoint(settings)}: {reason(error)}"
        )
        raise InvokeError(msg) from None
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    return Invoked(payload, "FunctionError" in answer, log)


@contextmanager
def answered_here(event: Any) -> Iterator[tuple[Any, list[str]]]:  # noqa: ANN401  any JSON
    """Stand in for the address at which CloudFormation waits for a custom resource's answer.

    Gives the event with the address replaced, and the answers received so far; another event is
    left alone.
    """
    answers: list[str] = []
    if not isinstance(event, dict) or "ResponseURL" not in event:
        yield event, answers
        return

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            answers.append(self.rfile.read(length).decode(errors="replace"))
            self.send_response(http.HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  http.server's
            """Say nothing."""

    server = http.server.ThreadingHTTPServer((ministack.HOST, 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://{ministack.HOST}:{server.server_port}/answer"
        yield {**event, "ResponseURL": address}, answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused(answers: list[str]) -> bool:
    """Say whether CloudFormation was answered that the custom resource failed."""
    return any(json.loads(answer).get("Status") == "FAILED" for answer in answers)

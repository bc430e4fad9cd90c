"""Invoke one function of the template.

What the running local stack has is invoked there, as it is deployed. What it has not (the custom
resources' functions, Slack's) runs in a plain process: the code that `sam build --config-env local`
built, on the interpreter its wheels were made for, with the template's environment. Either talks to
the emulator and never to AWS.
"""

import base64
import http.server
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from botocore.config import Config

from cardwatch.aws.failures import FAILURES, reason
from cardwatch.deployment.template import Evaluation, as_text, read_template
from cardwatch.local.invoke import function_process
from cardwatch.local.services import deploy, ministack
from cardwatch.settings import LocalSettings, program_environment

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
    milliseconds: float
    request_id: str


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
            variables: dict[str, str] = {}
            references: dict[str, str] = {}
            for level in (shared, own):
                given_variables = level.get("Environment", {}).get("Variables", {})
                for variable, node in given_variables.items():
                    used.clear()
                    variables[variable] = as_text(evaluation.value(node))
                    references.pop(variable, None)
                    if used:
                        references[variable] = ", ".join(sorted(used))
                        del variables[variable]
            layers = [
                known_layers[layer["Ref"]]
                for level in (shared, own)
                for layer in level.get("Layers", [])
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
    if len(found) == 1:
        return found[0]
    msg = f"no function {name} in template.yaml and its nested stacks; there are: " + ", ".join(
        sorted(known)
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


def invoke_deployed(
    function: TemplateFunction,
    name: str,
    event: Any,  # noqa: ANN401  an event is any JSON
    settings: LocalSettings,
) -> tuple[Invoked, str]:
    """Have the emulator invoke the deployed function once; gives also its log.

    Raises InvokeError when it cannot be invoked.
    """
    patience = float(function.properties["Timeout"]) + LOAD_SECONDS
    client = ministack.clients(settings).impatient_lambda(patience_seconds=patience)
    began = time.monotonic()
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
    took = (time.monotonic() - began) * 1000
    request_id = answer["ResponseMetadata"].get("RequestId", "")
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    return Invoked(payload, "FunctionError" in answer, took, request_id), log


def invoke(
    function: TemplateFunction,
    event: Any,  # noqa: ANN401  an event is any JSON
    variables: Mapping[str, str],
    *,
    settings: LocalSettings,
    root: Path,
    log: TextIO | None = None,
) -> Invoked:
    """Run the built function once; its log goes to `log` (default: standard error).

    Raises InvokeError when it is not built. A function that outlasts its Timeout is ended, as
    Lambda does, which is an answer and no exception here.
    """
    artifact = (root / deploy.BUILT / function.path).resolve()
    python = root.resolve() / ministack.PYTHON
    if not artifact.is_dir():
        msg = f"{function.path} is not built ({artifact} is missing); run `sam build` first"
        raise InvokeError(msg)
    built = root / deploy.BUILT
    layers = [(built / layer / "python").resolve() for layer in reversed(function.layers)]
    known = function.properties
    name, timeout = function.logical_id, float(known["Timeout"])
    request_id = str(uuid.uuid4())
    invocation = function_process.Invocation(
        handler=known["Handler"],
        timeout_seconds=timeout,
        aws_request_id=request_id,
        function_name=name,
        invoked_function_arn=f"arn:aws:lambda:{settings.region}:{_ACCOUNT}:function:{name}",
        memory_limit_in_mb=str(known["MemorySize"]),
        log_group_name=f"/aws/lambda/{name}",
        log_stream_name=f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{request_id.replace('-', '')}",
    )
    runtime = {
        **ministack.credentials(settings),
        "AWS_REGION": settings.region,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": invocation.memory_limit_in_mb,
        "AWS_LAMBDA_LOG_GROUP_NAME": invocation.log_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": invocation.log_stream_name,
        "LAMBDA_TASK_ROOT": str(artifact),
        "PYTHONPATH": ":".join(map(str, (artifact, *layers))),
        "PYTHONDONTWRITEBYTECODE": "1",  # the artifact stays as it was built
    }
    sink = log or sys.stderr
    print(f"START RequestId: {request_id} Version: $LATEST", file=sink, flush=True)
    began = time.monotonic()
    try:
        ended = subprocess.run(
            [str(python), "-W", "ignore", function_process.__file__],
            input=json.dumps({"invocation": asdict(invocation), "event": event}).encode(),
            stdout=subprocess.PIPE,
            stderr=sink,
            env=program_environment({**runtime, **variables}),
            cwd=artifact,
            check=False,
            timeout=LOAD_SECONDS + timeout,
        )
    except FileNotFoundError:
        msg = f"the functions' interpreter is not installed ({python} is missing); run `make setup`"
        raise InvokeError(msg) from None
    except subprocess.TimeoutExpired:
        answer, failed = _failure("Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds")
    else:
        answer, failed = ended.stdout.decode(), ended.returncode != 0
        if not answer:
            answer, failed = _failure(
                "Runtime.ExitError", f"the function ended with status {ended.returncode}"
            )
    return Invoked(answer, failed, (time.monotonic() - began) * 1000, request_id)


def _failure(kind: str, message: str) -> tuple[str, bool]:
    return json.dumps({"errorType": kind, "errorMessage": message}), True


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


def report(function: TemplateFunction, done: Invoked, answers: list[str]) -> Iterator[str]:
    """Give the lines that follow a function's log, as Lambda and SAM write them."""
    for answer in answers:
        yield f"CloudFormation is answered: {answer}"
    yield f"END RequestId: {done.request_id}"
    yield (
        f"REPORT RequestId: {done.request_id}\tDuration: {done.milliseconds:.2f} ms\t"
        f"Memory Size: {function.properties['MemorySize']} MB"
    )

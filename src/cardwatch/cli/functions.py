"""Commands about single functions."""
# ruff: noqa: PLC0415  commands import what they need when they run

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cardwatch.cli.application import app, examples, settings_and_root


@app.command(
    epilog=examples(
        "cardwatch up --detach",
        "cardwatch invoke StagerFunction events/invocations/firehose.json",
        "cardwatch invoke notifier events/invocations/kinesis-mixed.json",
        "cardwatch invoke slack events/invocations/slack.json "
        "--env-vars events/invocations/env.json",
        "cardwatch invoke flink_code events/invocations/flink-code-create.json",
    ),
)
def invoke(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION", help="Its logical id in template.yaml or a nested stack."
        ),
    ],
    event_file: Annotated[
        Path, typer.Argument(metavar="EVENT", help="JSON file; see events/invocations/.")
    ],
    *,
    env_vars: Annotated[
        Path | None,
        typer.Option("--env-vars", help="Variables, in the form of `sam local invoke`."),
    ] = None,
) -> None:
    """Run one function once, on the running local stack.

    What the stack has is invoked as it is deployed. Another function, or one with --env-vars, is
    held there for one invocation: what `sam build --config-env local` builds, with the variables of
    the template. AWS calls go to the local stack and never to AWS. Logs go to standard error, the
    answer to standard output. The exit status is 1 when the function failed, or answered
    CloudFormation that the resource did.
    """
    from cardwatch.local.invoke import invoke as invoking
    from cardwatch.local.services import deploy

    settings, root = settings_and_root()
    found = invoking.find(invoking.functions(root, settings), function)
    event = invoking.read_event(event_file)
    name = None if env_vars else invoking.deployed_name(found, settings)
    with ExitStack() as meanwhile:
        if name is None:
            given = invoking.read_variables(env_vars, found) if env_vars else {}
            variables = invoking.environment(found, given)
            deploy.build(settings, root, progress=lambda text: typer.echo(text, err=True))
            name = meanwhile.enter_context(invoking.held(found, variables, settings, root))
        asked, answers = meanwhile.enter_context(invoking.answered_here(event))
        done = invoking.invoke(found, name, asked, settings)
    typer.echo(done.log.rstrip(), err=True)
    for answer in answers:
        typer.echo(f"CloudFormation is answered: {answer}", err=True)
    typer.echo(done.answer)
    if done.failed or invoking.refused(answers):
        raise typer.Exit(1)


@app.command(epilog=examples("cardwatch variables > env.json"))
def variables() -> None:
    """Print the variables that the local stack sets.

    They are in the form that `sam local invoke --env-vars` and `cardwatch invoke --env-vars` take.
    """
    from cardwatch.local.invoke import invoke as invoking

    settings, root = settings_and_root()
    found = invoking.variables(invoking.functions(root, settings), settings)
    typer.echo(json.dumps(found, indent=2))

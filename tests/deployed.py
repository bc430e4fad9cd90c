"""What a deploy makes, as far as a function's test needs it beside the function's own settings."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from cardwatch.aws.clients import AwsClients

FUNCTIONS = Path(__file__).parents[1] / "functions"


def cold_start(function: str) -> ModuleType:
    """Import a function's file, as Lambda does before the first invocation."""
    spec = importlib.util.spec_from_file_location(
        f"{function}_handler", FUNCTIONS / function / "handler.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def create_key_table(clients: AwsClients, name: str) -> None:
    """Make a table of items by their key alone, as ControlTable and CardRegistryTable are."""
    clients.dynamodb().create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )

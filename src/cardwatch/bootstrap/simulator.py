"""Wires the simulator."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final
from uuid import uuid4

from aws_lambda_powertools import Logger, Metrics

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.dead_letters import S3DeadLetters
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.simulator_control import DynamoDBSimulatorControl
from cardwatch.aws.token_keys import SecretsManagerTokenKeys
from cardwatch.backoff import Backoff
from cardwatch.bootstrap.rules import build_rules_again
from cardwatch.cards.tokenizer import Tokenizer, read_tokenized_cards
from cardwatch.clock import SystemClock
from cardwatch.ports import Clock
from cardwatch.settings import SettingsError, SimulatorSettings
from cardwatch.simulation.events import EventGenerator
from cardwatch.simulation.faults import fault_profile, parse_fault_profile
from cardwatch.simulation.loop import SimulatorInvocation, SimulatorLoop
from cardwatch.simulation.profiles import UnknownNameError
from cardwatch.simulation.scenarios import parse_scenarios, scenarios
from cardwatch.simulation.telemetry import report

ENDS_EARLY_SECONDS: Final = 30.0
"""Time for a last put, which tries for 5 s, and for keeping what it could not deliver."""


def build_simulator(
    settings: SimulatorSettings,
    *,
    logger: Logger,
    metrics: Metrics,
    clock: Clock | None = None,
    clients: AwsClients | None = None,
) -> Callable[[Mapping[str, Any], float], dict[str, Any]]:
    """Give the simulator: an event and the seconds until it is stopped in, how it ended out.

    Reads the card file and the tokenizer's key once. Raises SettingsError, CardFileError or
    TokenKeyError, each with a text that says how to mend it.
    """
    clock = clock or SystemClock()
    clients = clients or AwsClients()
    faults = _read("FAULT_PROFILE", parse_fault_profile, settings.fault_profile)
    stories = _read("SCENARIOS", parse_scenarios, settings.scenarios)
    tokenizer = Tokenizer(
        SecretsManagerTokenKeys(clients.secrets(), settings.token_key_secret).current()
    )
    generator = EventGenerator(
        read_tokenized_cards(settings.card_file, tokenizer, now=clock.now()),
        seed=settings.seed,
        registry_period_minutes=settings.registry_period_minutes,
        accounts=settings.accounts == "on",
        faults=fault_profile(faults),
        scenarios=scenarios(stories),
    )
    stream = KinesisEventStream(
        clients.kinesis(),
        settings.stream_name,
        clock,
        # What a longer stall would hold up is skipped anyway.
        backoff=Backoff(tries=12, patience_seconds=5.0),
    )
    control = DynamoDBSimulatorControl(clients.impatient_dynamodb(), settings.control_table)
    dead_letters = S3DeadLetters(clients.s3(), settings.dead_letter_bucket, clock)
    rules = build_rules_again(settings.delivery_bucket, logger=logger, clock=clock, clients=clients)

    def simulate(event: Mapping[str, Any], remaining_seconds: float) -> dict[str, Any]:
        seconds = remaining_seconds - ENDS_EARLY_SECONDS
        loop = SimulatorLoop(
            SimulatorInvocation.from_event(event, holder=uuid4().hex, seconds=seconds),
            generator=generator,
            stream=stream,
            control=control,
            dead_letters=dead_letters,
            clock=clock,
            log=logger,
            report=partial(report, metrics),
            payments=settings.payments == "on",
            payments_per_second=settings.payments_per_second,
            rules=rules,
        )
        end = loop.run()
        return {"end": end, **asdict(loop.totals)}

    return simulate


def _read(name: str, parse: Callable[[str], tuple[str, ...]], text: str) -> tuple[str, ...]:
    try:
        return parse(text)
    except UnknownNameError as error:
        msg = f"wrong settings for SimulatorSettings: {name}: {error}"
        raise SettingsError(msg) from None

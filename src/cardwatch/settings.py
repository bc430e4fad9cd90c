"""The settings of every deployable. The only place that reads the environment.

A wrong or missing setting is one SettingsError that names it and how to mend it.
"""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and the remedy."""


class Settings(BaseSettings):
    """What all settings models share."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings from the environment; raises SettingsError."""
        try:
            return cls()
        except ValidationError as error:
            prefix = cls.model_config.get("env_prefix", "")
            problems = [
                f"{prefix}{'.'.join(str(p) for p in item['loc'])}".upper() + f": {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            ]
            what = "; ".join(problems)
            msg = f"wrong settings for {cls.__name__}: {what}; set them in the environment"
            raise SettingsError(msg) from None


class SimulatorSettings(Settings):
    """Settings of the simulator function (template.yaml, SimulatorFunction)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream all events go to.")
    ]
    control_table: Annotated[
        str,
        Field(
            min_length=1,
            description="DynamoDB table with the running invocation and the on/off switch.",
        ),
    ]
    token_key_secret: Annotated[
        str, Field(min_length=1, description="Secrets Manager id of the tokenizer's HMAC key.")
    ]
    dead_letter_bucket: Annotated[
        str, Field(min_length=1, description="S3 bucket for what could not be sent.")
    ]
    delivery_bucket: Annotated[
        str,
        Field(min_length=1, description="S3 bucket with the rules, which are published again."),
    ]
    card_file: Annotated[Path, Field(description="The card file in the artifact.")] = Path(
        "cards.txt"
    )
    payments: Annotated[
        Literal["on", "off"],
        Field(description="Payments on or off; heartbeats and registry go on."),
    ] = "on"
    payments_per_second: Annotated[
        float, Field(ge=0.001, le=10_000, description="Payments per second while they are on.")
    ] = 20.0
    registry_period_minutes: Annotated[
        int,
        Field(ge=1, le=60, description="Minutes in which the whole card file is published once."),
    ] = 15
    accounts: Annotated[
        Literal["on", "off"],
        Field(description="Accounts on or off: off where a bank's database publishes them."),
    ] = "on"
    seed: Annotated[int, Field(ge=0, description="Seed of the generator.")] = 7
    fault_profile: Annotated[
        str, Field(description="Named faults to inject, comma-separated; `none` for none.")
    ] = "none"
    scenarios: Annotated[
        str,
        Field(description="Named scenarios of fraud to play, comma-separated, `all` or `none`."),
    ] = "none"


class NotifierSettings(Settings):
    """Settings of the notifier function (template.yaml, NotifierFunction)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream PAGE_EVENTs go to.")
    ]
    ledger_table: Annotated[
        str, Field(min_length=1, description="DynamoDB table of the page ledger.")
    ]
    topic_arn: Annotated[
        str, Field(min_length=1, description="SNS topic that pages are published to.")
    ]
    dead_letter_bucket: Annotated[
        str, Field(min_length=1, description="S3 bucket for poison records.")
    ]
    page_max_age_seconds: Annotated[
        int,
        Field(
            ge=60, le=604_800, description="An older alert is recorded as EXPIRED and not paged."
        ),
    ] = 86_400
    pages_per_minute: Annotated[
        int,
        Field(
            ge=1,
            le=300,
            description="Token bucket of pages; far below SNS's 10 a second for e-mail.",
        ),
    ] = 30
    rule_page_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3_600,
            description="Seconds between two pages of a rule that is not urgent; what comes "
            "meanwhile goes into the next one.",
        ),
    ] = 60
    group_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3_600,
            description="After a page of a card or another entity, what comes on it for so long "
            "joins one follow-up.",
        ),
    ] = 300
    digest_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3_600,
            description="Seconds between two digests of stolen cards' alerts that had to wait "
            "because PAGES_PER_MINUTE had gone out.",
        ),
    ] = 60
    act_holds_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=86_400,
            description="After somebody acted on a page, nobody is paged for so long of what comes "
            "on the cards or other entities in it; 0: an act stops no page.",
        ),
    ] = 3_600
    escalate_after_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=86_400,
            description="When nobody has acted on a page for so long, people are reminded of it "
            "once, and the next ones are told; 0: never.",
        ),
    ] = 900
    escalation_topic_arn: Annotated[
        str,
        Field(description="SNS topic of those next ones; empty: there are none."),
    ] = ""
    snooze_floors: Annotated[
        str,
        Field(
            pattern=r"^([A-Z]{3}=[0-9]{1,15}(,[A-Z]{3}=[0-9]{1,15})*)?$",
            description="Amounts from which a payment is paged although it is snoozed, one per "
            "currency; empty for none.",
        ),
    ] = "EUR=1000,GBP=1000,USD=1000"
    lease_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=900,
            description="How long one attempt owns an alert before another takes it over.",
        ),
    ] = 60
    ledger_ttl_days: Annotated[
        int,
        Field(
            ge=2, le=400, description="How long the ledger remembers; longer than the stream does."
        ),
    ] = 14
    email_subscriptions: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="E-mail subscriptions the topic should have; what is missing is counted.",
        ),
    ] = 0
    subscriptions_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=300,
            description="For how long it is taken as known whether a page would reach anybody.",
        ),
    ] = 30
    page_links_address: Annotated[
        str,
        Field(description="Where the links in pages begin; empty: pages carry none."),
    ] = ""
    link_key_secret: Annotated[
        str, Field(description="Secrets Manager id of the key that signs links; empty without.")
    ] = ""
    canary_heartbeat_url: Annotated[
        str,
        Field(
            repr=False,
            description="Address of a service outside AWS that is asked for with each canary and "
            "rings when none comes; empty for none.",
        ),
    ] = ""

    @property
    def floors(self) -> dict[str, Decimal]:
        """Give the snooze floors by currency."""
        pairs = (pair.split("=") for pair in self.snooze_floors.split(",") if pair)
        return {currency: Decimal(amount) for currency, amount in pairs}


class CanarySettings(Settings):
    """Settings of the function that sends canaries (template.yaml, CanaryFunction)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream all events go to.")
    ]


class PageActsSettings(Settings):
    """Settings of the function behind the links of pages (infra/acts.yaml, PageActsFunction)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream PAGE_ACTs go to.")
    ]
    ledger_table: Annotated[
        str, Field(min_length=1, description="DynamoDB table of the page ledger.")
    ]
    link_key_secret: Annotated[
        str, Field(min_length=1, description="Secrets Manager id of the key that signs links.")
    ]
    ledger_ttl_days: Annotated[
        int,
        Field(ge=4, le=400, description="How long acts are remembered; longer than links hold."),
    ] = 14


class SlackSettings(Settings):
    """Settings of the function that posts pages to Slack (template.yaml, SlackFunction)."""

    webhook_secret: Annotated[
        str,
        Field(min_length=1, description="Secrets Manager id of the Slack webhook's address."),
    ]
    queue_url: Annotated[
        str, Field(min_length=1, description="The queue that the pages to post come from.")
    ]


class StagerSettings(Settings):
    """Settings of the stager function (template.yaml, StagerFunction)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream QUARANTINED_EVENTs go to.")
    ]
    card_registry_table: Annotated[
        str,
        Field(
            min_length=1,
            description="DynamoDB table with the newest status that the stager saw of each card.",
        ),
    ]
    warn_quarantined_share: Annotated[
        float,
        Field(
            ge=0, le=1, description="Share of a batch in quarantine from which a warning is logged."
        ),
    ] = 0.5


class BankingSettings(Settings):
    """Settings of the function that publishes from the bank's database (infra/banking.yaml)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream accounts and payments go to.")
    ]
    control_table: Annotated[
        str, Field(min_length=1, description="DynamoDB table with how far the bank was read.")
    ]
    database_secret: Annotated[
        str,
        Field(min_length=1, description="Secrets Manager ARN of the DSN of the bank's PostgreSQL."),
    ]
    transactions: Annotated[
        Literal["on", "off"],
        Field(description="Whether banking.transactions is read too, each one a payment."),
    ] = "off"
    token_key_secret: Annotated[
        str,
        Field(description="Secrets Manager id of the tokenizer's HMAC key; for transactions only."),
    ] = ""
    settle_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="How long after its updated_at a row is read where the bank hides its open "
            "transactions; one that is open for longer is missed.",
        ),
    ] = 60
    again_minutes: Annotated[
        int,
        Field(
            ge=1,
            le=1_440,
            description="Minutes in which every account is published again; the look-back of a job "
            "that starts without state covers it.",
        ),
    ] = 15
    again_per_run: Annotated[
        int,
        Field(ge=1, le=20_000, description="Accounts that one run publishes again at most."),
    ] = 1_000


class WarehouseSettings(Settings):
    """Which warehouse a function works with."""

    warehouse_kind: Annotated[
        Literal["cluster", "serverless"], Field(description="What the warehouse is.")
    ]
    warehouse_name: Annotated[
        str, Field(min_length=1, description="Identifier of the cluster, or name of the workgroup.")
    ]
    database_name: Annotated[str, Field(min_length=1, description="Its database.")]


class WarehouseLoadSettings(WarehouseSettings):
    """Settings of the function that loads the warehouse (infra/warehouse.yaml)."""

    delivery_bucket: Annotated[
        str, Field(min_length=1, description="The bucket with the delivered events.")
    ]
    loader_secret: Annotated[
        str, Field(min_length=1, description="Secrets Manager ARN of the user that loads.")
    ]
    copy_role: Annotated[
        str, Field(min_length=1, description="ARN of the role that COPY reads the bucket as.")
    ]


class WarehouseRefreshSettings(WarehouseSettings):
    """Settings of the function that refreshes the warehouse (infra/warehouse.yaml)."""

    owner_secret: Annotated[
        str, Field(min_length=1, description="Secrets Manager ARN of the user that owns it.")
    ]
    retention_days: Annotated[
        int,
        Field(
            ge=1,
            le=400,
            description="Days of events that the warehouse keeps; the delivery bucket keeps 400.",
        ),
    ]


class AuditSettings(WarehouseSettings):
    """Settings of the function that audits what is loaded (infra/audit.yaml)."""

    stream_name: Annotated[
        str, Field(min_length=1, description="The Kinesis stream missing PAYMENT_ALERTs go to.")
    ]
    control_table: Annotated[
        str, Field(min_length=1, description="DynamoDB table with the load that the audit reached.")
    ]
    reader_secret: Annotated[
        str, Field(min_length=1, description="Secrets Manager ARN of the user that it reads as.")
    ]
    retention_days: Annotated[
        int, Field(ge=1, le=400, description="Days of events that the warehouse keeps.")
    ]
    look_back_days: Annotated[
        int,
        Field(ge=1, le=7, description="Days before its report that a theft is looked back to."),
    ] = 7
    group_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3_600,
            description="The notifier's GROUP_SECONDS: for so long an alert may wait for its page.",
        ),
    ] = 300
    digest_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3_600,
            description="The notifier's DIGEST_SECONDS: for so long it may wait besides.",
        ),
    ] = 60


class LocalSettings(Settings):
    """Settings of the one-machine stack; every name has the prefix CARDWATCH_."""

    model_config = SettingsConfigDict(
        env_prefix="CARDWATCH_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    var: Annotated[Path, Field(description="Folder for state, logs and receipts.")] = Path("var")
    aws_port: Annotated[
        int, Field(ge=1024, le=65_535, description="Port of the local AWS stack.")
    ] = 4566
    flink_port: Annotated[int, Field(ge=1024, le=65_535, description="Port of Flink's web UI.")] = (
        8081
    )
    risk_desk: Annotated[
        Literal["on", "off"],
        Field(description="Whether the risk desk's detections run, in a Flink of their own."),
    ] = "on"
    risk_desk_port: Annotated[
        int, Field(ge=1024, le=65_535, description="Port of the web UI of the risk desk's Flink.")
    ] = 8082
    minute_rows: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="How many merchants the risk desk writes of a minute at most, those with "
            "the most payments, and how many users.",
        ),
    ] = 1_000
    user_minutes: Annotated[
        Literal["on", "off"],
        Field(description="Whether the risk desk writes users' minutes as well as merchants'."),
    ] = "off"
    metrics_port: Annotated[
        int,
        Field(
            ge=0,
            le=65_532,
            description="Port of the run's metrics for Prometheus; Flink's are on the three behind "
            "it. 0: none.",
        ),
    ] = 9464
    prometheus_port: Annotated[
        int, Field(ge=1024, le=65_535, description="Port of the Prometheus of `cardwatch monitor`.")
    ] = 9090
    dashboard_port: Annotated[
        int, Field(ge=0, le=65_535, description="Port of the dashboard. 0: none.")
    ] = 8501
    page_objective_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=600,
            description="From payment to page, what 99 of 100 pages should stay under; the "
            "dashboard holds them against it.",
        ),
    ] = 10.0
    cards: Annotated[Path, Field(description="Card file the simulator's payments are made of.")] = (
        Path("data/cards.txt")
    )
    stack_name: Annotated[str, Field(min_length=1, description="Name of the deployed stack.")] = (
        "cardwatch"
    )
    region: Annotated[str, Field(min_length=1, description="Region name to deploy under.")] = (
        "us-east-1"
    )
    audit: Annotated[
        Literal["on", "off"],
        Field(
            description="Whether a run without an end audits what is loaded every few seconds, and "
            "puts missing alerts on the stream; a measured run does not."
        ),
    ] = "on"
    warehouse_days: Annotated[
        int, Field(ge=1, le=3650, description="Days of events that the warehouse keeps.")
    ] = 90


def program_environment(added: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for a program of the one-machine stack.

    What points at a real AWS account, or at another Python environment, is left out. A proxy is for
    the outside: what runs on this machine is asked directly.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and name not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    }
    names = ("no_proxy", "NO_PROXY")
    given = next((inherited[name] for name in names if inherited.get(name)), None)
    direct = ",".join(filter(None, (given, "127.0.0.1,localhost")))
    inherited |= dict.fromkeys(names, direct)
    return {**inherited, **added}

"""The custom resource of the warehouse's schema: Redshift as `warehouse/` says, by its Data API.

Standard library and boto3 only: its function has no layer.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.redshift_data import RedshiftDatabase, RedshiftDataSession
from cardwatch.backoff import Backoff
from cardwatch.clock import SystemClock
from cardwatch.deployment.custom_resource import Answer, Request, ResourceFailedError
from cardwatch.ports import Clock
from cardwatch.warehouse.ports import WarehouseUnavailableError
from cardwatch.warehouse.schema import Password, WarehouseSchema, WarehouseSchemaError
from cardwatch.warehouse.sql import WarehouseSqlError, read_warehouse_sql

READY_SECONDS: Final = 300
"""How long the warehouse may take to answer at all."""
STATEMENT_SECONDS: Final = 240
"""How long one transaction may take."""
STEPS: Final = Backoff(first_seconds=2.0, longest_seconds=8.0)
"""Between the tries of a step that lost to another run."""


@dataclass(frozen=True, slots=True)
class RedshiftSchema:
    """Does what the custom resource of the schema asks for."""

    folder: Path
    """A copy of `warehouse/`."""
    clients: AwsClients
    clock: Clock = field(default_factory=SystemClock)

    def handle(self, request: Request) -> Answer:
        """Do what is missing; a Delete leaves everything to the warehouse's own deletion policy.

        Properties: Warehouse, `cluster` or `serverless`; WarehouseName; DatabaseName;
        AdminSecretArn; LoaderSecretArn; AuditorSecretArn. Raises ResourceFailedError, which says
        why.
        """
        warehouse = RedshiftDatabase(
            name=request.text("WarehouseName"),
            serverless=request.text("Warehouse") == "serverless",
            database=request.text("DatabaseName"),
            secret_arn=request.text("AdminSecretArn"),
        )
        physical_id = f"{warehouse.name}/{warehouse.database}"
        if request.kind == "Delete":
            return Answer(request.physical_id or physical_id)
        session = RedshiftDataSession(
            self.clients.redshift_data(),
            warehouse,
            self.clock,
            patience_seconds=min(STATEMENT_SECONDS, request.remaining_seconds()),
        )
        try:
            session.wait_until_ready(min(READY_SECONDS, request.remaining_seconds()))
            done = WarehouseSchema(
                session,
                read_warehouse_sql(self.folder),
                self._password(request.text("LoaderSecretArn")),
                auditor=self._password(request.text("AuditorSecretArn")),
                pause=lambda failures: self.clock.sleep(STEPS.longest_wait(failures)),
            ).bring_up_to_date()
        except (WarehouseSchemaError, WarehouseSqlError, WarehouseUnavailableError) as error:
            raise ResourceFailedError(str(error), physical_id=physical_id) from None
        return Answer(physical_id, {"Done": ", ".join(done) or "nothing was missing"})

    def _password(self, secret: str) -> Password:
        """Read a user's password; raises ResourceFailedError, which never quotes the secret."""
        answer = self.clients.secrets().get_secret_value(SecretId=secret)
        try:
            value = json.loads(answer["SecretString"])["password"]
        except (KeyError, TypeError, ValueError):
            value = None
        if not isinstance(value, str) or not value:
            msg = f"secret {secret} is not a JSON object with a text in `password`: put one there"
            raise ResourceFailedError(msg)
        return Password(answer["VersionId"], value)

"""HEARTBEAT: the clock of a quiet stream; it closes the windows when no payment does."""

from typing import Annotated

from pydantic import Field

from cardwatch.contract.fields import Contract, Identifier


class Heartbeat(Contract):
    """One heartbeat, sent to every shard every second."""

    source: Annotated[Identifier, Field(description="Who sends it.")]

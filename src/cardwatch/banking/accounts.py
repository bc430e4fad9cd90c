"""`banking.accounts` becomes ACCOUNT events; the holder's full name ends here."""

from datetime import datetime
from typing import Final

from cardwatch.banking.ports import BankRow, BankTable
from cardwatch.banking.rows import Feed, entry_of, instant, shown_key
from cardwatch.contract.account import account_event_id, mask_name
from cardwatch.contract.fields import format_time, parse_time
from cardwatch.contract.streams import EARLIEST_EVENT_TIME
from cardwatch.ports import StreamEntry

TABLE: Final = BankTable(
    "banking.accounts",
    "account_id",
    (
        "holder_name",
        "holder_country",
        "opened_at",
        "credit_limit",
        "currency",
        "spent",
        "spent_until",
        "status",
        "risk_segment",
    ),
)


def account_entry(row: BankRow, now: datetime) -> StreamEntry:
    """Give the ACCOUNT of a row as published at `now`; raises RejectedRecord.

    It holds from when the row was last changed, cut to milliseconds, and for one from before the
    contract's first instant from that one on.
    """
    valid_from = max(parse_time(row.updated_at), EARLIEST_EVENT_TIME)
    values = dict(row.values)
    name = values.pop("holder_name")
    data = {
        **values,
        "account_id": row.key,
        "account_name": mask_name(name or ""),
        "opened_at": instant("opened_at", values["opened_at"]),
        "spent_until": instant("spent_until", values["spent_until"]),
        "valid_from": format_time(valid_from),
    }
    event_id = account_event_id(row.key, valid_from)
    return entry_of("ACCOUNT", event_id, format_time(now), data, now)


ACCOUNTS: Final = Feed("accounts", TABLE, account_entry, shown_key)

"""The words of a page: two in full, and what holds for every one."""

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.card_numbers import NUMBERS, in_groups
from tests.fakes import NOON
from tests.unit.paging.support import alert_event

from cardwatch.contract.streams import Envelope
from cardwatch.paging.alerts import PagedAlert
from cardwatch.paging.grouping import MAX_ALERTS_PER_PAGE, Policy
from cardwatch.paging.message import compose
from cardwatch.paging.notifier import page_events
from cardwatch.paging.ports import PageMessage
from cardwatch.paging.records import Page, PageState, page_id


def page(events: Sequence[Envelope], **changes: object) -> PageMessage:
    alerts = [PagedAlert.of(event) for event in events]
    alert_ids = tuple(sorted(alert.alert_id for alert in alerts))
    made = Page(
        page_id=page_id(alert_ids),
        state=PageState.PENDING,
        entry_ids=("e",),
        alert_ids=alert_ids,
        since=NOON,
        lease_until=NOON,
    )
    return compose(made.model_copy(update=changes), alerts, Policy())


def test_a_page_of_one_alert_in_full() -> None:
    message = page([alert_event(1)])
    assert message.subject == "Stolen card 424242******4242: 12.50 EUR, Valletta, MT"
    assert (
        message.text
        == """\
A payment on a stolen card

Card: 424242******4242
Amount: 12.50 EUR
Merchant: mer_0007
Place: Valletta, MT
Happened: 2026-11-21 12:00:00 UTC
Detected: 2026-11-21 12:00:03 UTC, 3 s later
Why: card reported stolen 2026-11-20T22:10:00.000Z
Payment: pay_0001, account acc_00042
Alert: 3b53fe420aad4a11c2799d4220ba20aa5615948a4a33a9b25f5bf085b9cf1b0d

What to do
1. Block the card, if it is not blocked yet.
2. Stop or reverse the payment.
3. Call the account holder on the number on file.

Page: page_22a6358c52a6024b0bd87eb62c1c971d
Alerts in this page: 1
"""
    )


def test_a_repeated_page_with_held_expired_and_unreadable_things_in_full() -> None:
    unreadable = alert_event(
        2,
        at=NOON - timedelta(minutes=3),
        **dict.fromkeys(["amount", "currency", "merchant_id", "city", "country"]),
        account_id=None,
        card_bin=in_groups(NUMBERS[0]),
    )
    message = page(
        [alert_event(1), unreadable],
        repeat=True,
        waited=1,
        expired_ids=("a" * 64,),
        earlier_expired=2,
    )
    assert message.subject == (
        "May be a repeat: 2 payments on 1 stolen card: 12.50 EUR + 1 with amount unknown"
    )
    assert (
        message.text
        == """\
2 payments on 1 stolen card

THIS MAY BE A REPEAT. The page below may have reached you before, under the same page id. \
If it has, there is nothing new in it.

1. Card 424242******4242
Amount: 12.50 EUR
Merchant: mer_0007
Place: Valletta, MT
Happened: 2026-11-21 12:00:00 UTC
Detected: 2026-11-21 12:00:03 UTC, 3 s later
Why: card reported stolen 2026-11-20T22:10:00.000Z
Payment: pay_0001, account acc_00042
Alert: 3b53fe420aad4a11c2799d4220ba20aa5615948a4a33a9b25f5bf085b9cf1b0d

2. Card ******4242
Amount: unknown
Merchant: unknown
Place: unknown
Happened: 2026-11-21 11:57:00 UTC
Detected: 2026-11-21 11:57:03 UTC, 3 s later
Why: card reported stolen 2026-11-20T22:10:00.000Z
Payment: pay_0002
Alert: de5bcb6ca4e5b84df1664a8013fff6f5b4aacbf74121cd8d5925275b600c7b5e

What to do
1. Block the card, if it is not blocked yet.
2. Stop or reverse the payment.
3. Call the account holder on the number on file.

1 alert of this page waited: at most 30 pages a minute go out.

3 alerts were not paged, only recorded as EXPIRED: older than 24 h, \
or refused by the channel until then.

Page: page_a3c48eedc9aafb211702efc40455859d
Alerts in this page: 2
"""
    )


def test_at_most_20_alerts_are_listed_and_the_rest_is_counted_per_currency() -> None:
    events = [
        alert_event(n, at=NOON - timedelta(seconds=n), currency="EUR" if n % 2 else "USD")
        for n in range(25)
    ]
    message = page(events)
    assert "20. Card" in message.text
    assert "21. Card" not in message.text
    assert "And 5 more, not listed here: 25.00 EUR, 37.50 USD.\n" in message.text
    assert len(message.alert_ids) == 25


def test_the_same_page_reads_the_same_whatever_order_its_alerts_come_in() -> None:
    events = [alert_event(n) for n in range(5)]
    assert page(events) == page(events[::-1])


text = st.one_of(st.none(), st.text(max_size=128))


@given(
    currency=text,
    merchant_id=text,
    country=text,
    city=st.one_of(st.none(), st.text(max_size=64)),
    reason=st.text(max_size=256),
    repeat=st.booleans(),
)
def test_no_field_can_break_the_subject_or_the_lines_of_a_page(
    repeat: bool,  # noqa: FBT001  hypothesis passes it by name
    **fields: str | None,
) -> None:
    message = page([alert_event(1, at=NOON, **fields)], repeat=repeat)
    assert 0 < len(message.subject) <= 100
    assert message.subject.isascii()
    assert message.subject.isprintable()
    assert message.text.replace("\n", "").isprintable()
    plain = page([alert_event(1)], repeat=repeat).text
    assert message.text.count("\n") == plain.count("\n")


@given(
    st.sampled_from(
        ["card_bin", "card_last4", "merchant_id", "city", "country", "reason", "account_id"]
    ),
    st.sampled_from([NUMBERS[0], in_groups(NUMBERS[0]), f"x{in_groups(NUMBERS[0], '-')}y"]),
)
def test_a_card_number_in_the_wrong_field_does_not_get_into_a_page(field: str, number: str) -> None:
    message = page([alert_event(1, at=NOON, **{field: number})])
    digits = "".join(c for c in message.text.replace(" ", "").replace("-", "") if c != "\n")
    assert NUMBERS[0][:8] not in digits
    assert NUMBERS[0][:8] not in message.subject


def test_the_biggest_page_fits_a_message_and_its_event_fits_the_contract() -> None:
    events = [alert_event(n, city="\u0416" * 64) for n in range(MAX_ALERTS_PER_PAGE)]
    message = page(events)
    body = len(message.text.encode()) + len(str(message.alert_ids))
    assert body < 256 * 1024
    ids = tuple(sorted(event.event_id for event in events))
    sent = Page(
        page_id=message.page_id,
        state=PageState.SENT,
        entry_ids=(),
        alert_ids=ids,
        expired_ids=ids,
        since=NOON,
        lease_until=NOON,
        ended_at=NOON,
    )
    made = list(page_events(sent, "sns"))
    assert [event.event_id.split("|")[1] for event in made] == ["SENT", "EXPIRED"]
    assert all(len(event.data_text().encode()) <= 65_535 for event in made)

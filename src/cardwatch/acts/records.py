"""What the page ledger remembers of people's acts: one item per page, beside the pages' own."""

from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from cardwatch.contract.act import PageAct
from cardwatch.contract.fields import EventTime
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import Record

MAX_ACTS: Final = 200
"""Acts about one page; an act takes about half a kilobyte of the item's 300."""


class DoneAct(BaseModel):
    """One act that is on the stream."""

    model_config = ConfigDict(frozen=True)

    at: EventTime
    act: PageAct


class PageActs(Record):
    """What people did about one page, in the order in which it was recorded."""

    page_id: str
    acts: tuple[DoneAct, ...] = ()

    @staticmethod
    def key(page_id: str) -> str:
        return f"acts#{page_id}"

    def knows(self, act_id: str) -> bool:
        """Say whether an act is recorded."""
        return any(done.act.act_id == act_id for done in self.acts)

    def ends_with(self, act: PageAct) -> bool:
        """Say whether the act that was recorded last is the same thing by the same person."""
        if not self.acts:
            return False
        last = self.acts[-1].act
        return (last.act, last.by, last.reason) == (act.act, act.by, act.reason)

    @property
    def newest(self) -> str:
        """Name the act that was recorded last; empty when there is none."""
        return self.acts[-1].act.act_id if self.acts else ""

    def plus(self, act: PageAct, at: datetime) -> Self:
        """Record one more."""
        return self._next(acts=(*self.acts, DoneAct(at=at, act=act)))

    def item(self) -> LedgerItem:
        return self._item(self.key(self.page_id), "ACTS", None)

"""Backfill: loads what delivery gave up loading, object by object, and never one twice.

When COPY fails for longer than Firehose retries, the objects stay in the bucket and a manifest that
lists them is put under `events/errors/`. An object is loaded in one transaction with its row in the
load ledger, so a backfill that broke off, ran twice or meets an object in two manifests loads it
once. What Firehose itself loaded is in no manifest; should one of its COPYs have been done although
it saw it fail, the events are there twice and the views show each once.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cardwatch.recovery.ports import DeliveredObjects, Loader

SKIPPED: Final = ("events/errors/", "errors/")
"""Where Firehose puts the manifests: `errors/`, below the prefix of the objects or at the top.
(Amazon Data Firehose Developer Guide, "Data delivery failure handling", says only `errors/`.)"""

Progress = Callable[[str], None]


@dataclass(slots=True)
class BackfillReport:
    """What a backfill did, or in a dry run would do."""

    manifests: int = 0
    objects: int = 0
    """Objects that the manifests list, each once."""
    loaded: int = 0
    rows: int = 0
    """Rows of the objects loaded; 0 in a dry run, which reads none."""
    already_loaded: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    """Objects that the warehouse refuses, and where their fault is; they stay."""
    removed: int = 0
    """Manifests that are dealt with and gone."""
    problems: list[str] = field(default_factory=list)
    """Manifests and objects that could not be read; they stay."""

    @property
    def complete(self) -> bool:
        """Say whether nothing was left behind."""
        return not (self.bad or self.problems)


def load_skipped(
    bucket: DeliveredObjects,
    warehouse: Loader,
    *,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
) -> BackfillReport:
    """Load the objects of every skipped manifest, and remove a manifest whose objects are loaded.

    Raises WarehouseUnavailableError as the warehouse does; what was loaded before stays loaded.
    """
    report = BackfillReport()
    known = warehouse.known_objects()
    seen: dict[str, bool] = {}
    manifests = [item.key for prefix in SKIPPED for item in bucket.list(prefix)]
    for place, manifest in enumerate(manifests, start=1):
        report.manifests += 1
        try:
            keys = list(_entries(bucket, manifest))
        except ValueError as error:
            report.problems.append(f"{manifest} is no manifest of this bucket: {error}")
            continue
        progress(f"manifest {place} of {len(manifests)}: {len(keys)} objects")
        for key in keys:
            if key not in seen:
                report.objects += 1
                seen[key] = _load(bucket, warehouse, known, key, report, dry_run=dry_run)
        if all(seen[key] for key in keys) and not dry_run:
            bucket.remove(manifest)
            report.removed += 1
    return report


def _load(
    bucket: DeliveredObjects,
    warehouse: Loader,
    known: set[tuple[str, str]],
    key: str,
    report: BackfillReport,
    *,
    dry_run: bool,
) -> bool:
    """Load one object and say whether it is in the warehouse now."""
    found = [item for item in bucket.list(key) if item.key == key]
    if not found:
        report.problems.append(
            f"{key} is gone from the bucket: a former version may still be there"
        )
        return False
    etag = found[0].etag
    if dry_run:
        if (key, etag) in known:
            report.already_loaded += 1
        else:
            report.loaded += 1
        return False
    body = bucket.get(key)
    if body is None:
        report.problems.append(f"{key} went from the bucket while it was being loaded")
        return False
    outcome = warehouse.load(key, etag, body)
    match outcome.result:
        case "loaded":
            report.loaded += 1
            report.rows += outcome.rows
        case "already_loaded":
            report.already_loaded += 1
        case "bad":
            report.bad[key] = outcome.error
    return outcome.result != "bad"


def _entries(bucket: DeliveredObjects, manifest: str) -> Iterator[str]:
    """Give the keys that a manifest lists; raises ValueError, which quotes no content."""
    body = bucket.get(manifest)
    try:
        document = json.loads(body or b"")
        urls = [urlsplit(entry["url"]) for entry in document["entries"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        msg = "it is not JSON with a list of entries, each with its url"
        raise ValueError(msg) from None
    for url in urls:
        if (url.scheme, url.netloc) != ("s3", bucket.bucket) or not url.path.strip("/"):
            msg = "it lists objects of another bucket"
            raise ValueError(msg)
        yield url.path.removeprefix("/")

"""What a Flink says of its jobs, by the REST API behind its web UI."""

import contextlib
import http.client
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class FlinkHealth:
    """What the cluster says of the job."""

    job_id: str
    state: str
    """Flink's word: RUNNING, RESTARTING, FAILED, …"""
    restarts: int
    checkpoints: int
    """Completed ones."""
    failed_checkpoints: int
    watermark: datetime | None
    """Event time of the slowest operator; None before the first event."""
    watermark_lag_seconds: float | None
    """How far the slowest operator's event time is behind; None before the first event."""


class FlinkRest:
    """The REST API on one port of this machine; what does not answer is None, or no."""

    def __init__(self, port: int) -> None:
        """Ask the Flink that listens, or will listen, on `port`."""
        self._port = port

    @property
    def address(self) -> str:
        """Give the address of the web UI."""
        return f"http://{HOST}:{self._port}"

    def is_ready(self) -> bool:
        """Say whether it takes jobs."""
        return self._get("/overview") is not None

    def has_slot(self) -> bool:
        """Say whether a TaskManager has registered."""
        overview = self._get("/overview")
        return overview is not None and int(overview["taskmanagers"]) > 0

    def knows(self, job_id: str) -> bool | None:
        """Say whether a JobManager has a job, running or ended; None while none answers."""
        jobs = self._get("/jobs/overview")
        return None if jobs is None else any(job["jid"] == job_id for job in jobs["jobs"])

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end; one that is not there, or has ended, is left alone."""
        self._get(f"/jobs/{job_id}?mode=cancel", method="PATCH")

    def newest_job(self) -> str | None:
        """Give the id of the job that was submitted last."""
        jobs = (self._get("/jobs/overview") or {}).get("jobs", [])
        return max(jobs, key=lambda job: job["start-time"])["jid"] if jobs else None

    def tasks_run(self, job_id: str) -> bool:
        """Say whether every task of a job runs, its Python functions included."""
        job = self._get(f"/jobs/{job_id}")
        return job is not None and all(v["status"] == "RUNNING" for v in job["vertices"])

    def health(self, job_id: str, *, now: datetime | None = None) -> FlinkHealth | None:
        """Say how a job is; None while the JobManager does not answer or does not know it."""
        job = self._get(f"/jobs/{job_id}")
        checkpoints = self._get(f"/jobs/{job_id}/checkpoints")
        if job is None or checkpoints is None:
            return None
        restarts = self._get(f"/jobs/{job_id}/metrics?get=numRestarts") or []
        watermark = self._watermark(job_id, [vertex["id"] for vertex in job["vertices"]])
        behind = (now or datetime.now(UTC)) - watermark if watermark else None
        return FlinkHealth(
            job_id=job_id,
            state=str(job["state"]),
            restarts=sum(int(float(metric["value"])) for metric in restarts),
            checkpoints=int(checkpoints["counts"]["completed"]),
            failed_checkpoints=int(checkpoints["counts"]["failed"]),
            watermark=watermark,
            watermark_lag_seconds=behind.total_seconds() if behind is not None else None,
        )

    def exception(self, job_id: str) -> str | None:
        """Give the first line of why the job failed last; None when it has not."""
        answer = self._get(f"/jobs/{job_id}/exceptions?maxExceptions=1")
        entries = (answer or {}).get("exceptionHistory", {}).get("entries", [])
        return reason_of(entries[0]["stacktrace"]) if entries else None

    def _watermark(self, job_id: str, vertices: Sequence[str]) -> datetime | None:
        found = [
            value
            for vertex in vertices
            for metric in self._get(f"/jobs/{job_id}/vertices/{vertex}/watermarks") or []
            # Before its first event an operator reports the smallest number there is.
            if (value := int(metric["value"])) > 0
        ]
        return _moment(min(found)) if found else None

    def _get(self, path: str, *, method: str = "GET") -> Any | None:  # noqa: ANN401  JSON
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            return (
                json.loads(body or b"{}") if answer.status < http.HTTPStatus.BAD_REQUEST else None
            )
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            with contextlib.suppress(OSError):
                connection.close()


def reason_of(output: str) -> str:
    """Give the one line that says why: the application's own, or else the innermost cause."""
    lines = [
        line.strip()
        for line in output.splitlines()
        if line.strip() and "Python process exits" not in line
    ]
    own = [line.removeprefix("cardwatch: ") for line in lines if line.startswith("cardwatch: ")]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return (own or causes or raised or lines or ["it said nothing"])[-1][:500]


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

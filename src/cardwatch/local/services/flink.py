"""The local Flink cluster: one JobManager and one TaskManager from the PyPI package.

Both run in the foreground, started by the supervisor as plain Java programs: Flink's own start
scripts run several JVMs each to work out memory sizes that are fixed here, and take four times as
long. Both are started again when they die. After a TaskManager Flink restores the job from its last
checkpoint by itself; a JobManager takes the job with it, and job_recovery.py submits it again.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from cardwatch import files
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.supervisor import Program
from cardwatch.local.services import ministack
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.services.flink_classes import FlinkClasses
from cardwatch.local.services.flink_rest import HOST, FlinkRest, reason_of
from cardwatch.local.services.java import LOCALE, java_home
from cardwatch.settings import LocalSettings, program_environment

ENVIRONMENT: Final = Path(".venvs/flink")
"""The environment with PyFlink, from the project's folder."""
APPLICATION: Final = Path("flink_app")
JOB_MANAGER: Final = "flink-jobmanager"
TASK_MANAGER: Final = "flink-taskmanager"
CHECKPOINT_SECONDS: Final = 10
CHECKPOINTS_KEPT: Final = 3
"""Whoever finds the newest damaged goes on from one before it."""
POLL_SECONDS: Final = 0.1
SUBMIT: Final = Path(__file__).with_name("submit_job.py").resolve()
CONNECTORS: Final = APPLICATION / "lib"
"""Where connector jars lie, from the project's folder."""
STOLEN_CARDS: Final = "stolen_cards"
RISK_DESK: Final = "risk_desk"
"""Applications of the package, by what the detections' headers say."""
REPORTER_PORT: Final = "metrics.reporter.prom.port"
Edge = Literal["local", "connector"]
"""How the job reads and writes the stream: cardwatch's own functions, or the production DDL."""

_JOB_MANAGER_JVM: Final = (
    "-Xms32m",
    "-Xmx192m",
    "-XX:MaxMetaspaceSize=192m",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
_TASK_MANAGER_JVM: Final = (
    "-Xms128m",
    "-Xmx448m",
    "-XX:MaxDirectMemorySize=160m",
    "-XX:MaxMetaspaceSize=224m",
    "-XX:ReservedCodeCacheSize=96m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
# A short life: not worth the optimizing compiler.
_CLIENT_JVM: Final = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

LOGGING: Final = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC} %-5p %c{1} - %m%n
"""


class FlinkCluster:
    """The cluster of one run: its programs for the supervisor, and its job."""

    def __init__(
        self, settings: LocalSettings, root: Path, *, checkpoints: Path | None = None
    ) -> None:
        """Use the environment and the application under `root`, the project's folder.

        Jobs keep their `checkpoints` there, or beside the cluster's other state. Raises
        LocalStackError when Flink is not installed.
        """
        self.settings = settings
        self.rest = FlinkRest(settings.flink_port)
        self._root = root.resolve()
        self._python = self._root / ENVIRONMENT / "bin" / "python"
        homes = sorted((self._root / ENVIRONMENT).glob("lib/python3.*/site-packages/pyflink"))
        if not homes or not self._python.exists():
            msg = f"Flink is not installed (no PyFlink in {ENVIRONMENT}); run `make setup`"
            raise LocalStackError(msg)
        self._home = homes[0]
        self._folder = (settings.var / "flink").resolve()
        self._conf = self._folder / "conf"
        self.checkpoints = checkpoints or self._folder / "checkpoints"
        """The folder below which jobs keep their checkpoints."""
        java = java_home()
        self._java = java / "bin" / "java"
        self.classes = FlinkClasses(
            self._home, java, self._root / ENVIRONMENT / "cardwatch-classes"
        )
        self.class_lists = self._folder / "classes"
        """Where this run's JVMs note the classes they load, as long as there is no archive."""

    def prepare(self) -> None:
        """Write the cluster's configuration; what an earlier run left is removed."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for folder in (self._conf, self._folder / "tmp", self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        self.classes.prepare()
        (self._conf / "log4j.properties").write_text(LOGGING)
        (self._conf / "config.yaml").write_text(yaml.safe_dump(self._configuration()))

    def programs(self) -> tuple[Program, Program]:
        """Give JobManager and TaskManager; `prepare` comes first. Both can start at once."""
        entrypoints = "org.apache.flink.runtime"
        return (
            Program(
                name=JOB_MANAGER,
                command=self._command(
                    f"{entrypoints}.entrypoint.StandaloneSessionClusterEntrypoint",
                    _JOB_MANAGER_JVM,
                    JOB_MANAGER,
                    *metrics_ports(self.settings)[:1],
                ),
                environment=self._environment(),
                folder=self._folder,
                ready=self.rest.is_ready,
            ),
            Program(
                name=TASK_MANAGER,
                command=self._command(
                    f"{entrypoints}.taskexecutor.TaskManagerRunner",
                    _TASK_MANAGER_JVM,
                    TASK_MANAGER,
                    *metrics_ports(self.settings)[1:2],
                ),
                environment=self._environment(),
                folder=self._folder,
                ready=self.rest.has_slot,
            ),
        )

    def begin_submission(self, edge: Edge, *, checkpoint: Path | None = None) -> "Submission":
        """Begin to submit the application; it waits for its properties once it is ready to plan.

        It may be called as soon as `prepare` was: nothing of the cluster is needed before that.
        With a `checkpoint` the job goes on from there, and removes it in time.
        """
        properties = self._folder / "application_properties.json"
        command = [
            *self._command("org.apache.flink.client.cli.CliFrontend", _CLIENT_JVM, "flink-client"),
            "run",
            "--detached",
            *(("--fromSavepoint", checkpoint.as_uri()) if checkpoint else ()),
            *(("--claimMode", "CLAIM") if checkpoint else ()),
            "--python",
            str(SUBMIT),
            "--pyFiles",
            str(self._root / APPLICATION),
            "--edge",
            edge,
            "--properties",
            str(properties),
        ]
        log = self.settings.var.resolve() / "log" / "flink-submit.log"
        return Submission(command, self._environment(), self._folder, properties, log)

    def _configuration(self) -> dict[str, Any]:
        shipped = yaml.safe_load((self._home / "conf" / "config.yaml").read_text())
        return {
            # Without those that come with Flink the planner's classes cannot be found. The emulator
            # does not speak CBOR, as the Kinesis connector's SDK would.
            "env.java.opts.all": f"{shipped['env']['java']['opts']['all']} -Daws.cborEnabled=false",
            "rest.address": HOST,
            "rest.bind-address": HOST,
            "rest.port": self.settings.flink_port,
            "jobmanager.rpc.address": HOST,
            "jobmanager.rpc.port": free_port(),
            "jobmanager.bind-host": HOST,
            "taskmanager.host": HOST,
            "taskmanager.bind-host": HOST,
            "taskmanager.numberOfTaskSlots": 1,
            "taskmanager.cpu.cores": 1.0,
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.task.heap.size": "320m",
            "taskmanager.memory.framework.off-heap.size": "96m",
            "taskmanager.memory.task.off-heap.size": "16m",
            "taskmanager.memory.network.min": "48m",
            "taskmanager.memory.network.max": "48m",
            "taskmanager.memory.jvm-metaspace.size": "224m",
            "taskmanager.memory.jvm-overhead.min": "192m",
            "taskmanager.memory.jvm-overhead.max": "192m",
            # RocksDB's caches and write buffers, and what the Python process may plan with.
            "taskmanager.memory.managed.size": "128m",
            # Half a dozen hops, each of which would wait up to 100 ms for its buffer to fill.
            "execution.buffer-timeout.interval": "10 ms",
            "pipeline.object-reuse": True,
            **job_options(self._folder, self._python, self.checkpoints),
            "restart-strategy.exponential-delay.initial-backoff": "500 ms",
            "restart-strategy.exponential-delay.max-backoff": "10 s",
            "heartbeat.interval": "2 s",
            "heartbeat.timeout": "8 s",
            "metrics.fetcher.update-interval": "500 ms",
            **(reporter() if self.settings.metrics_port else {}),
            # The client may be ready before the JobManager is.
            "rest.retry.max-attempts": 120,
            "rest.retry.delay": "500 ms",
        }

    def _command(
        self, main: str, jvm: Sequence[str], name: str, metrics_port: int | None = None
    ) -> list[str]:
        configuration = yaml.safe_load((self._conf / "config.yaml").read_text())
        command = [
            str(self._java),
            *jvm,
            *LOCALE,
            *self.classes.options(name, self.class_lists),
            *configuration["env.java.opts.all"].split(),
            # Flink guards against System.exit in user code; Java 21 wants to be told.
            "-Djava.security.manager=allow",
            f"-Dlog.file={self.settings.var.resolve() / 'log' / name}.log",
            f"-Dlog4j.configurationFile={(self._conf / 'log4j.properties').as_uri()}",
            "-classpath",
            os.pathsep.join(map(str, self.classes.jars)),
            main,
        ]
        if main.endswith("CliFrontend"):
            return command
        command += ["--configDir", str(self._conf)]
        if metrics_port:
            # From a range, who gets which port would be a race.
            command += ["-D", f"{REPORTER_PORT}={metrics_port}"]
        return command

    def _environment(self) -> dict[str, str]:
        return {
            "FLINK_HOME": str(self._home),
            "FLINK_CONF_DIR": str(self._conf),
            "FLINK_LIB_DIR": str(self._home / "lib"),
            "FLINK_OPT_DIR": str(self.classes.opt),
            "FLINK_PLUGINS_DIR": str(self._home / "plugins"),
            "FLINK_LOG_DIR": str(self.settings.var.resolve() / "log"),
            "TMPDIR": str(self._folder / "tmp"),
        }


class Submission:
    """The program that submits the job, from its start to the job's id."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        properties: Path,
        log: Path,
    ) -> None:
        """Start it; it waits for the file `properties`."""
        self._properties = properties
        self._log = log
        properties.unlink(missing_ok=True)  # of a submission before this one
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env=program_environment(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(
        self, groups: Mapping[str, Mapping[str, str]], *, timeout_seconds: float = 120.0
    ) -> str:
        """Hand over the property groups and give the job's id.

        Raises LocalStackError with the application's own words when it refuses.
        """
        listed = [{"PropertyGroupId": name, "PropertyMap": dict(g)} for name, g in groups.items()]
        files.replace(self._properties, json.dumps(listed, indent=1) + "\n")
        deadline = time.monotonic() + timeout_seconds
        while True:
            ended = self._process.poll() is not None
            said = self._log.read_text(errors="replace")
            # Said once the cluster has taken the job; the program takes a while to end then.
            found = re.search(r"JobID ([0-9a-f]{32})\b", said)
            if found is not None:
                threading.Thread(target=self._process.wait, daemon=True).start()
                return found[1]
            if ended:
                msg = f"the Flink job was not submitted: {reason_of(said)} ({self._log})"
                raise LocalStackError(msg)
            if time.monotonic() > deadline:
                self.stop()
                msg = f"the Flink job was not submitted in {timeout_seconds:.0f} s; see {self._log}"
                raise LocalStackError(msg)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it and what it started, wherever it is."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def metrics_ports(settings: LocalSettings) -> tuple[int, ...]:
    """Give where JobManager, TaskManager and, if it runs, the risk desk are scraped, if at all."""
    programs = 3 if settings.risk_desk == "on" else 2
    port = settings.metrics_port
    return tuple(range(port + 1, port + 1 + programs)) if port else ()


def job_options(folder: Path, python: Path, checkpoints: Path) -> dict[str, str]:
    """Give the options that both applications' jobs have; temporary files are below `folder`."""
    return {
        "parallelism.default": "1",
        # What a job brings along is on the class path, whose classes alone are archived.
        "classloader.resolve-order": "parent-first",
        # As on Managed Flink.
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.interval": f"{CHECKPOINT_SECONDS} s",
        "execution.checkpointing.dir": checkpoints.as_uri(),
        "execution.checkpointing.num-retained": str(CHECKPOINTS_KEPT),
        # A job that cannot be restored is canceled, and must not take the checkpoints with it.
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "io.tmp.dirs": str(folder / "tmp"),
        "python.executable": str(python),
        "python.client.executable": str(python),
    }


def reporter(port: int | None = None) -> dict[str, str]:
    """Give the options of Flink's Prometheus reporter."""
    factory = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
    options = {"metrics.reporters": "prom", "metrics.reporter.prom.factory.class": factory}
    return options | ({REPORTER_PORT: str(port)} if port else {})


def check_edge(root: Path, edge: Edge) -> None:
    """Raise LocalStackError when the edge needs a connector jar and there is none."""
    if edge == "connector" and not list((root / CONNECTORS).glob("*.jar")):
        msg = (
            f"no connector jar in {CONNECTORS}: `make connector` fetches the one that "
            f"{APPLICATION}/pom.xml names, or put it there yourself; without EDGE (or --edge) "
            "none is needed"
        )
        raise LocalStackError(msg)


def edge_properties(
    edge: Edge, outputs: StackOutputs, settings: LocalSettings, *, application: str = STOLEN_CARDS
) -> dict[str, dict[str, str]]:
    """Give the property groups of an application: its detections, and the emulator's stream."""
    endpoint = ministack.endpoint(settings)
    asked = {"application": application}
    if application != STOLEN_CARDS:
        asked["minute_rows"] = str(settings.minute_rows)
        if settings.user_minutes == "on":
            asked["on_demand"] = "user_minute"
    detection = {"cardwatch.detection": asked}
    if edge == "local":
        return detection | {
            "cardwatch.edge": {
                "stream_name": outputs.stream_name,
                "scores_stream_name": outputs.scores_stream_name,
                "aws_region": settings.region,
                "endpoint_url": endpoint,
            }
        }
    credentials = ministack.credentials(settings)
    return detection | {
        # The same as in infra/detection.yaml; a run starts empty, so it is always a first start.
        "cardwatch.edge": {
            "stream_arn": outputs.stream_arn,
            "scores_stream_arn": outputs.scores_stream_arn,
            "aws_region": settings.region,
            "start_position": "TRIM_HORIZON",
            "start_timestamp": "1970-01-01T00:00:00.000Z",
            "poll_interval_ms": "700",
        },
        "cardwatch.connector": {
            "aws.endpoint": endpoint,
            "aws.credentials.provider": "BASIC",
            "aws.credentials.basic.accesskeyid": credentials["AWS_ACCESS_KEY_ID"],
            "aws.credentials.basic.secretkey": credentials["AWS_SECRET_ACCESS_KEY"],
            # The emulator has no HTTP/2.
            "aws.http.protocol.version": "HTTP1_1",
        },
    }

"""Packages the Flink application for Managed Flink.

    flink_package.py connector [--repository ADDRESS]   fetch the connector into flink_app/lib
    flink_package.py archive FILE.zip                   build the application's archive

Standard library alone: `sam build` runs it with whatever Python there is.
"""

import argparse
import hashlib
import http.client
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET  # it reads our own file  # nosec B405
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

APPLICATION: Final = Path(__file__).resolve().parents[1] / "flink_app"
TIMEOUT_SECONDS: Final = 60
CHECKSUMS: Final = ("sha256", "sha1")
"""What repositories publish beside an artifact, the strongest first; not all have the first."""
OLDEST: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: every build's files are of then."""
_MAVEN: Final = "{http://maven.apache.org/POM/4.0.0}"
_NOT_FOUND: Final = 404
_FROM_SOURCES: Final = "build it from its sources (docs/deployment.md, The connector)"


class PackageError(Exception):
    """The application cannot be packaged; the text says what, why and the remedy."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One jar by its Maven coordinates."""

    group: str
    name: str
    version: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Give where the jar is in a repository of Maven's layout."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file}"

    @classmethod
    def from_pom(cls, pom: Path) -> "Artifact":
        """Read the one dependency of a pom.xml; raises PackageError."""
        project = ET.parse(pom).getroot()  # noqa: S314  our own file  # nosec B314
        dependencies = list(project.iter(f"{_MAVEN}dependency"))
        values = {
            f"${{{item.tag.removeprefix(_MAVEN)}}}": item.text or ""
            for item in project.iterfind(f"{_MAVEN}properties/*")
        }
        if len(dependencies) != 1:
            msg = f"{pom} must name one dependency, the Kinesis connector, not {len(dependencies)}"
            raise PackageError(msg)
        parts = [
            dependencies[0].findtext(f"{_MAVEN}{tag}", "")
            for tag in ("groupId", "artifactId", "version")
        ]
        return cls(*(values.get(part, part) for part in parts))


def fetch_connector(application: Path, repository: str | None) -> str:
    """Have the connector of pom.xml in lib/, verified; gives what was done. Raises PackageError.

    `repository` is the address of a repository of Maven's layout. Without one Maven is asked, which
    knows its own and the mirrors of its settings.
    """
    artifact = Artifact.from_pom(application / "pom.xml")
    jar = application / "lib" / artifact.file
    jar.parent.mkdir(exist_ok=True)
    if repository is None:
        return _fetch_with_maven(application, jar)
    base = repository.rstrip("/")
    if urllib.parse.urlsplit(base).scheme not in {"http", "https"}:
        msg = f"CONNECTOR_REPOSITORY must be an http or https address, not {repository!r}"
        raise PackageError(msg)
    address = f"{base}/{artifact.path}"
    algorithm, published = _published_checksum(address)
    if jar.exists() and _checksum(jar, algorithm) == published:
        return f"{jar} is there and is the published one ({algorithm} {published})"
    part = jar.with_suffix(".part")
    try:
        with _open(address) as answer, part.open("wb") as output:
            shutil.copyfileobj(answer, output)
        found = _checksum(part, algorithm)
        if found != published:
            msg = (
                f"{address} has {algorithm} {found}, but {published} is published for it: it was "
                "not kept; try again, or name another repository (CONNECTOR_REPOSITORY)"
            )
            raise PackageError(msg)
        part.replace(jar)
    except (OSError, http.client.HTTPException) as error:
        msg = f"{address} was not fetched whole ({error}); try again"
        raise PackageError(msg) from None
    finally:
        part.unlink(missing_ok=True)
    return f"{jar} fetched and verified ({algorithm} {published})"


def _fetch_with_maven(application: Path, jar: Path) -> str:
    maven = shutil.which("mvn")
    if maven is None:
        msg = (
            "no repository is named and Maven is not installed: run `make connector "
            "CONNECTOR_REPOSITORY=<address of Maven Central or of a mirror of it>`, "
            f"or {_by_hand(jar)}"
        )
        raise PackageError(msg)
    command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file"]
    done = subprocess.run(
        [*command, str(application / "pom.xml"), "package"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not jar.exists():
        lines = [line for line in done.stdout.splitlines() if "[ERROR]" in line]
        why = lines[0].partition("[ERROR] ")[2] if lines else f"it ended with {done.returncode}"
        msg = (
            f"Maven did not fetch {jar.name}: {why}. Name a repository that has it (`make "
            f"connector CONNECTOR_REPOSITORY=<address>`), {_FROM_SOURCES}, or {_by_hand(jar)}"
        )
        raise PackageError(msg)
    return f"{jar} fetched by Maven, which verified its checksum"


def _published_checksum(address: str) -> tuple[str, str]:
    for algorithm in CHECKSUMS:
        try:
            with _open(f"{address}.{algorithm}") as answer:
                words = answer.read(1024).decode("ascii", "replace").split()
        except FileNotFoundError:
            continue
        except (OSError, http.client.HTTPException) as error:
            msg = f"{address}.{algorithm} was not fetched whole ({error}); try again"
            raise PackageError(msg) from None
        length = 2 * hashlib.new(algorithm).digest_size
        digits = words[0].lower() if words else ""
        if len(digits) != length or set(digits) - set("0123456789abcdef"):
            msg = f"{address}.{algorithm} holds no {algorithm}: name another CONNECTOR_REPOSITORY"
            raise PackageError(msg)
        return algorithm, digits
    msg = (
        f"the repository has no {address}, or publishes no checksum for it; some mirrors lack it: "
        f"name another (CONNECTOR_REPOSITORY), or {_FROM_SOURCES}"
    )
    raise PackageError(msg)


def _open(address: str) -> http.client.HTTPResponse:
    """Open an address; raises FileNotFoundError when it is not there, PackageError otherwise."""
    try:
        # The caller has seen to it that the address is http or https.
        return urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS)  # type: ignore[no-any-return]  # noqa: S310  # nosec B310
    except urllib.error.HTTPError as error:
        if error.code == _NOT_FOUND:
            raise FileNotFoundError(address) from None
        why = f"it answers {error.code}"
    except urllib.error.URLError as error:
        why = str(error.reason)
    except (OSError, http.client.HTTPException) as error:
        why = str(error) or type(error).__name__
    jar = APPLICATION / "lib" / address.rpartition("/")[2].partition(".jar")[0]
    msg = (
        f"the repository cannot be reached at {address} ({why}): name another "
        f"(CONNECTOR_REPOSITORY), or {_by_hand(jar.with_name(jar.name + '.jar'))}"
    )
    raise PackageError(msg)


def _by_hand(jar: Path) -> str:
    return f"put the jar at {jar.parent.parent.name}/{jar.parent.name}/{jar.name} yourself"


def _checksum(path: Path, algorithm: str) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()


def build_archive(application: Path, out: Path) -> str:
    """Build the archive; gives its SHA-256. The same sources give the same bytes everywhere.

    It holds main.py and the modules beside it, sql/ and lib/ with the connector; the modules that
    serve one machine stay out. Nothing is compressed, so no zlib's version shows. Raises
    PackageError without the connector.
    """
    artifact = Artifact.from_pom(application / "pom.xml")
    lib = application / "lib"
    jar = lib / artifact.file
    if not jar.is_file():
        msg = (
            f"the Kinesis connector is missing ({lib / artifact.file}), and without it the "
            "application on Managed Flink cannot read the stream. Run `make connector`, or "
            f"{_by_hand(jar)}; `sam build --config-env local` needs none"
        )
        raise PackageError(msg)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted([*_sources(application), jar]):
            entry = zipfile.ZipInfo(path.relative_to(application).as_posix(), OLDEST)
            entry.create_system = 3  # Unix, whatever builds it
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())
    return _checksum(out, "sha256")


def _sources(application: Path) -> Iterator[Path]:
    yield from (p for p in application.glob("*.py") if not p.name.startswith("local_"))
    yield from application.glob("sql/**/*.sql")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    connector = commands.add_parser("connector")
    connector.add_argument("--repository")
    archive = commands.add_parser("archive")
    archive.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "connector":
            print(fetch_connector(APPLICATION, options.repository))
        else:
            digest = build_archive(APPLICATION, options.out)
            print(f"{options.out.name}: sha256 {digest}")
    except PackageError as error:
        print(f"cardwatch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

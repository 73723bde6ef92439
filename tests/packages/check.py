"""Installs what `packaging/build.sh` has built as users do, and runs it.

usage: check.py FOLDER        # the folder of the wheel, the archive and the SBOM; `uv` must be on the path

Installs the wheel from a local index with pip and with uvx into clean environments, unpacks the archive, and runs the sample with
both. What is installed must be found in time, be small, and run on old systems.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

PROJECT = Path(__file__).resolve().parent.parent.parent
MOST_BYTES_OF_WHEEL = 60_000_000
MOST_SECONDS_TO_INSTALL = 3.0
# The C library of RHEL 8 and Debian 10.
OLDEST_GLIBC = (2, 28)
FORMAT_OF_SBOM = "CycloneDX"


def main() -> None:
    """Checks everything, and says what was found."""
    folder = Path(sys.argv[1]).resolve()
    wheel, archive, sbom = one(folder, "*.whl"), one(folder, "*.tar.gz"), one(folder, "*.cdx.json")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        check_sums(folder)
        check_wheel(wheel)
        check_sbom(sbom)
        index = serve(wheel, scratch / "index")
        check_pip(index, scratch)
        check_uvx(index, scratch)
        check_archive(archive, scratch)
    print("The wheel, the archive and the SBOM hold.")


def one(folder: Path, pattern: str) -> Path:
    """The one file of a kind."""
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder} has {len(found)} files {pattern}"
    return found[0]


def check_sums(folder: Path) -> None:
    """The checksums are those of the files, and every file has one."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("segmill-*")}
    assert sums == files and len(files) == 3, f"{sums} are not the sums of {files}"


def check_wheel(wheel: Path) -> None:
    """The wheel is small, is of the platform that it says, and holds one stripped program that runs there."""
    size = wheel.stat().st_size
    assert size <= MOST_BYTES_OF_WHEEL, f"the wheel has {size:,} bytes, more than {MOST_BYTES_OF_WHEEL:,}"
    assert "manylinux_2_28" in wheel.name and "-py3-none-" in wheel.name, wheel.name
    with zipfile.ZipFile(wheel) as packed, tempfile.NamedTemporaryFile() as binary:
        scripts = [name for name in packed.namelist() if ".data/scripts/" in name]
        assert [Path(name).name for name in scripts] == ["segmill"], scripts
        binary.write(packed.read(scripts[0]))
        binary.flush()
        said = subprocess.run(["readelf", "--wide", "--dyn-syms", "--sections", binary.name], check=True, capture_output=True, text=True)
    needed = max(tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_(\d+\.\d+)", said.stdout))
    assert needed <= OLDEST_GLIBC, f"the program needs glibc {needed}"
    assert ".debug_info" not in said.stdout and ".symtab" not in said.stdout, "the program is not stripped"
    print(f"wheel: {size / 1e6:.1f} MB, needs glibc {'.'.join(map(str, needed))}")


def check_sbom(sbom: Path) -> None:
    """The SBOM lists what the lock file pins, and each part has a version and a package URL."""
    document = json.loads(sbom.read_text(encoding="utf-8"))
    assert document["bomFormat"] == FORMAT_OF_SBOM, document["bomFormat"]
    parts = {(part["name"], part["version"]): part for part in document["components"]}
    assert all(part["purl"].startswith("pkg:cargo/") for part in parts.values())
    locked = set(re.findall(r'name = "(.+)"\nversion = "(.+)"', (PROJECT / "Cargo.lock").read_text(encoding="utf-8")))
    assert set(parts) <= locked, f"not in the lock file: {sorted(set(parts) - locked)}"
    names = {name for name, _ in parts}
    assert {"datafusion", "arrow", "parquet", "object_store", "tokio"} <= names, "the SBOM lacks parts"
    print(f"SBOM: {len(parts)} parts")


def serve(wheel: Path, folder: Path) -> str:
    """The URL of an index of packages that has the wheel alone."""
    (folder / "segmill").mkdir(parents=True)
    shutil.copy(wheel, folder / "segmill")
    (folder / "segmill" / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>', encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without telling."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def check_pip(index: str, scratch: Path) -> None:
    """`pip install segmill` in a clean environment takes little time and gives the command."""
    subprocess.run([sys.executable, "-m", "venv", scratch / "clean"], check=True)
    install = [scratch / "clean/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--index-url", index, "segmill"]
    took = seconds(lambda: subprocess.run(install, check=True, env=clean()))
    assert took <= MOST_SECONDS_TO_INSTALL, f"pip took {took:.1f} s"
    check_program(scratch / "clean/bin/segmill", scratch / "of_pip")
    print(f"pip install segmill: {took:.1f} s")


def check_uvx(index: str, scratch: Path) -> None:
    """`uvx segmill` runs it without installing."""
    uv = shutil.which("uvx")
    assert uv is not None, "uvx is not on the path: pip install uv"
    command = [uv, "--index-url", index, "--cache-dir", scratch / "uv", "--no-config", "segmill", "--version"]
    said: list[str] = []
    took = seconds(lambda: said.append(subprocess.run(command, check=True, capture_output=True, text=True, env=clean()).stdout))
    assert said == [f"segmill {version()}\n"], said
    assert took <= MOST_SECONDS_TO_INSTALL, f"uvx took {took:.1f} s"
    print(f"uvx segmill: {took:.1f} s")


def check_archive(archive: Path, scratch: Path) -> None:
    """The archive unpacks to one folder with the program, completions that shells accept, and pages that `man` shows."""
    with tarfile.open(archive) as packed:
        packed.extractall(scratch / "archive", filter="data")
    (folder,) = (scratch / "archive").iterdir()
    assert folder.name == archive.name.removesuffix(".tar.gz")
    check_program(folder / "segmill", scratch / "of_archive")
    subprocess.run(["bash", "-n", folder / "completions/segmill.bash"], check=True)
    pages = {page.name for page in (folder / "man").iterdir()}
    assert {"segmill.1", "segmill-run.1", "segmill-report.1"} <= pages, pages
    page = (folder / "man/segmill-run.1").read_text(encoding="utf-8")
    assert "as\\-of" in page and page.startswith(".ie"), "no manual page"
    print(f"archive: {archive.stat().st_size / 1e6:.1f} MB")


def check_program(program: Path, folder: Path) -> None:
    """The program says what it is, creates a project, and publishes its sample."""
    about = json.loads(subprocess.run([program, "version", "--json"], check=True, capture_output=True).stdout)
    assert about["version"] == version(), about
    subprocess.run([program, "init", folder], check=True, capture_output=True)
    run = [program, "run", "--as-of", "2011-12-10", "--format", "json"]
    result = json.loads(subprocess.run(run, check=True, capture_output=True, cwd=folder).stdout)
    assert result["status"] == "published" and result["exit_code"] == 0, result


def version() -> str:
    """The version that the package has."""
    found = re.search(r'^version = "(.+)"$', (PROJECT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def clean() -> dict[str, str]:
    """The environment without other indexes of packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

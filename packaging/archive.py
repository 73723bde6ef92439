"""Makes the archive for machines without Python, and the list of what it is built of, from a wheel.

usage: archive.py WHEEL FOLDER

The archive has one folder: the binary, the licence, shell completions and manual pages. Its bytes depend on the wheel alone.
"""

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COMPLETIONS = {"bash": "segmill.bash", "zsh": "_segmill", "fish": "segmill.fish"}


def main() -> None:
    """Makes both."""
    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    name, version, *_, platform = wheel.stem.split("-")
    with zipfile.ZipFile(wheel) as packed, tempfile.TemporaryDirectory() as scratch:
        binary = Path(scratch) / "segmill"
        binary.write_bytes(packed.read(f"{name}-{version}.data/scripts/segmill"))
        binary.chmod(0o755)
        sboms = [member for member in packed.namelist() if ".dist-info/sboms/" in member]
        if not sboms:
            sys.exit(f"{wheel.name} says not what it is built of: is maturin older than packaging/requirements.txt says?")
        (folder / f"{name}-{version}.cdx.json").write_bytes(packed.read(sboms[0]))
        machine = "x86_64" if "x86_64" in platform else "aarch64"
        files = {"segmill": (binary.read_bytes(), 0o755), "LICENSE": ((PROJECT / "LICENSE").read_bytes(), 0o644)}
        for shell, file in COMPLETIONS.items():
            files[f"completions/{file}"] = (told(binary, "completions", shell), 0o644)
        told(binary, "man", "--output", scratch + "/man")
        for page in sorted((Path(scratch) / "man").iterdir()):
            files[f"man/{page.name}"] = (page.read_bytes(), 0o644)
        stem = f"{name}-{version}-{machine}-linux-gnu"
        with (folder / f"{stem}.tar.gz").open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packing:
            with tarfile.open(fileobj=packing, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for path, (content, mode) in sorted(files.items()):
                    member = tarfile.TarInfo(f"{stem}/{path}")
                    member.size, member.mode = len(content), mode
                    archive.addfile(member, io.BytesIO(content))


def told(binary: Path, *arguments: str) -> bytes:
    """What the program prints."""
    return subprocess.run([binary, *arguments], check=True, capture_output=True).stdout


if __name__ == "__main__":
    main()

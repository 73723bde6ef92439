"""Follows the guide `docs/guides/nightly.md` to the letter: every command in it, in one shell, in a clean environment.

usage: follow_guide.py FOLDER        # the folder that `packaging/build.sh` has filled

Takes about five minutes, most of them for installing Airflow. What the guide says of each step must be so.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs/guides/nightly.md"
MOST_SECONDS_OF_SCHEDULER = 900.0
# What separates the answers of the shell.
END = "--- end of block"


class Shell:
    """One shell, in which blocks are run one after another."""

    def __init__(self, folder: Path) -> None:
        """Starts it in a folder, with nothing in the environment but where programs are."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
        environment |= {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
        self._process = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, block: str) -> str:
        """What a block prints; no command may fail but one whose exit code the block asks for."""
        set_e = "" if "$?" in block else "set -e\n"
        self._process.stdin.write(f"{set_e}{block}\nset +e\necho '{END}'\n")
        self._process.stdin.flush()
        lines = []
        for line in self._process.stdout:
            if line.rstrip("\n") == END:
                return "".join(lines)
            lines.append(line)
        raise SystemExit(f"this block failed:\n{block}\n\nIt printed:\n{''.join(lines)}")

    def start(self, command: str) -> int:
        """Starts a command beside the shell, in a group of processes of its own; its number."""
        return int(self.run(f"setsid {command} > standalone.log 2>&1 < /dev/null & echo $!").split()[-1])


def main() -> None:
    """Follows the guide, and says what was found."""
    packages = Path(sys.argv[1]).resolve()
    text = GUIDE.read_text(encoding="utf-8")
    sections = {part.split("\n", 1)[0]: part for part in text.split("\n## ")}
    blocks = {title: re.findall(r"```(?:sh|console)\n(.*?)```", part, re.DOTALL) for title, part in sections.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dist").symlink_to(packages)
        shell = Shell(folder)
        install(shell, blocks["Install"])
        first_day(shell, blocks["A project, and its first day"])
        watch(shell, blocks["What to keep an eye on"])
        schedule(shell, folder / "shop", blocks["Schedule it"], blocks["A bad night"])
        load(shell, blocks["Look at what was loaded"])
    print("The guide to a nightly refresh was followed.")


def install(shell: Shell, blocks: list[str]) -> None:
    """The command is there."""
    (block,) = blocks
    assert "segmill 0." in shell.run(block)
    print("installed")


def first_day(shell: Shell, blocks: list[str]) -> None:
    """The first run publishes, and the same command does nothing."""
    (block,) = blocks
    printed = shell.run(block)
    assert "Published as number 1, built on no earlier day: out/commits/00000001.json" in printed, printed
    again = shell.run("segmill run --as-of 2011-12-08")
    assert "nothing has changed since number 1" in again, again
    print("published by hand")


def watch(shell: Shell, blocks: list[str]) -> None:
    """A late extract is told by its exit code, in the document, and in the metrics."""
    setting, trying = blocks
    shell.run(setting)
    printed = shell.run(trying)
    assert "exit code 99" in printed, printed
    assert '"status":"late"' in printed and '"events":["late"]' in printed, printed
    assert 'segmill_run_exit_code{pipeline="customer_segments"} 99' in printed, printed
    print("told of a late extract")


def schedule(shell: Shell, project: Path, blocks: list[str], of_bad_night: list[str]) -> None:
    """The scheduler publishes both nights, and all tasks succeed; a night that cannot be read is told."""
    setting, standalone, second, unpause, asking = blocks
    shell.run(setting)
    print("installed Airflow")
    number = shell.start(standalone.removeprefix("$ ").strip())
    try:
        shell.run(second)
        unpaused = unpause.removeprefix("$ ").strip()
        wait(lambda: "is_paused" in shell.run(f"{unpaused} --yes 2>&1 || true"), "the DAG to be known", 5.0)
        wait(lambda: published(project) == ["2011-12-08", "2011-12-09", "2011-12-10"], "both nights to be published", 1.0)
        done = "airflow dags list-runs customer_segments --output json 2> /dev/null || echo '[]'"
        wait(lambda: states(shell.run(done)) == ["success", "success"], "both nights to end", 5.0)
        printed = shell.run(asking)
        assert "'as_of': '2011-12-08', 'number': 1" in printed and "'as_of': '2011-12-10', 'number': 3" in printed, printed
        bad_night(shell, project, of_bad_night)
    finally:
        os.killpg(number, signal.SIGTERM)
    print("both nights by the scheduler")


def bad_night(shell: Shell, project: Path, blocks: list[str]) -> None:
    """A run whose extract cannot be read fails, and says so to whoever watches."""
    breaking, looking = blocks
    told = project / "watch/last-failure.json"
    told.unlink()
    shell.run(breaking)
    wait(lambda: told.exists() and told.stat().st_size > 0, "the refusal to be told", 1.0)
    printed = shell.run(looking)
    assert '"status":"refused"' in printed and '"as_of":"2011-12-10"' in printed, printed
    assert 'segmill_run_exit_code{pipeline="customer_segments"} 3' in printed, printed
    assert published(project) == ["2011-12-08", "2011-12-09", "2011-12-10"]
    print("told of a refused night")


def published(project: Path) -> list[str]:
    """The days that are published, in the order of their commits."""
    commits = sorted((project / "out/commits").glob("*.json"))
    return [json.loads(commit.read_text(encoding="utf-8"))["as_of"] for commit in commits]


def states(printed: str) -> list[str]:
    """How the runs of the scheduler ended, oldest first; without those by hand."""
    found = re.search(r"^\[.*", printed, re.DOTALL | re.MULTILINE)
    runs = json.loads(found[0]) if found else []
    return [run["state"] for run in runs if run["run_id"].startswith("scheduled")]


def load(shell: Shell, blocks: list[str]) -> None:
    """Both nights of the scheduler are in the database."""
    (block,) = blocks
    printed = shell.run(block)
    for day in ("2011-12-09", "2011-12-10"):
        assert re.search(rf"{day}\W+champions\W+\d+", printed), printed
    print("loaded")


def wait(until: Callable[[], bool], what: str, every_seconds: float) -> None:
    """Asks until something is so; not all the time, since asking keeps the scheduler from its work."""
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < MOST_SECONDS_OF_SCHEDULER, f"waited {MOST_SECONDS_OF_SCHEDULER:.0f} s for {what}"
        time.sleep(every_seconds)


if __name__ == "__main__":
    main()

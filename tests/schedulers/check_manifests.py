"""Checks the Kubernetes manifest, the systemd units and the crontab of examples with the programs that read them.

    python check_manifests.py [FOLDER SEGMILL]

With a folder and a binary, also runs the command of each, as its scheduler would, in a copy of the sample project.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
# The highest exposure that `systemd-analyze security` may find, in tenths: 100 is a service without any protection.
MAX_EXPOSURE_TENTHS = 20


def equal(found, wanted, what: str):
    if found != wanted:
        raise SystemExit(f"{what}: found {found}, wanted {wanted}")


def answers() -> dict[int, str]:
    """What docs/reference/exit-codes.md says that an orchestrator should do, by exit code."""
    page = (ROOT / "docs/reference/exit-codes.md").read_text()
    return {int(code): answer for code, answer in re.findall(r"^\| (\d+) \|.*\| (.+?) \|$", page, re.M)}


def kubernetes():
    """The official schema of the API accepts the manifest, and it keeps what the guide promises of it."""
    manifest = yaml.safe_load((EXAMPLES / "kubernetes/cronjob.yaml").read_text())
    kubernetes_validate.validate(manifest, "1.37", strict=True)
    manifest["spec"]["jobTemplate"]["spec"]["podFailurePolicies"] = []
    try:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    except kubernetes_validate.ValidationError:
        pass
    else:
        raise SystemExit("kubernetes: the validator accepts a key that the API does not have")

    job = manifest["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    # What the schema cannot say, and the API server refuses or the guide promises.
    equal(pod["restartPolicy"], "Never", "kubernetes: the restart policy that a pod failure policy needs")
    [codes] = [rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    equal(codes["containerName"], container["name"], "kubernetes: the container of the pod failure policy")
    given_up = [code for code, answer in answers().items() if answer.startswith(("stop", "skip"))]
    equal(
        (codes["operator"], codes["values"]),
        ("In", given_up),
        "kubernetes: exit codes after which nothing is tried again",
    )
    equal(
        container["resources"]["limits"]["memory"], container["resources"]["requests"]["memory"], "kubernetes: memory"
    )
    equal(pod["securityContext"]["runAsNonRoot"], True, "kubernetes: non-root")
    equal(container["securityContext"]["readOnlyRootFilesystem"], True, "kubernetes: the root file system")
    [mount] = container["volumeMounts"]
    [volume] = pod["volumes"]
    equal((mount["name"], "emptyDir" in volume), (volume["name"], True), "kubernetes: the volume for temporary files")
    equal(
        [one["value"] for one in container["env"] if one["name"] == "TMPDIR"],
        [mount["mountPath"]],
        "kubernetes: TMPDIR",
    )
    equal(
        [one["name"] for one in container["env"] if "SECRET" in one["name"] and "value" in one],
        [],
        "kubernetes: secrets in the manifest",
    )
    return container["command"]


def systemd():
    """systemd accepts the units and finds little exposure."""
    units = EXAMPLES / "systemd"
    service = (units / "segmill.service").read_text()
    verify = ["systemd-analyze", "verify", units / "segmill.service", units / "segmill.timer"]
    verified = subprocess.run(verify, capture_output=True, text=True)
    equal((verified.returncode, verified.stderr), (0, ""), "systemd: systemd-analyze verify")
    security = [
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={MAX_EXPOSURE_TENTHS}",
        units / "segmill.service",
    ]
    equal(subprocess.run(security, capture_output=True).returncode, 0, "systemd: systemd-analyze security")
    stopped = [int(code) for code in re.search(r"^RestartPreventExitStatus=(.*)$", service, re.M)[1].split()]
    equal(
        stopped,
        [code for code, answer in answers().items() if answer.startswith("stop")],
        "systemd: exit codes without a restart",
    )
    skipped = [int(code) for code in re.search(r"^SuccessExitStatus=(.*)$", service, re.M)[1].split()]
    equal(
        skipped,
        [code for code, answer in answers().items() if answer.startswith("skip")],
        "systemd: exit codes that are no failure",
    )
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder, "segmill.service")
        wrong.write_text(service.replace("MemoryMax", "MemoryMaximum"))
        found = subprocess.run(["systemd-analyze", "verify", wrong], capture_output=True, text=True)
        if "MemoryMaximum" not in found.stderr:
            raise SystemExit("systemd: the validator says nothing of a key that systemd does not have")
    command = re.search(r"^ExecStart=/bin/sh -c '(.*)'$", service, re.M)[1].replace("%%", "%")
    return ["/bin/sh", "-c", command]


def cron():
    """cron accepts the crontab."""
    crontab = EXAMPLES / "cron/crontab"
    equal(subprocess.run(["crontab", "-n", crontab], capture_output=True).returncode, 0, "cron: crontab -n")
    with tempfile.NamedTemporaryFile("w", suffix=".crontab") as wrong:
        wrong.write(crontab.read_text().replace("4-10", "4-24"))
        wrong.flush()
        equal(
            subprocess.run(["crontab", "-n", wrong.name], capture_output=True).returncode,
            1,
            "cron: a crontab with an hour that is none",
        )
    [line] = [line for line in crontab.read_text().splitlines() if re.match(r"[\d*]", line)]
    # As cron reads a command: up to the first percent sign that is not escaped.
    return ["/bin/sh", "-c", re.split(r"(?<!\\)%", line.split(None, 5)[5])[0].replace("\\%", "%")]


def publishes(name: str, command: list[str], folder: Path, segmill: Path):
    """The command publishes today, and does so once."""
    project = folder / name
    shutil.rmtree(project, ignore_errors=True)
    subprocess.run([segmill, "init", project], check=True, capture_output=True)
    env = {"PATH": f"{segmill.parent}:/usr/bin:/bin", "PROJECT": str(project), "TMPDIR": str(folder)}
    day = datetime.now(timezone.utc).date()
    for _ in range(2):
        ended = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
        equal(
            ended.returncode, 0, f"{name}: the exit code of {command[-1]}: {ended.stdout[-500:]}{ended.stderr[-500:]}"
        )
    published = [path.name for path in (project / "out/customers").iterdir()]
    # The day may have ended while the command ran.
    if published != [f"as_of={day}"] and day == datetime.now(timezone.utc).date():
        raise SystemExit(f"{name}: found {published}, wanted the day {day}")


def main():
    commands = {check.__name__: check() for check in (kubernetes, systemd, cron)}
    for name, command in commands.items():
        if len(sys.argv) > 2:
            publishes(name, command, Path(sys.argv[1]).resolve(), Path(sys.argv[2]).absolute())
        print(f"{name}: as wanted")


if __name__ == "__main__":
    main()

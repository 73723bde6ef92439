"""What Segmill has published as of a day, for the loaders beside this file. It needs Python alone.

`segmill` must be on the PATH, or SEGMILL says where it is. Run the loaders in the folder of the project: its pipeline file says where the
publications are. Credentials for that place come from the environment, as for `segmill run`.
"""

import json
import os
import subprocess
import sys


def publication(day=None):
    """What `segmill outputs` says of the day, or of the latest day: `as_of`, `number`, and the files of each table.

    The answer comes from the commit, so it names the files of one publication, complete, whatever else lies in the folders.
    None if nothing is published as of that day.
    """
    command = [os.environ.get("SEGMILL", "segmill"), "outputs", "--format", "json", *(["--as-of", day] if day else [])]
    # Everything that the command says is in its JSON.
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    said = json.loads(result.stdout or "{}")
    if result.returncode == 0:
        return said
    problems = said.get("problems") or [{"code": "", "message": said.get("message", "no answer")}]
    if day and [problem["code"] for problem in problems] == ["not-published"]:
        return None
    print(*(f"segmill outputs: {problem['message']}" for problem in problems), sep="\n", file=sys.stderr)
    # The code says who must act, such as 75 for a store that is unavailable: try again later.
    sys.exit(result.returncode)


def urls(table):
    """The URLs of a table's files."""
    return [file["url"] for file in table["files"]]


def wanted(days):
    """The publications of the days, or of the latest day if none is given."""
    for day in days or [None]:
        found = publication(day)
        if found is None:
            sys.exit(f"nothing is published as of {day}")
        yield found

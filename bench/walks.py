"""`make walks`: how many calls, files and returns each way through the code takes.

Server and operator run as they always do, driven over loopback; only the names of the two packages are known
here. Comprehensions, generated methods and resumed coroutines do not count as calls, and what also runs while
the program is idle is left out.
"""

import argparse
import json
import tempfile
from pathlib import Path

from bench import operator_walk, revision, server_walk, tracing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures and every call to this file")
    parser.add_argument("--paths", action="store_true", help="print the files of each walk in their order")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="walks-") as name:
        walks = [*server_walk.walks(Path(name)), *operator_walk.walks(Path(name))]
    print(tracing.table(walks))
    if options.paths:
        print(*("\n" + one.name + "\n" + " → ".join(one.stays) for one in walks), sep="\n")
    if options.json:
        document = {"revision": revision.of_measured(), "walks": [one.as_json() for one in walks]}
        options.json.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()

"""What test_warm_starts runs: says what it was given, then does what standard input asks for."""

import json
import os
import signal
import sys
import time


def main() -> None:
    """`exit N`, `raise`, `wait`; SIGTERM ends with code 7."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
    umask = os.umask(0)
    os.umask(umask)
    given = {"pid": os.getpid(), "arguments": sys.argv[1:], "folder": os.getcwd(), "umask": umask}
    print(json.dumps(given | {"colour": os.environ.get("COLOUR"), "executable": sys.executable}), flush=True)
    print("to standard error", file=sys.stderr)
    word, _, number = sys.stdin.readline().strip().partition(" ")
    if word == "exit":
        sys.exit(int(number))
    if word == "raise":
        raise RuntimeError(number)
    time.sleep(600)


if __name__ == "__main__":
    main()

"""`python -m digit_gan_kernel <connection file>` starts a kernel; `python -m digit_gan_kernel warm` compiles ahead."""

import concurrent.futures
import subprocess
import sys
from pathlib import Path

# Nothing heavier is imported here: evcxr starts while the rest is still being imported.
from .process import Process, find_tools
from .workspace import find_clone


def start(connection_file: str) -> None:
    evcxr = find_tools()
    pool = concurrent.futures.ThreadPoolExecutor(1)
    launched = pool.submit(Process, evcxr, find_clone(Path.cwd()))
    pool.shutdown(wait=False)
    from .kernel import main

    try:
        main(connection_file, evcxr, launched)
    finally:
        if not launched.exception():
            launched.result().close()


def main() -> None:
    try:
        match sys.argv[1:]:
            case ["warm"]:
                from .warm import warm  # what it imports would cost every kernel start some tenths of a second

                warm()
            case [connection_file]:
                start(connection_file)
            case _:
                raise SystemExit(__doc__)
    except OSError as error:
        raise SystemExit(f"digit-gan kernel: {error}: free some disk space or fix the permissions, then start again")
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"digit-gan kernel: {error}: {error.stderr.strip()}")


if __name__ == "__main__":
    main()

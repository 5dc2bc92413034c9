"""Runs a function's zip as Lambda does, on a system that holds nothing else.

Usage: run_package.py FUNCTION.zip ROOT TMP PAYLOAD...

Unpacks the zip into ROOT/var/task with the permissions it states, makes the folder TMP the
function's /tmp, starts `bootstrap` with ROOT as its root folder, and hands it the payloads one
after the other over the Runtime API. Prints a line for each: the outcome, a space, the body.
Exits with 77 if this user may not change the root folder here.
"""

import os
import pathlib
import subprocess
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import runtime_api  # noqa: E402

# In namespaces of its own: /proc as on Lambda, and the root folder for an ordinary user, too.
START = """
mount --rbind /proc "$1/proc" && mount --rbind "$2" "$1/tmp" &&
  root=$1 && shift 2 && exec env -i "$@" /usr/sbin/chroot "$root" /var/task/bootstrap"""


def unpack(archive, folder):
    with zipfile.ZipFile(archive) as files:
        bad = files.testzip()
        if bad is not None:
            sys.exit(f"{archive}: {bad} is damaged")
        for member in files.infolist():
            path = pathlib.Path(files.extract(member, folder))
            path.chmod(member.external_attr >> 16 & 0o777)


def may_isolate():
    return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def main(archive, root, tmp, *payloads):
    root = pathlib.Path(root)
    for folder in ("proc", "tmp", "var/task"):
        (root / folder).mkdir(parents=True)
    unpack(archive, root / "var/task")
    if not may_isolate():
        return 77
    api = runtime_api.RuntimeApi()
    # What the guide's "Defined runtime environment variables" lists, as far as it matters.
    environment = {
        "AWS_LAMBDA_RUNTIME_API": api.endpoint, "AWS_LAMBDA_FUNCTION_NAME": "lambdaml",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "AWS_REGION": "eu-central-1",
        "LAMBDA_TASK_ROOT": "/var/task", "_HANDLER": "train", "TZ": ":UTC",
        "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/task:/var/task/lib",
        "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin"}
    # As of a function's role, and the services' places.
    environment.update((name, value) for name, value in os.environ.items()
                       if name.startswith("AWS_") or name.endswith("SAN_OPTIONS"))
    function = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "--kill-child", "--fork",
         "/bin/sh", "-c", START, "sh", str(root), str(tmp),
         *(f"{name}={value}" for name, value in environment.items())])
    try:
        for payload in payloads:
            outcome, body = api.invoke(payload.encode())
            print(outcome, body.decode(), flush=True)
    finally:
        function.kill()
        function.wait()
        api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

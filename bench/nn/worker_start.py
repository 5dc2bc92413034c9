"""Start of a worker on a network beside one on a linear model, and PyTorch's import.

Usage: worker_start.py BIN_FOLDER [REPETITIONS]

BIN_FOLDER holds lambdaml and lambdaml-worker. Each worker is a fresh process that gets its payload
from a Runtime API in this script and is rank 1 of 2; rank 0 waits for it already. It meets rank 0, reads
its shard, makes its model and puts its first contribution to a sum into the channel, a folder in
memory. The clock runs from the start of the process until that file is there; then its resident
memory is read, and it is killed. So a network is planned and initialised but has made no step (what
is summed are pixels), while the linear worker has made its first one, of 8 rows. By turns in the
same run; medians.
"""

import glob
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

NETWORKS = ["mobilenet", "resnet18", "resnet50"]
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
TORCH = "import time; t = time.perf_counter(); import torch; s = time.perf_counter() - t; " \
    "print(s, time.process_time(), int(open('/proc/self/statm').read().split()[1]))"


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.server.payload
        self.send_response(200)
        for name, value in {"Lambda-Runtime-Aws-Request-Id": "bench",
                            "Lambda-Runtime-Deadline-Ms": "4102444800000",
                            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:x:0:function:f",
                            "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print("the worker ended early:", body.decode(), file=sys.stderr)
        os._exit(1)

    def log_message(self, *_):
        pass


def payload(model, folder, run):
    job = {"model": model, "n_workers": 2, "job_id": "bench", "n_epochs": 10**6,
           "batch_size": 8, "lr": 0.01, "momentum": 0.9, "optim": "grad_avg", "lambda": 0.0005,
           "regularizer": "l2", "channel": f"file://{run}/channel", "model_url": f"file://{run}/run"}
    if model == "lr":
        return {**job, "data": f"file://{folder}/rows/", "n_features": 20}
    return {**job, "data": f"file://{folder}/images/", "n_classes": 10, "keep": "last"}


def wait_for(process, pattern, begin):
    while not glob.glob(pattern):
        if time.perf_counter() - begin > 30 or process.poll() is not None:
            raise SystemExit(f"worker_start.py: {pattern} does not come")
        time.sleep(0.0002)
    return time.perf_counter() - begin


def usage(pid):
    """Seconds on a processor, and resident bytes."""
    on_processor_ns = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            on_processor_ns += int(file.read().split()[0])
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return 1e-9 * on_processor_ns, int(file.read().split()[1]) * PAGE_BYTES


def start(servers, worker, model, folder):
    """Seconds to rank 1's first contribution, those on a processor, and its resident bytes."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        os.mkdir(f"{run}/channel")
        os.mkdir(f"{run}/run")
        processes = []
        try:
            for rank, arrived in enumerate(["all/1.0", "to0/*.1"]):
                servers[rank].payload = json.dumps(
                    {**payload(model, folder, run), "worker_index": rank}).encode()
                environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % servers[rank].server_port,
                               "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "PATH": "/usr/bin:/bin"}
                begin = time.perf_counter()
                processes.append(
                    subprocess.Popen([worker], env=environment, stderr=subprocess.DEVNULL))
                seconds = wait_for(processes[-1], f"{run}/channel/bench/0/{arrived}", begin)
            return (seconds, *usage(processes[1].pid))
        finally:
            for process in processes:
                process.kill()
                process.wait()


def torch_import():
    line = subprocess.run(["/usr/bin/python3", "-c", TORCH], capture_output=True, text=True,
                          check=False).stdout.split()
    return (float(line[0]), float(line[1]), int(line[2]) * PAGE_BYTES) if line else None


def prepare(program, folder):
    with open(f"{folder}/rows.libsvm", "w", encoding="ascii") as file:
        for row in range(16):
            file.write(f"{row % 2} " + " ".join(f"{k}:{row + k}" for k in range(1, 21)) + "\n")
    for arguments in (["data", "split", "rows.libsvm", "--parts", "2", "--output", "rows"],
                      ["data", "generate", "cifar10", "--rows", "16", "--output", "images.bin"],
                      ["data", "split", "images.bin", "--parts", "2", "--output", "images"]):
        subprocess.run([program, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main():
    bin_folder = os.path.abspath(sys.argv[1])
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    samples = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        prepare(f"{bin_folder}/lambdaml", folder)
        for _ in range(repetitions):
            for model in ["lr", *NETWORKS]:
                samples.setdefault(model, []).append(
                    start(servers, f"{bin_folder}/lambdaml-worker", model, folder))
    for _ in range(3):
        sample = torch_import()
        if sample:
            samples.setdefault("import torch", []).append(sample)
    linear = [statistics.median(part) for part in zip(*samples["lr"])]
    print(f"{'worker':<14} {'ms':>8} {'above lr':>9} {'on CPU, ms':>11} {'above lr':>9} "
          f"{'resident MB':>12}")
    for name, of_name in samples.items():
        seconds, busy, resident = [statistics.median(part) for part in zip(*of_name)]
        print(f"{name:<14} {1e3 * seconds:>8.1f} {1e3 * (seconds - linear[0]):>9.1f} "
              f"{1e3 * busy:>11.1f} {1e3 * (busy - linear[1]):>9.1f} {1e-6 * resident:>12.1f}")


main()

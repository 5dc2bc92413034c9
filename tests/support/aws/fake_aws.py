"""The few operations of AWS that this project calls, for tests: stateful, strict, on one port.

Usage: fake_aws.py PORT RECORD [--key ID=SECRET] [--bucket NAME] [--fail RESOURCE=REASON]...
                   [--throttle N] [--concurrency N] [--logs FILE] [--forward HOST:PORT]
                   [--worker PROGRAM] [--secret NAME=VALUE]...

  --forward HOST:PORT   gets Lambda's Invoke requests, and those to "/", which stand for the URL of a
                        function, once they have been checked

  --worker PROGRAM      runs an environment of its own for each Invoke request, with AWS_… of this
                        process's environment and the variables of the function; it finds Lambda here
  --secret NAME=VALUE   of Secrets Manager, for references in templates

Every request must be signed for the key; botocore computes each signature anew. Parameters must
satisfy botocore's model of the service. RECORD gets a JSON line for each request: its service,
operation, parameters and what became of it. --throttle: each operation is refused so often before
it is served. --logs: JSON lines with "timestamp", "message" and "logStreamName".
"""

import argparse
import base64
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "lambda")]
import protocol  # noqa: E402
import runtime_api  # noqa: E402
import stacks  # noqa: E402
from protocol import ApiError  # noqa: E402


class Sts:
    def GetCallerIdentity(self):
        return {"UserId": "AIDAEXAMPLE", "Account": stacks.ACCOUNT,
                "Arn": f"arn:aws:iam::{stacks.ACCOUNT}:user/tester"}


class Lambda:
    def __init__(self, formation, concurrency):
        self.formation = formation
        self.concurrency = concurrency

    def properties(self, name):
        function = self.formation.function(name)
        if function is None:
            raise ApiError("ResourceNotFoundException", f"Function not found: {name}", 404)
        return function

    def GetFunctionConfiguration(self, FunctionName):
        function = self.properties(FunctionName)
        return {"FunctionName": FunctionName, "State": "Active", "LastUpdateStatus": "Successful",
                "FunctionArn": f"arn:aws:lambda:{stacks.REGION}:{stacks.ACCOUNT}:function:{FunctionName}",
                "CodeSha256": function["Code"]["S3Key"], "Runtime": function["Runtime"],
                "Architectures": function["Architectures"],
                "MemorySize": int(function["MemorySize"]), "Timeout": int(function["Timeout"]),
                "Environment": function["Environment"]}

    def GetFunctionConcurrency(self, FunctionName):
        reserved = self.properties(FunctionName).get("ReservedConcurrentExecutions")
        return {"ReservedConcurrentExecutions": int(reserved)} if reserved else {}

    def GetFunctionUrlConfig(self, FunctionName):
        raise ApiError("ResourceNotFoundException", f"The resource you requested does not exist.", 404)

    def GetAccountSettings(self):
        return {"AccountLimit": {"ConcurrentExecutions": self.concurrency,
                                 "UnreservedConcurrentExecutions": self.concurrency}}


class Logs:
    def __init__(self, path):
        lines = Path(path).read_text(encoding="utf-8").splitlines() if path else []
        self.events = [dict(json.loads(line), eventId=str(i)) for i, line in enumerate(lines)]

    def FilterLogEvents(self, logGroupName, startTime=0, filterPattern="", nextToken="0"):
        if not logGroupName.startswith("/aws/lambda/lambdaml"):
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        wanted = [event for event in self.events if event["timestamp"] >= startTime
                  and filterPattern.strip('"') in event["message"]]
        begin = int(nextToken)
        page = {"events": wanted[begin:begin + 2]}
        if begin + 2 < len(wanted):
            page["nextToken"] = str(begin + 2)
        return page


def forward(endpoint, method, target, headers, body):
    """What another server answers: (status, body, content type, headers)."""
    connection = http.client.HTTPConnection(endpoint)
    passed = {name: value for name, value in headers.items() if name.lower() != "host"}
    connection.request(method, target, body, passed)
    answer = connection.getresponse()
    extra = {name: value for name, value in answer.getheaders()
             if name.lower().startswith("x-amz")}
    return answer.status, answer.read(), answer.getheader("Content-Type"), extra


def run_worker(program, lambda_port, function, invocation_type, payload):
    """Lambda's answer to Invoke: a fresh environment serves it over the Runtime API."""
    api = runtime_api.RuntimeApi()
    memory_mb = int(function["MemorySize"])
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    environment.update(function["Environment"]["Variables"])
    environment.update(AWS_LAMBDA_RUNTIME_API=api.endpoint, TMPDIR="/tmp",
                       AWS_LAMBDA_FUNCTION_NAME=function["FunctionName"],
                       AWS_LAMBDA_FUNCTION_MEMORY_SIZE=str(memory_mb),
                       AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{lambda_port}")
    process = subprocess.Popen([program], env=environment, stderr=subprocess.DEVNULL)

    def wait():
        try:
            return api.invoke(payload, timeout_s=int(function["Timeout"]))
        finally:
            process.kill()
            process.wait()
            api.close()

    if invocation_type == "Event":
        threading.Thread(target=wait, daemon=True).start()
        return 202, b"", "application/json", {}
    started = time.monotonic()
    outcome, body = wait()
    duration_ms = (time.monotonic() - started) * 1000
    report = (f"REPORT RequestId: r-1\tDuration: {duration_ms:.2f} ms\t"
              f"Billed Duration: {int(duration_ms) + 1} ms\tMemory Size: {memory_mb} MB\t"
              "Max Memory Used: 30 MB\t\n")
    headers = {"X-Amz-Log-Result": base64.b64encode(report.encode()).decode()}
    if outcome != "response":
        headers["X-Amz-Function-Error"] = "Unhandled"
    return 200, body, "application/json", headers


class FakeAws:
    def __init__(self, options):
        self.forward = options.forward
        self.worker = options.worker
        self.port = options.port
        self.keys = dict([options.key.split("=", 1)])
        self.throttle = options.throttle
        self.seen = {}
        self.record = open(options.record, "a", encoding="utf-8")  # until the process ends
        self.lock = threading.Lock()
        formation = stacks.CloudFormation(dict(pair.split("=", 1) for pair in options.fail),
                                          options.bucket,
                                          dict(pair.split("=", 1) for pair in options.secret))
        self.services = {"cloudformation": formation, "sts": Sts(), "logs": Logs(options.logs),
                         "lambda": Lambda(formation, options.concurrency)}

    def serve(self, method, target, headers, body):
        """(status, body, content type, headers) of the answer; None: forward the request."""
        service = protocol.service_of(headers)
        note = {"method": method, "target": target}
        with self.lock:
            try:
                if service is not None and service not in self.services:
                    service = None
                    raise ApiError("UnknownService", "no such service here")
                protocol.check_signature(method, target, headers, body, self.keys)
                if service == "lambda" and target == "/":
                    note.update(service=service, operation="URL", answer=200)
                    return None
                operation, parameters = protocol.parse(service, method, target, headers, body)
                note.update(service=service, operation=operation,
                            parameters={k: v for k, v in parameters.items() if k != "TemplateBody"})
                self.seen[operation] = self.seen.get(operation, 0) + 1
                if self.seen[operation] <= self.throttle:
                    raise ApiError("Throttling", "Rate exceeded")
                if operation == "Invoke":
                    note.update(answer=200, parameters={**parameters, "Payload": body.decode()})
                    if self.worker is None:
                        return None
                    function = self.services["lambda"].properties(parameters["FunctionName"])
                else:
                    result = getattr(self.services[service], operation)(**parameters)
                    note["answer"] = 200
                    return 200, *protocol.answer(service, operation, result), {}
            except ApiError as error:
                note["answer"] = error.code
                return (error.status, *protocol.failure(service, error))
            finally:
                self.record.write(json.dumps(note) + "\n")
                self.record.flush()
        # Functions run side by side.
        return run_worker(self.worker, self.port, function, parameters.get("InvocationType"), body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("record")
    parser.add_argument("--key", default="AKIDEXAMPLE=fake-secret")
    parser.add_argument("--bucket", default="stack-bucket")
    parser.add_argument("--fail", action="append", default=[])
    parser.add_argument("--throttle", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--logs")
    parser.add_argument("--forward")
    parser.add_argument("--worker")
    parser.add_argument("--secret", action="append", default=[])
    fake = FakeAws(parser.parse_args())

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def _serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = (self.command, self.path, self.headers, body)
            status, answer, kind, headers = fake.serve(*request) or forward(fake.forward, *request)
            self.send_response(status)
            for name, value in {**headers, "Content-Type": kind, "Content-Length": len(answer)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _serve

    http.server.ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler).serve_forever()


if __name__ == "__main__":
    main()

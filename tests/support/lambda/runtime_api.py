"""AWS Lambda's Runtime API (2018-06-01) for one function, written from AWS's guide alone.

One invocation at a time is offered to whatever program asks for it; the answer is kept.
"""

import http.server
import queue
import threading
import time
import uuid

PREFIX = "/2018-06-01/runtime/"


class _QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A function that is killed while it waits is no fault of the server."""


class RuntimeApi:
    """Listens on a free port of 127.0.0.1 until close()."""

    def __init__(self):
        self.answers = queue.Queue()  # ("response" | "error" | "init error", body)
        self._invocations = queue.Queue()
        self._current = None
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                if self.path != PREFIX + "invocation/next":
                    return self._reply(404, b"{}")
                request_id, payload, deadline_ms = api._invocations.get()
                api._current = request_id
                self._reply(200, payload, {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                    "Lambda-Runtime-Invoked-Function-Arn":
                        "arn:aws:lambda:eu-central-1:123456789012:function:lambdaml",
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
                })

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == PREFIX + "init/error":
                    api.answers.put(("init error", body))
                    return self._reply(202, b'{"status":"OK"}')
                for outcome in ("response", "error"):
                    if self.path == f"{PREFIX}invocation/{api._current}/{outcome}":
                        api.answers.put((outcome, body))
                        return self._reply(202, b'{"status":"OK"}')
                return self._reply(400, b'{"errorType":"InvalidRequestID"}')

            def _reply(self, status, body, headers=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self):
        return "127.0.0.1:%d" % self._server.server_address[1]

    def invoke(self, payload, timeout_s=60):
        """The outcome and body that the function gives for the payload (bytes)."""
        deadline_ms = int((time.time() + timeout_s) * 1000)
        self._invocations.put((str(uuid.uuid4()), payload, deadline_ms))
        return self.answers.get(timeout=timeout_s)

    def close(self):
        self._server.shutdown()
        self._server.server_close()

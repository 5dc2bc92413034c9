// Cold start of a function: from the start of its process to the moment it holds its first
// payload, and its resident memory then.
//
//   cold_start_bench [PROGRAM [RUNTIME_ARGUMENTS…]]
//
// PROGRAM is a custom runtime, by default the function of the tests. In the same run, by turns:
// /bin/true, the least that starting and ending any process costs, and, where python3 is
// installed, the smallest runtime Python can be (urllib). The payload is handed over by the bench's
// own one-connection Runtime API on a plain socket, so
// nothing of the local platform is in the figure; the clock stops when the next bytes arrive, the
// answer to the payload, so the figure holds the handler's return and one message more.
// Verified first: the answer is a post to /response or /error of the request that was given.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/faas/child_process.h"

namespace {

using namespace lambdaml;

constexpr int kRepetitionCount = 41;
constexpr int kWaitMs = 20'000;

// The smallest runtime of Python: fetch, answer, fetch.
constexpr char kPythonRuntime[] = R"(
import os, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(base + "next") as answer:
        request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        payload = answer.read()
    urllib.request.urlopen(base + request_id + "/response", data=payload).read()
)";

struct Sample {
  double ms = 0;
  double resident_mb = 0;  // of 10^6 bytes; 0: not measured
};

// A Runtime API for one invocation of one process.
class OneShotApi {
 public:
  OneShotApi() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), 4) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("cannot listen on 127.0.0.1");
    }
    endpoint_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  }

  const std::string& endpoint() const { return endpoint_; }

  // Waits for the process's /next and hands over the payload.
  void Deliver() {
    connection_ = Accept();
    Expect(ReadHead(connection_), "GET /2018-06-01/runtime/invocation/next ");
    const std::string message =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Lambda-Runtime-Aws-Request-Id: bench-1\r\n"
        "Lambda-Runtime-Deadline-Ms: 4102444800000\r\n"
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n"
        "Content-Length: 2\r\n\r\n{}";
    if (::send(connection_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
      throw std::runtime_error("the function closed its connection");
    }
  }

  // Waits until the answer to the payload begins, on this connection or a new one.
  void AwaitAnswer() {
    std::string head;
    std::array<pollfd, 2> entries = {pollfd{connection_.get(), POLLIN, 0},
                                     pollfd{listener_.get(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), kWaitMs) <= 0) throw std::runtime_error("no answer");
    if (entries[0].revents != 0) head = ReadHead(connection_);
    if (head.empty()) {
      connection_ = Accept();
      head = ReadHead(connection_);
    }
    Expect(head, "POST /2018-06-01/runtime/invocation/bench-1/");
  }

 private:
  base::FileDescriptor Accept() const {
    pollfd entry = {listener_.get(), POLLIN, 0};
    if (::poll(&entry, 1, kWaitMs) <= 0) throw std::runtime_error("the function did not call");
    return base::FileDescriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  static std::string ReadHead(const base::FileDescriptor& socket) {
    std::array<char, 4096> text = {};
    const ssize_t count = ::recv(socket.get(), text.data(), text.size(), 0);
    return {text.data(), static_cast<size_t>(std::max<ssize_t>(count, 0))};
  }
  static void Expect(const std::string& text, const std::string& prefix) {
    if (!text.starts_with(prefix)) {
      throw std::runtime_error(fmt::format("expected \"{}\", got \"{}\"", prefix, text));
    }
  }

  base::FileDescriptor listener_;
  base::FileDescriptor connection_;
  std::string endpoint_;
};

double ResidentMb(pid_t pid) {
  long long total = 0;
  long long resident = 0;
  std::ifstream(fmt::format("/proc/{}/statm", pid)) >> total >> resident;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / 1e6;
}

faas::ProcessOptions Options(const std::vector<std::string>& command, const std::string& api,
                             int output) {
  return {
      .program = command.front(),
      .arguments = {command.begin() + 1, command.end()},
      .environment = {"AWS_LAMBDA_RUNTIME_API=" + api, "AWS_LAMBDA_FUNCTION_NAME=f",
                      "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1769", "PATH=/usr/bin:/bin", "TMPDIR=/tmp"},
      .working_directory = "/",
      .output_descriptor = output};
}

Sample ColdStart(const std::vector<std::string>& command, int output) {
  OneShotApi api;
  const base::TimePoint start = base::SystemClock().Now();
  const faas::ChildProcess process(Options(command, api.endpoint(), output));
  api.Deliver();
  api.AwaitAnswer();
  const double ms = base::Seconds(base::SystemClock().Now() - start) * 1e3;
  return {.ms = ms, .resident_mb = ResidentMb(process.pid())};
}

Sample StartAndEnd(const std::vector<std::string>& command, int output) {
  const base::TimePoint start = base::SystemClock().Now();
  faas::ChildProcess process(Options(command, "127.0.0.1:1", output));
  pollfd entry = {process.pidfd(), POLLIN, 0};
  ::poll(&entry, 1, kWaitMs);
  const double ms = base::Seconds(base::SystemClock().Now() - start) * 1e3;
  if (process.Reap().exit_code != 0) throw std::runtime_error(command.front() + " failed");
  return {.ms = ms, .resident_mb = 0};
}

Sample Median(std::vector<Sample> samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::ranges::nth_element(samples, middle, {}, &Sample::ms);
  Sample median = *middle;
  std::ranges::nth_element(samples, middle, {}, &Sample::resident_mb);
  median.resident_mb = middle->resident_mb;
  return median;
}

struct Subject {
  std::string name;
  std::vector<std::string> command;
  bool is_runtime = true;
  std::vector<Sample> samples = {};
};

int Run(int argc, char** argv) {
  std::vector<std::string> function(argv + 1, argv + argc);
  if (function.empty()) function = {LAMBDAML_TEST_FUNCTION};
  std::vector<Subject> subjects;
  subjects.push_back({.name = function.front(), .command = function});
  subjects.push_back({.name = "/bin/true", .command = {"/bin/true"}, .is_runtime = false});
  if (::access("/usr/bin/python3", X_OK) == 0) {
    subjects.push_back({.name = "python3, urllib",
                        .command = {"/usr/bin/python3", "-S", "-E", "-c", kPythonRuntime}});
  }
  const base::FileDescriptor output(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (int i = 0; i < kRepetitionCount; ++i) {
    for (Subject& subject : subjects) {
      subject.samples.push_back(subject.is_runtime ? ColdStart(subject.command, output.get())
                                                   : StartAndEnd(subject.command, output.get()));
    }
  }
  const Sample first = Median(subjects.front().samples);
  fmt::print("cold start: process start to the answer of the first payload, median of {}\n",
             kRepetitionCount);
  fmt::print("{:<48} {:>9} {:>12} {:>8}\n", "program", "ms", "resident MB", "ratio");
  for (const Subject& subject : subjects) {
    const Sample median = Median(subject.samples);
    fmt::print("{:<48} {:>9.2f} {:>12} {:>8.2f}\n", subject.name, median.ms,
               median.resident_mb > 0 ? fmt::format("{:.1f}", median.resident_mb) : "-",
               median.ms / first.ms);
  }
  fmt::print("goal: 10 ms, 15 MB: {}\n",
             first.ms <= 10 && first.resident_mb <= 15 ? "reached" : "missed");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cold_start_bench: {}\n", error.what());
    return 1;
  }
}

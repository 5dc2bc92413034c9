// lambdaml: the command line program. One of the three places where errors are caught (the others:
// the worker's handler, a thread's entry).
#include <csignal>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

#include "apps/lambdaml/command_line.h"
#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {
namespace {

// The exit codes of --help and README.md.
int ExitCodeOf(base::ErrorCode code) {
  switch (code) {
    case base::ErrorCode::kInvalidArgument:
      return 2;
    case base::ErrorCode::kInvalidData:
    case base::ErrorCode::kNotFound:
    case base::ErrorCode::kCorrupt:
      return 3;
    case base::ErrorCode::kAlreadyExists:
    case base::ErrorCode::kPermissionDenied:
    case base::ErrorCode::kResourceExhausted:
    case base::ErrorCode::kUnavailable:
    case base::ErrorCode::kDeadlineExceeded:
      return 4;
    case base::ErrorCode::kCancelled:
      return 130;
    case base::ErrorCode::kInternal:
      break;
  }
  return 1;
}

void Run(const ShowText& show) { WriteOutput(show.text); }

int RunProgram(const std::vector<std::string>& arguments) {
  try {
    std::visit([](const auto& command) { Run(command); }, ParseCommandLine(arguments));
    return 0;
  } catch (const base::Error& error) {
    fmt::print(stderr, "lambdaml: {}\n", error.message());
    return ExitCodeOf(error.code());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "lambdaml: out of memory\n");
    return ExitCodeOf(base::ErrorCode::kResourceExhausted);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lambdaml: a bug: {}\n", error.what());
    return ExitCodeOf(base::ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace lambdaml::cli

int main(int argc, char** argv) {
  // Writing to a closed pipe is an error to report, not a reason to die without clean-up.
  std::signal(SIGPIPE, SIG_IGN);
  return lambdaml::cli::RunProgram(std::vector<std::string>(argv + 1, argv + argc));
}

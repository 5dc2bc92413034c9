// A small AWS Lambda on this machine: functions are processes of their program, fetched work comes
// over the Runtime API and invocations over the Invoke API, both on free ports of 127.0.0.1. What
// it does as Lambda does and what it cannot: docs/local-platform.md.
//
// One thread owns everything. A cold start costs fork, exec and three loopback messages; a warm
// invocation four messages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/faas/function_config.h"
#include "lambdaml/faas/invocation_record.h"

namespace lambdaml::faas {

// Threads: any, at once.
class LocalPlatform {
 public:
  // Starts the platform's thread. Errors: kResourceExhausted.
  LocalPlatform();
  LocalPlatform(const LocalPlatform&) = delete;
  LocalPlatform& operator=(const LocalPlatform&) = delete;
  ~LocalPlatform();  // Shutdown()

  // Adds a function. A relative program path is resolved now.
  // Errors: kInvalidArgument (name, memory, time-out), kAlreadyExists (name), kNotFound or
  // kPermissionDenied (program, folders), kCancelled (shut down).
  void CreateFunction(FunctionConfig config);

  // "127.0.0.1:port" of the Invoke API, for MakeHttpInvoker.
  const std::string& endpoint() const;

  // The records of invocations that ended since the last call, in the order of their ends; also
  // after Shutdown.
  std::vector<InvocationRecord> TakeRecords();

  // Ends all processes (SIGTERM, SIGKILL half a second later), deletes their scratch folders, and
  // answers waiting callers (kCancelled). Returns when nothing is left. A second call does nothing.
  void Shutdown();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::faas

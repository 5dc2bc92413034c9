// A trigger that is killed by the test: starts functions in a folder that its reaper is to delete,
// prints "ready", and waits.
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <unistd.h>

#include "lambdaml/base/file.h"
#include "lambdaml/faas/http_invoker.h"
#include "lambdaml/faas/local_platform.h"
#include "lambdaml/faas/reaper.h"

// Arguments: the run folder, the function's program.
int main(int argc, char** argv) {
  using namespace lambdaml;
  if (argc != 3) return 2;
  const std::string run = argv[1];
  faas::Reaper reaper;
  reaper.DeleteAtEnd(run);
  base::MakeDirectories(run);
  faas::LocalPlatform platform;
  faas::FunctionConfig config;
  config.name = "worker";
  config.program = argv[2];
  config.memory_mb = 4096;
  config.timeout = std::chrono::seconds(60);
  config.init_timeout = std::chrono::seconds(60);
  config.scratch_parent = run;
  config.log_directory = run;
  platform.CreateFunction(config);
  const auto invoker = faas::MakeHttpInvoker(platform.endpoint());
  const auto deadline = base::Deadline::After(std::chrono::seconds(60));
  // One idle environment, one that works.
  std::string pids = invoker->Invoke("worker", R"({"do":"describe"})", deadline).payload;
  invoker->InvokeAsync("worker", R"({"do":"sleep","ms":60000})", deadline);
  pids += '\n';
  pids += invoker->Invoke("worker", R"({"do":"describe"})", deadline).payload;
  pids += "\nready\n";
  base::WriteAll(STDOUT_FILENO, base::AsBytes(pids), "standard output");
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

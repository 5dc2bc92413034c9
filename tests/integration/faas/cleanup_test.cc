// Nothing is left behind: no process and no folder, however the platform ends.
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/reaper.h"

#include "tests/integration/faas/platform_fixture.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;

bool ProcessExists(pid_t pid) { return ::kill(pid, 0) == 0; }

// Waits up to 20 seconds.
template <class Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class CleanupTest : public PlatformTest {
 protected:
  pid_t PidOf(const std::string& describe_answer) {
    return static_cast<pid_t>(base::Json::Parse(describe_answer, "p").At("pid").AsInteger());
  }
};

TEST_F(CleanupTest, ShutdownEndsIdleAndBusyEnvironmentsAndDeletesTheirFolders) {
  platform_->CreateFunction(Config());
  const pid_t pid = PidOf(Invoke(R"({"do":"describe"})").payload);
  auto busy = std::async(std::launch::async, [&] {
    try {
      MakeHttpInvoker(platform_->endpoint())
          ->Invoke("worker", R"({"do":"sleep","ms":60000})", Soon());
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  });
  while (!base::FileExists(logs() + "/worker-1.log") ||
         ReadFile(logs() + "/worker-1.log").find("REPORT") == std::string::npos) {
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  platform_->Shutdown();
  EXPECT_EQ(busy.get(), ErrorCode::kCancelled);
  EXPECT_FALSE(ProcessExists(pid));
  EXPECT_TRUE(std::filesystem::is_empty(scratch()));
  platform_->Shutdown();
  EXPECT_GE(platform_->TakeRecords().size(), 1U);
  try {
    platform_->CreateFunction(Config("late"));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  try {
    Invoke("{}");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
}

TEST_F(CleanupTest, ShutdownEndsAProcessThatIgnoresTheRequest) {
  FunctionConfig config = Config();
  config.environment = {{"TEST_INIT", "ignore_sigterm"}};
  platform_->CreateFunction(config);
  const pid_t pid = PidOf(Invoke(R"({"do":"describe"})").payload);
  platform_.reset();
  EXPECT_FALSE(ProcessExists(pid));
  EXPECT_TRUE(std::filesystem::is_empty(scratch()));
}

TEST_F(CleanupTest, ShutdownWhileProcessesStartLeavesNothing) {
  for (int i = 0; i < 5; ++i) {
    auto platform = std::make_unique<LocalPlatform>();
    platform->CreateFunction(Config());
    const auto invoker = MakeHttpInvoker(platform->endpoint());
    for (int j = 0; j < 3; ++j) invoker->InvokeAsync("worker", "{}", Soon());
    platform.reset();
    EXPECT_TRUE(std::filesystem::is_empty(scratch()));
  }
}

TEST_F(CleanupTest, ProcessesThatAFunctionStartedEndWithItsEnvironment) {
  platform_->CreateFunction(Config());
  const auto pid = static_cast<pid_t>(std::stol(Invoke(R"({"do":"grandchild"})").payload));
  EXPECT_TRUE(ProcessExists(pid));
  Invoke(R"({"do":"exit","status":1})");
  // It was this process's grandchild: whoever inherits it reaps it.
  EXPECT_TRUE(Eventually([&] {
    std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  }));
}

TEST_F(CleanupTest, DescriptorsDoNotPileUp) {
  const auto count = [] {
    const auto begin = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(begin, std::filesystem::directory_iterator());
  };
  platform_->CreateFunction(Config());
  Invoke("{}");
  const auto before = count();
  for (int i = 0; i < 10; ++i) {
    Invoke(R"({"do":"exit","status":1})");
    Invoke("{}");
  }
  EXPECT_EQ(count(), before);
}

TEST_F(CleanupTest, ATriggerKilledOutrightLeavesNoProcessAndNoFolder) {
  const std::string run = folder() + "/run";
  int ends[2] = {};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::FileDescriptor output(ends[0]);
  base::FileDescriptor output_write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string program = LAMBDAML_DOOMED_TRIGGER;
  std::string run_argument = run;
  std::string function = LAMBDAML_TEST_FUNCTION;
  char* arguments[] = {program.data(), run_argument.data(), function.data(), nullptr};
  pid_t trigger = -1;
  ASSERT_EQ(::posix_spawn(&trigger, program.c_str(), &actions, nullptr, arguments, environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  output_write_end = base::FileDescriptor();

  std::string text;
  char part[4096];
  while (text.find("ready\n") == text.npos) {
    const ssize_t count = ::read(output.get(), part, sizeof(part));
    ASSERT_GT(count, 0) << text;
    text.append(part, static_cast<size_t>(count));
  }
  const pid_t worker = PidOf(text.substr(0, text.find('\n')));
  EXPECT_TRUE(ProcessExists(worker));
  EXPECT_TRUE(base::FileExists(run));

  ::kill(trigger, SIGKILL);
  ::waitpid(trigger, nullptr, 0);
  // Neither the functions nor the guardian hold the trigger's output open: it ends at once.
  EXPECT_EQ(::read(output.get(), part, sizeof(part)), 0);
  EXPECT_TRUE(Eventually([&] { return !base::FileExists(run); }));
  EXPECT_TRUE(Eventually([&] {
    std::string stat = ReadFile("/proc/" + std::to_string(worker) + "/stat");
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  }));
}

}  // namespace
}  // namespace lambdaml::faas

#include "e2e/workbench.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iterator>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::test {
namespace {

constexpr const char* kSharedMemory = "/dev/shm";
constexpr base::Duration kPollInterval = std::chrono::milliseconds(10);
constexpr size_t kFailedVariantsMax = 10;

bool g_has_own_mounts = false;

// Adopts orphans, and takes a private /dev/shm where that is allowed: then what lies in it is ours.
class Isolation : public ::testing::Environment {
 public:
  void SetUp() override {
    AdoptOrphans();
    g_has_own_mounts = ::unshare(CLONE_NEWNS) == 0 &&
                       ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       ::mount("tmpfs", kSharedMemory, "tmpfs", 0, nullptr) == 0;
  }
};

const ::testing::Environment* const kIsolation = ::testing::AddGlobalTestEnvironment(new Isolation);

std::vector<std::string> EntriesBelow(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;  // of what disappears meanwhile
  for (auto entry = std::filesystem::recursive_directory_iterator(folder, error);
       entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().lexically_relative(folder));
  }
  std::ranges::sort(names);
  return names;
}

bool Sleep(base::Duration duration) {
  std::this_thread::sleep_for(duration);
  return true;
}

int FailureCount() {
  return ::testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
}

}  // namespace

base::Duration RunTimeout() { return std::chrono::seconds(120); }

std::vector<pid_t> WorkersOf(const ChildProgram& run) {
  std::vector<pid_t> workers;
  for (const pid_t child : ChildrenOf(run.pid())) {
    std::error_code error;  // of one that has just ended
    const std::filesystem::path program =
        std::filesystem::read_symlink(fmt::format("/proc/{}/exe", child), error);
    if (program.filename() == "lambdaml-worker") workers.push_back(child);
  }
  return workers;
}

bool HasOwnMounts() { return g_has_own_mounts; }

Workbench::Workbench()
    : folder_(std::filesystem::temp_directory_path(), "lambdaml-e2e-"),
      temporary_(folder_.path() + "/tmp"),
      shared_memory_before_(EntriesBelow(kSharedMemory)) {
  base::MakeDirectories(temporary_);
  environment_ = {
      {"PATH", "/usr/bin:/bin"}, {"TMPDIR", temporary_}, {"LAMBDAML", LAMBDAML_PROGRAM}};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"}) {
    const char* value = std::getenv(name);
    if (value != nullptr) environment_[name] = value;
  }
}

void Workbench::SetEnvironment(const std::string& name, const std::string& value) {
  environment_[name] = value;
}

void Workbench::TearDown() {
  // One failure is enough: the next test is to find a clean machine.
  DescendantsLeft(RunTimeout());
  if (!g_has_own_mounts) return;
  for (const std::string& name : LeftInSharedMemory()) {
    base::RemoveTree(fmt::format("{}/{}", kSharedMemory, name));
  }
}

std::vector<std::string> Workbench::LeftInSharedMemory() const {
  const auto top = [](std::string_view entry) { return entry.substr(0, entry.find('/')); };
  std::vector<std::string> entries = EntriesBelow(kSharedMemory);
  std::erase_if(entries, [&](const std::string& entry) {
    return std::ranges::any_of(shared_memory_before_, [&](const std::string& before) {
      return top(before) == top(entry);
    });
  });
  return entries;
}

std::string Workbench::Path(std::string_view name) const {
  return fmt::format("{}/{}", folder(), name);
}

bool Workbench::Exists(std::string_view name) const { return base::FileExists(Path(name)); }

std::string Workbench::Read(std::string_view name) const {
  return std::string(base::MapFile(Path(name)).text());
}

std::vector<std::string> Workbench::ReadLines(std::string_view name) const {
  std::vector<std::string> lines;
  std::istringstream text(Read(name));
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

void Workbench::Write(std::string_view name, std::string_view text) const {
  base::MakeDirectories(std::filesystem::path(Path(name)).parent_path());
  base::WriteFileAtomic(Path(name), base::AsBytes(text));
}

std::vector<std::string> Workbench::Listing() const { return EntriesBelow(folder()); }

ProgramOptions Workbench::Program(const std::string& program, const Arguments& arguments) const {
  ProgramOptions options = {
      .program = program, .arguments = arguments, .environment = {}, .working_directory = folder()};
  for (const auto& [name, value] : environment_) options.environment.push_back(name + "=" + value);
  return options;
}

Outcome Workbench::WaitFor(ChildProgram& program) const {
  ProgramResult result = program.Wait(RunTimeout());
  ExpectNothingLeft();
  const int signal = result.status.signal;
  return {.exit_code = signal != 0 ? 128 + signal : result.status.exit_code,
          .out = std::move(result.out),
          .err = std::move(result.err),
          .seconds = result.seconds};
}

Outcome Workbench::Run(const Arguments& arguments) const { return WaitFor(*Start(arguments)); }

Outcome Workbench::RunShell(const std::string& script) const {
  ChildProgram shell(Program("/bin/sh", {"-c", script}));
  return WaitFor(shell);
}

std::string Workbench::Succeed(const Arguments& arguments) const {
  const Outcome outcome = Run(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << "lambdaml " << fmt::format("{}", fmt::join(arguments, " "));
  EXPECT_EQ(outcome.err, "") << "lambdaml " << fmt::format("{}", fmt::join(arguments, " "));
  return outcome.out;
}

void Workbench::Refuse(const Arguments& arguments, int exit_code,
                       std::initializer_list<std::string_view> said) const {
  SCOPED_TRACE(fmt::format("lambdaml {}", fmt::join(arguments, " ")));
  const std::vector<std::string> before = Listing();
  const Outcome outcome = Run(arguments);
  EXPECT_EQ(outcome.exit_code, exit_code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, ::testing::StartsWith("lambdaml: "));
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  for (const std::string_view part : said) {
    EXPECT_THAT(outcome.err, ::testing::HasSubstr(std::string(part)));
  }
  EXPECT_EQ(Listing(), before);
}

std::string Workbench::RunTool(const std::string& program, const Arguments& arguments) const {
  const ProgramResult result = RunProgram(Program(program, arguments), RunTimeout());
  EXPECT_EQ(result.status.ToString(), "exit status 0") << program << ": " << result.err;
  return result.out;
}

std::unique_ptr<ChildProgram> Workbench::Start(const Arguments& arguments) const {
  return std::make_unique<ChildProgram>(Program(LAMBDAML_PROGRAM, arguments));
}

std::vector<pid_t> Workbench::WorkersOf(pid_t parent) {
  std::vector<pid_t> workers;
  for (const pid_t child : ChildrenOf(parent)) {
    std::error_code error;  // of one that has just ended
    const std::filesystem::path program =
        std::filesystem::read_symlink(fmt::format("/proc/{}/exe", child), error);
    if (program.filename() == "lambdaml-worker") workers.push_back(child);
  }
  return workers;
}

void Workbench::ExpectNothingLeft(base::Duration patience) const {
  const base::Deadline deadline = base::Deadline::After(patience);
  EXPECT_THAT(DescendantsLeft(patience), ::testing::IsEmpty()) << "processes are left";
  std::vector<std::string> files;
  do {
    files = EntriesBelow(temporary_);
    // Without mounts of our own there may be folders of somebody else's runs.
    if (g_has_own_mounts) std::ranges::copy(LeftInSharedMemory(), std::back_inserter(files));
  } while (!files.empty() && !deadline.Expired() && Sleep(kPollInterval));
  EXPECT_THAT(files, ::testing::IsEmpty()) << "files are left";
}

base::Json Workbench::Evaluate(std::string_view model, std::string_view data) const {
  const std::string text =
      Succeed({"evaluate", std::string(model), "--data", std::string(data), "--json"});
  return base::Json::Parse(text, "evaluate --json");
}

std::vector<base::Json> Workbench::Log(std::string_view name) const {
  std::vector<base::Json> records;
  for (const std::string& line : ReadLines(name))
    records.push_back(base::Json::Parse(line, Path(name)));
  return records;
}

Variants::~Variants() {
  if (failed_.empty()) return;
  ADD_FAILURE() << failed_.size() << " of " << tried_count_
                << " variants failed: " << fmt::format("{}", fmt::join(failed_, "; "));
}

void Variants::Try(const std::string& name, const std::function<void()>& body) {
  if (failed_.size() >= kFailedVariantsMax) return;  // more would tell nothing new
  ++tried_count_;
  const int before = FailureCount();
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, name);
  try {
    body();
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  if (FailureCount() > before) failed_.push_back(name);
}

}  // namespace lambdaml::test

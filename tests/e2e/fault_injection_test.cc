// Runs disturbed at random: workers are killed, paused, started late and started twice; requests to
// the channel are cut, delayed and damaged. Each ends with the model of the undisturbed run, byte
// for byte, or with the right error, after which it can be resumed; in time, and nothing is left.
//
// LAMBDAML_FAULT_RUNS says how many runs there are, LAMBDAML_FAULT_SEED from where they are drawn,
// LAMBDAML_FAULT_FIRST which is the first: so a run that failed can be looked at alone.
// LAMBDAML_TEST_ALL: a hundred runs.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/random.h"

#include "e2e/disturbed_channels.h"
#include "e2e/sample_data.h"
#include "e2e/unreliable_platform.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::IsEmpty;

constexpr base::Duration kRunMax = std::chrono::seconds(90);

uint64_t NumberFrom(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::stoull(text);
}

template <typename T>
const T& OneOf(base::Random& random, const std::vector<T>& values) {
  return values[random.Below(values.size())];
}

// What is trained, which decides the model; how, which must not, is the scenario's.
struct Workload {
  std::string name;
  Arguments arguments;
  bool is_async = false;
  bool is_slow = false;  // a second or so, whatever the epochs

  std::string optim() const { return name.substr(std::min(name.find(' ') + 1, name.size())); }
};

const std::vector<Workload>& Workloads() {
  static const std::vector<Workload> workloads = [] {
    std::vector<Workload> all;
    for (const std::string model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
      for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
        all.push_back({model + " " + optim,
                       {"--data", "data", "--workers", "3", "--model", model, "--optim", optim,
                        "--tolerance", "1e-30"}});
      }
    }
    const Arguments kmeans = {"--data",  "data",   "--workers",    "3",
                              "--model", "kmeans", "--n_clusters", "4"};
    all.push_back({"kmeans mini-batch", Join(kmeans, Arguments{"--batch_size", "16"})});
    all.push_back({"mobilenet grad_avg",
                   {"--data", "images.bin", "--workers", "2", "--model", "mobilenet",
                    "--batch_size", "4", "--n_epochs", "2"},
                   false,
                   true});
    // Each change is the same whatever the model is (DyadicSample): so the finished model is the
    // sum of all changes, in any order; one lost or made twice shows.
    for (const std::string optim : {"grad_avg", "model_avg"}) {
      all.push_back(
          {"async " + optim,
           {"--data", "dyadic", "--workers", "4", "--model", "svm", "--optim", optim, "--sync_mode",
            "async", "--batch_size", "8", "--momentum", "0", "--lr", "0.0000152587890625"},
           true});
    }
    return all;
  }();
  return workloads;
}

// Rows of small whole numbers, 32 for each of 4 workers. With a step of 2^-16 the hinge loss of
// none of them becomes 0 within 100 epochs, and every sum of gradients is exact.
std::string DyadicSample() {
  base::Random random(5);
  std::string text;
  for (int row = 0; row < 128; ++row) {
    text += random.Below(2) == 0 ? "-1" : "1";
    for (int j = 1; j <= 4; ++j) text += fmt::format(" {}:{}", j, 1 + random.Below(3));
    text += '\n';
  }
  return text;
}

struct Scenario {
  Workload workload;
  DisturbedChannel* channel = nullptr;
  Requests requests = Requests::kUndisturbed;
  std::string sync_mode = {};
  uint64_t max_restarts = 0;
  uint64_t checkpoint_every = 0;  // epochs; 0: by time alone
  uint64_t run_epochs = 0;        // of a generation; 0: all
  uint64_t kills = 0;
  uint64_t pauses = 0;
  bool is_duplicated = false;  // invocations are late and twice

  std::string Describe() const {
    return fmt::format(
        "{} over {}{}, {}, {} restarts, checkpoint every {}, {} epochs a run, {} kills, {} "
        "pauses{}",
        workload.name, channel->name(), NameOf(requests), sync_mode, max_restarts, checkpoint_every,
        run_epochs, kills, pauses, is_duplicated ? ", duplicates" : "");
  }
};

// What has been done to runs.
struct Injected {
  uint64_t kills = 0;
  uint64_t pauses = 0;
  uint64_t duplicates = 0;
  uint64_t delays = 0;
  uint64_t requests = 0;  // cut or damaged
  uint64_t late_runs = 0;
  uint64_t errors = 0;  // that runs ended with

  uint64_t sum() const { return kills + pauses + duplicates + delays + requests; }
};

class FaultInjectionTest : public Workbench {
 protected:
  // Before any test, so that what servers leave is not taken for the program's.
  static void SetUpTestSuite() { DisturbedChannel::StartServers(); }

  FaultInjectionTest() : channels_(DisturbedChannel::All(Path("channel"))) {
    Write("data", SeparableSample({.rows = 101, .density = 0.6}));
    Write("dyadic", DyadicSample());
    Succeed({"data", "generate", "cifar10", "--rows", "16", "--output", "images.bin"});
    worker_environment_ = DisturbedChannel::Environment();
    for (const auto& [name, value] : worker_environment_) {
      SetEnvironment(name, value);
      ::setenv(name.c_str(), value.c_str(), 1);
    }
    worker_environment_.emplace_back("OMP_WAIT_POLICY", "passive");
  }

  // Channels take turns, all else is drawn.
  Scenario Draw(uint64_t number, base::Random& random) {
    Scenario scenario = {.workload = OneOf(random, Workloads())};
    scenario.channel = channels_[number % channels_.size()].get();
    if (scenario.channel->has_server()) scenario.requests = static_cast<Requests>(random.Below(4));
    scenario.sync_mode = OneOf<std::string>(random, {"reduce", "reduce_scatter"});
    if (scenario.workload.is_async) scenario.sync_mode = "async";
    scenario.max_restarts = OneOf<uint64_t>(random, {0, 1, 3, 3, 3});
    scenario.checkpoint_every = OneOf<uint64_t>(random, {0, 0, 1, 7});
    scenario.run_epochs = OneOf<uint64_t>(random, {0, 0, 9});
    scenario.kills = random.Below(4);
    scenario.pauses = random.Below(3);
    scenario.is_duplicated = random.Below(3) == 0;
    if (scenario.workload.is_slow) scenario.run_epochs = scenario.run_epochs > 0 ? 1 : 0;
    return scenario;
  }

  // A second or so.
  static Arguments JobOf(const Scenario& scenario) {
    const Arguments job = Join({"train"}, scenario.workload.arguments);
    if (scenario.workload.is_slow) return job;
    const bool is_slow = scenario.channel->is_slow();
    const bool is_cut = scenario.requests != Requests::kUndisturbed || scenario.run_epochs > 0 ||
                        scenario.checkpoint_every > 0;
    const std::string epochs = is_slow || is_cut || scenario.workload.is_async ? "40" : "1000";
    const bool is_admm = scenario.workload.optim() == "admm";
    return Join(job, Arguments{is_admm ? "--n_admm_epochs" : "--n_epochs", epochs});
  }

  static Arguments MannerOf(const Scenario& scenario) {
    Arguments manner = {"--max_restarts",  std::to_string(scenario.max_restarts),
                        "--round_timeout", "15",
                        "--start_timeout", "15"};
    const auto add = [&](const char* name, uint64_t value) {
      if (value > 0) manner = Join(manner, Arguments{name, std::to_string(value)});
    };
    if (!scenario.workload.is_async) {
      manner = Join(manner, Arguments{"--sync_mode", scenario.sync_mode});
    }
    add("--checkpoint_every", scenario.checkpoint_every);
    add("--run_epochs", scenario.run_epochs);
    return manner;
  }

  // The undisturbed run's, over a folder.
  const std::string& ModelOf(const Arguments& job) {
    std::string& model = models_[fmt::format("{}", fmt::join(job, " "))];
    if (model.empty()) {
      Succeed(Join(job, Arguments{"--output", "undisturbed"}));
      model = Read("undisturbed");
    }
    return model;
  }

  // Kills and pauses workers, children of `parent`, while the run lasts. Returns how many it has
  // killed.
  uint64_t Disturb(pid_t parent, const Scenario& scenario, base::Random& random) {
    uint64_t kills_left = scenario.kills;
    uint64_t killed = 0;
    const auto sleep = [&](uint64_t least_ms, uint64_t more_ms) {
      base::SystemClock().SleepFor(std::chrono::milliseconds(least_ms + random.Below(more_ms)));
    };
    for (uint64_t left = scenario.kills + scenario.pauses; left > 0; --left) {
      const bool is_kill = random.Below(left) < kills_left;
      if (is_kill) --kills_left;
      sleep(20, 400);
      const std::vector<pid_t> workers = WorkersOf(parent);
      if (workers.empty()) continue;
      const pid_t worker = OneOf(random, workers);
      if (is_kill) {
        killed += ::kill(worker, SIGKILL) == 0 ? 1 : 0;
      } else if (::kill(worker, SIGSTOP) == 0) {
        ++injected_.pauses;
        sleep(50, 300);
        ::kill(worker, SIGCONT);
      }
    }
    injected_.kills += killed;
    return killed;
  }

  void RunOne(const Scenario& scenario, base::Random& random) {
    const Arguments job = JobOf(scenario);
    const std::string& expected = ModelOf(job);
    const DisturbedChannel::Place place = scenario.channel->Open(scenario.requests, random.Next());
    Arguments run_job =
        Join(job, MannerOf(scenario), Arguments{"--channel", place.url, "--output", "disturbed"});
    std::unique_ptr<UnreliablePlatform> platform;
    if (scenario.is_duplicated) {
      std::filesystem::create_directories(Path("functions"));
      platform = std::make_unique<UnreliablePlatform>(
          Path("functions"), worker_environment_,
          InvocationFaults{
              .seed = random.Next(), .duplicate_probability = 0.5, .delay_probability = 0.5});
      run_job = Join(run_job, Arguments{"--platform", "http", "--function_url", platform->url()});
    }
    const auto run = Start(run_job);
    const uint64_t killed = Disturb(platform ? ::getpid() : run->pid(), scenario, random);
    const ProgramResult result = run->Wait(kRunMax);
    if (platform) {
      injected_.duplicates += platform->duplicates();
      injected_.delays += platform->delays();
      platform.reset();
    }
    injected_.requests += place.failures();
    if (scenario.requests == Requests::kLate) ++injected_.late_runs;
    ExpectNothingLeft();
    if (result.status.ToString() == "exit status 0") {
      EXPECT_EQ(Read("disturbed"), expected) << result.err;
      // A second invocation, of which the trigger knows nothing, may save once more behind its
      // back.
      EXPECT_TRUE(scenario.is_duplicated || !Exists("disturbed.checkpoint"));
    } else {
      ++injected_.errors;
      ExpectRightError(scenario, killed, result);
      Resume(scenario, place.direct_url, expected, result.err);
    }
    // A request whose key was damaged has been made under another; a duplicate was ended while it
    // worked.
    if (scenario.requests != Requests::kDamaged && !scenario.is_duplicated) {
      EXPECT_THAT(scenario.channel->Left(place), IsEmpty());
    }
    std::filesystem::remove(Path("disturbed"));
    std::filesystem::remove_all(Path("disturbed.checkpoint"));
  }

  // A run that failed goes on from its checkpoint, over the channel without faults.
  void Resume(const Scenario& scenario, const std::string& url, const std::string& expected,
              const std::string& why) {
    if (!Exists("disturbed.checkpoint")) return;
    Arguments resume = {"train", "--resume", "disturbed.checkpoint", "--channel", url};
    if (scenario.is_duplicated) resume = Join(resume, Arguments{"--platform", "local"});
    // A warning says so if the newest checkpoint was not whole yet.
    const Outcome outcome = Run(resume);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err << "resumed after " << why;
    if (outcome.exit_code != 0) return;
    // The model that asynchronous workers share has gone with the run.
    if (!scenario.workload.is_async) {
      EXPECT_EQ(Read("disturbed"), expected) << "resumed after " << why;
    }
  }

  // What a run may end with, if not with its model (docs/fault-tolerance.md).
  void ExpectRightError(const Scenario& scenario, uint64_t killed, const ProgramResult& result) {
    const std::string status = result.status.ToString();
    EXPECT_FALSE(Exists("disturbed"));
    if (scenario.requests == Requests::kDamaged) {
      // What a service says of a request that it cannot read may sound like the user's mistake, and
      // a damaged value like a damaged file.
      EXPECT_THAT(status, AnyOf("exit status 4", "exit status 3", "exit status 2")) << result.err;
      return;
    }
    // Without kept results a rank that its own duplicate has overtaken cannot follow; asynchronous
    // ones find their duplicate at work.
    const bool is_confused =
        scenario.is_duplicated && (scenario.workload.is_async || scenario.max_restarts == 0);
    EXPECT_TRUE(killed > scenario.max_restarts || is_confused) << result.err;
    EXPECT_EQ(status, "exit status 4") << result.err;
    EXPECT_THAT(result.err, ContainsRegex("lambdaml: worker [0-3] of [2-4] "));
  }

  void PrintInjected(uint64_t runs) const {
    fmt::print(
        "{} runs, {} faults: {} kills, {} pauses, {} duplicates, {} delays, {} requests cut or "
        "damaged; {} runs with late answers; {} runs ended with an error\n",
        runs, injected_.sum(), injected_.kills, injected_.pauses, injected_.duplicates,
        injected_.delays, injected_.requests, injected_.late_runs, injected_.errors);
  }

 private:
  std::vector<std::unique_ptr<DisturbedChannel>> channels_;
  std::vector<std::pair<std::string, std::string>> worker_environment_;
  std::map<std::string, std::string> models_;
  Injected injected_;
};

TEST_F(FaultInjectionTest, EveryRunEndsWithTheModelOrTheRightError) {
  const bool is_long = std::getenv("LAMBDAML_TEST_ALL") != nullptr;
  const uint64_t seed = NumberFrom("LAMBDAML_FAULT_SEED", 2);
  const uint64_t first = NumberFrom("LAMBDAML_FAULT_FIRST", 0);
  const uint64_t runs = NumberFrom("LAMBDAML_FAULT_RUNS", is_long ? 100 : 8);
  fmt::print("LAMBDAML_FAULT_SEED={}\n", seed);
  Variants variants;
  for (uint64_t i = first; i < first + runs; ++i) {
    base::Random random(base::MixSeed(seed, i));
    const Scenario scenario = Draw(i, random);
    const std::string name = fmt::format("LAMBDAML_FAULT_SEED={} LAMBDAML_FAULT_FIRST={}: {}", seed,
                                         i, scenario.Describe());
    const base::TimePoint start = base::SystemClock().Now();
    variants.Try(name, [&] { RunOne(scenario, random); });
    fmt::print("{:.1f} s {}\n", base::Seconds(base::SystemClock().Now() - start), name);
    std::fflush(stdout);
  }
  PrintInjected(runs);
}

}  // namespace
}  // namespace lambdaml::test

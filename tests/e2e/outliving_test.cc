// Jobs that outlive their functions, over every channel: through at least five generations with the
// model of the run in one, byte for byte. LAMBDAML_TEST_ALL: every workload over every channel, cut
// by a time-out of a few seconds (LAMBDAML_TEST_CHANNEL: over that one); otherwise a part of them,
// cut after so many epochs, which depends on no machine's speed.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/json.h"

#include "e2e/disturbed_channels.h"
#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using ::testing::IsEmpty;

constexpr int64_t kGenerationsMin = 5;
constexpr int64_t kEpochsMax = 1'000'000;
constexpr base::Duration kLongest = std::chrono::minutes(15);

struct Workload {
  std::string name;
  Arguments arguments;
  std::string epochs_option = "--n_epochs";
  bool is_network = false;  // whose rounds may be longer than a time-out of seconds

  // The algorithm, by which rounds take longer or shorter.
  std::string kind() const { return name.substr(name.rfind(' ') + 1); }
};

Workload Linear(const std::string& model, const std::string& optim) {
  return {model + " " + optim,
          {"--data", "data", "--workers", "3", "--model", model, "--optim", optim, "--tolerance",
           "1e-30", "--batch_size", "8"},
          optim == "admm" ? "--n_admm_epochs" : "--n_epochs"};
}

Workload Kmeans() {
  return {"kmeans",
          {"--data", "data", "--workers", "3", "--model", "kmeans", "--n_clusters", "4",
           "--batch_size", "16"}};
}

Workload Network(const std::string& model) {
  return {model,
          {"--data", "images.bin", "--workers", "2", "--model", model, "--batch_size", "2"},
          "--n_epochs",
          true};
}

std::vector<Workload> AllWorkloads() {
  std::vector<Workload> all;
  for (const std::string model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
    for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
      all.push_back(Linear(model, optim));
    }
  }
  all.push_back(Kmeans());
  all.push_back(Network("mobilenet"));
  all.push_back(Network("resnet18"));
  return all;
}

class OutlivingTest : public Workbench {
 protected:
  static void SetUpTestSuite() { DisturbedChannel::StartServers(); }

  OutlivingTest() : channels_(DisturbedChannel::All(Path("channel"))) {
    Write("data", SeparableSample({.rows = 101, .density = 0.6}));
    Succeed({"data", "generate", "cifar10", "--rows", "4", "--output", "images.bin"});
    for (const auto& [name, value] : DisturbedChannel::Environment()) {
      SetEnvironment(name, value);
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }

  static Arguments JobOf(const Workload& workload, int64_t epochs) {
    return Join({"train"}, workload.arguments,
                Arguments{workload.epochs_option, std::to_string(epochs)});
  }

  // The run's in one generation, over a folder.
  const std::string& ModelOf(const Arguments& job) {
    std::string& model = models_[fmt::format("{}", fmt::join(job, " "))];
    if (model.empty()) {
      ExpectSuccess(Join(job, Arguments{"--output", "whole"}));
      model = Read("whole");
    }
    return model;
  }

  void ExpectSuccess(const Arguments& arguments) {
    const ProgramResult result = Start(arguments)->Wait(kLongest);
    ASSERT_EQ(result.status.ToString(), "exit status 0") << result.err;
    ExpectNothingLeft();
  }

  // Runs it as `manner` says, checks the model, and returns how many generations it took.
  int64_t Outlive(const Workload& workload, DisturbedChannel& channel, int64_t epochs,
                  const Arguments& manner) {
    const Arguments job = JobOf(workload, epochs);
    const DisturbedChannel::Place place = channel.Open(Requests::kUndisturbed, 0);
    ExpectSuccess(
        Join(job, manner, Arguments{"--channel", place.url, "--output", "parts", "--log", "log"}));
    EXPECT_EQ(Read("parts"), ModelOf(job));
    EXPECT_FALSE(Exists("parts.checkpoint"));
    EXPECT_THAT(channel.Left(place), IsEmpty());
    const base::Json summary = Log("log").back();
    // On a machine that is busy with other things a function may be late, and is started again.
    const bool is_timed = manner.front() == "--timeout";
    EXPECT_TRUE(is_timed || summary.At("restarts").AsInteger() == 0);
    return summary.At("generations").AsInteger();
  }

  // As many epochs as it takes: how many fit a time-out is the machine's and the channel's matter.
  // Alike workloads begin with what the last one has taken.
  int64_t OutliveByTheClock(const Workload& workload, DisturbedChannel& channel,
                            const std::string& timeout_s) {
    int64_t& epochs = epochs_[channel.name() + workload.kind()];
    if (epochs == 0) epochs = channel.is_slow() ? 60 : 500;
    while (true) {
      const int64_t generations = Outlive(workload, channel, epochs, {"--timeout", timeout_s});
      const bool is_enough = generations >= kGenerationsMin || epochs > kEpochsMax;
      epochs = epochs * (kGenerationsMin + 2) / generations;
      if (is_enough) return generations;
    }
  }

  std::vector<std::unique_ptr<DisturbedChannel>> channels_;
  std::map<std::string, std::string> models_;
  std::map<std::string, int64_t> epochs_;
};

// All ways of training the channel at hand, and cut by the clock, if there is time for that.
TEST_F(OutlivingTest, EveryChannelTakesJobsThroughFiveGenerations) {
  const bool is_long = std::getenv("LAMBDAML_TEST_ALL") != nullptr;
  const std::vector<Workload> few = {Linear("lr", "admm"), Linear("sparse_svm", "grad_avg"),
                                     Kmeans()};
  Variants variants;
  const char* const only = std::getenv("LAMBDAML_TEST_CHANNEL");
  for (const auto& channel : channels_) {
    if (only != nullptr && channel->name() != only) continue;
    int64_t generations_sum = 0;
    for (const Workload& workload : is_long ? AllWorkloads() : few) {
      const std::string name = fmt::format("{} over {}", workload.name, channel->name());
      const base::TimePoint start = base::SystemClock().Now();
      int64_t generations = 0;
      variants.Try(name, [&] {
        generations = is_long && !workload.is_network
                          ? OutliveByTheClock(workload, *channel, "2")
                          : Outlive(workload, *channel, kGenerationsMin, {"--run_epochs", "1"});
        EXPECT_GE(generations, kGenerationsMin);
      });
      generations_sum += generations;
      fmt::print("{:.1f} s {}: {} generations\n", base::Seconds(base::SystemClock().Now() - start),
                 name, generations);
      std::fflush(stdout);
    }
    fmt::print("{}: {} generations in all\n", channel->name(), generations_sum);
  }
}

}  // namespace
}  // namespace lambdaml::test

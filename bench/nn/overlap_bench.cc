// How much of a gradient's exchange is hidden behind the computation of the step.
//
//   overlap_bench [mobilenet|resnet18|resnet50]…        default: mobilenet and resnet50
//
// Two workers of one thread each, in this process, pattern reduce_scatter, in float32 and float16.
// Three kinds of steps: computation alone (forward, backward, update), the exchange alone (all
// gradients are there), and both as training does them. What is hidden of the exchange:
//
//   (computation + exchange - both) / min(computation, exchange)
//
// 100 %: the shorter of the two costs nothing. Printed beside it: the share of the exchange itself.
//
// Channels: files in memory, where the exchange is copying, checksums and sums, by the processors
// that compute; and a modelled service at the end of a link of 75 MB/s each way and 2 ms a request
// (what a function on Lambda has), which a worker waits for without computing.
// Verified: after a step with both, the ranks hold the same gradient.
#include <algorithm>
#include <array>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"
#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/nn/momentum_sgd.h"
#include "lambdaml/nn/network.h"
#include "lambdaml/store/file_store.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/cnn_trainer.h"
#include "lambdaml/train/gradient_exchange.h"

namespace lambdaml {
namespace {

constexpr int kWorkers = 2;
constexpr int kSteps = 5;  // of each kind; the fastest counts
constexpr double kLinkBytesPerSecond = 75e6;
constexpr base::Duration kLinkLatency = std::chrono::milliseconds(2);

// A service at the end of a link.
class LinkedStore final : public store::Store {
 public:
  explicit LinkedStore(std::shared_ptr<store::MemoryContents> contents)
      : inner_(std::move(contents)) {}

  const store::Capabilities& capabilities() const override { return inner_.capabilities(); }
  const std::string& url() const override { return inner_.url(); }
  store::Counters counters() const override { return inner_.counters(); }
  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override {
    return Received(inner_.Get(key, deadline));
  }
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override {
    Travel(value.size());
    inner_.Put(key, value, deadline);
  }
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override {
    Travel(value.size());
    return inner_.PutIfAbsent(key, value, deadline);
  }
  std::optional<store::VersionedValue> GetVersioned(const std::string& key,
                                                    const base::Deadline& deadline) override {
    return inner_.GetVersioned(key, deadline);
  }
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override {
    return inner_.CompareAndSwap(key, version, value, deadline);
  }
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override {
    inner_.Delete(keys, deadline);
  }
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override {
    return inner_.List(prefix, deadline);
  }
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override {
    return Received(inner_.Wait(key, deadline));
  }

 private:
  static void Travel(size_t size_bytes) {
    base::SystemClock().SleepFor(
        kLinkLatency + base::FromSeconds(static_cast<double>(size_bytes) / kLinkBytesPerSecond));
  }
  static std::optional<base::Blob> Received(std::optional<base::Blob> value) {
    if (value) Travel(value->size());
    return value;
  }

  store::MemoryStore inner_;
};

enum class Kind { kComputation, kExchange, kBoth };

class Worker {
 public:
  Worker(nn::Architecture architecture, int64_t rows, std::unique_ptr<store::Store> store, int rank,
         wire::Precision precision)
      : store_(std::move(store)),
        communicator_(
            comm::MakeCommunicator(comm::Pattern::kReduceScatter, *store_,
                                   {.job = "bench", .rank = rank, .worker_count = kWorkers})),
        network_({.architecture = architecture, .batch_size_max = rows, .thread_count = 1}),
        velocity_(network_.parameters().size()),
        exchange_(*communicator_,
                  train::BucketBegins(network_.layout(), train::kBucketBytesMin / sizeof(float)),
                  precision) {
    network_.Initialise(1);
    base::Random random(static_cast<uint64_t>(rank));
    for (int64_t i = 0; i < rows * nn::kImageValues; ++i) {
      images_.push_back(static_cast<float>(random.Normal()));
    }
    for (int64_t r = 0; r < rows; ++r) labels_.push_back(static_cast<int32_t>(random.Below(10)));
  }

  void Step(Kind kind) {
    if (kind != Kind::kComputation) exchange_.Begin(network_.gradients(), 0.5F, {});
    if (kind == Kind::kExchange) exchange_.OnReady(0);
    if (kind != Kind::kExchange) {
      network_.Backpropagate(images_, labels_, [&](size_t offset) {
        if (kind == Kind::kBoth) exchange_.OnReady(offset);
      });
    }
    if (kind != Kind::kComputation) exchange_.Finish();
    if (kind == Kind::kExchange) return;
    const nn::MomentumSgd sgd = {.learning_rate = 1e-3F, .momentum = 0.9F, .weight_decay = 5e-4F};
    sgd.Apply(network_.gradients(), velocity_, network_.parameters());
  }

  std::span<const float> gradient() { return network_.gradients(); }

 private:
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<comm::Communicator> communicator_;
  nn::Network network_;
  std::vector<float> velocity_;
  std::vector<float> images_;
  std::vector<int32_t> labels_;
  train::GradientExchange exchange_;
};

// Of each kind the seconds of the fastest step, from when both workers begin it to when both have
// ended it. The kinds take turns, so that all see the same machine; ends with kBoth.
using Seconds = std::array<double, 3>;

Seconds FastestSteps(std::vector<std::unique_ptr<Worker>>& workers) {
  std::barrier barrier(kWorkers);
  Seconds fastest_s = {1e9, 1e9, 1e9};
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kWorkers; ++rank) {
    threads.emplace_back([&, rank] {
      for (int step = 0; step < kSteps; ++step) {
        for (const Kind kind : {Kind::kComputation, Kind::kExchange, Kind::kBoth}) {
          barrier.arrive_and_wait();
          const base::TimePoint start = base::SystemClock().Now();
          workers[static_cast<size_t>(rank)]->Step(kind);
          barrier.arrive_and_wait();
          if (rank != 0) continue;
          double& fastest = fastest_s[static_cast<size_t>(kind)];
          fastest = std::min(fastest, base::Seconds(base::SystemClock().Now() - start));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return fastest_s;
}

void Bench(nn::Architecture architecture, bool is_linked, wire::Precision precision) {
  const int64_t rows = architecture == nn::Architecture::kMobileNet ? 64 : 32;
  const base::TemporaryDirectory folder("/dev/shm", "overlap_bench-");
  const auto contents = std::make_shared<store::MemoryContents>();
  std::vector<std::unique_ptr<Worker>> workers;
  for (int rank = 0; rank < kWorkers; ++rank) {
    std::unique_ptr<store::Store> store;
    if (is_linked) {
      store = std::make_unique<LinkedStore>(contents);
    } else {
      store = std::make_unique<store::FileStore>(folder.path());
    }
    workers.push_back(
        std::make_unique<Worker>(architecture, rows, std::move(store), rank, precision));
  }
  const auto [computation_s, exchange_s, both_s] = FastestSteps(workers);
  if (!std::ranges::equal(workers[0]->gradient(), workers[1]->gradient())) {
    fmt::print(stderr, "overlap_bench: wrong result: the ranks' gradients differ\n");
    std::exit(1);
  }
  const double hidden_s =
      std::clamp(computation_s + exchange_s - both_s, 0.0, std::min(computation_s, exchange_s));
  const bool is_half = precision == wire::Precision::kFloat16;
  const auto bytes = workers[0]->gradient().size() * (is_half ? 2 : 4);
  fmt::print(
      "{:<10} {:>5} {:<9} {:<8} {:>6.1f} {:>11.0f} {:>9.0f} {:>7.0f} {:>8.0f} % {:>9.0f} %\n",
      nn::ArchitectureName(architecture), rows, is_linked ? "75 MB/s" : "/dev/shm",
      is_half ? "float16" : "float32", 1e-6 * static_cast<double>(bytes), 1e3 * computation_s,
      1e3 * exchange_s, 1e3 * both_s, 100 * hidden_s / std::min(computation_s, exchange_s),
      100 * hidden_s / exchange_s);
  std::fflush(stdout);
}

int Run(int argc, char** argv) {
  std::vector<nn::Architecture> architectures;
  for (int i = 1; i < argc; ++i) {
    for (const auto architecture :
         {nn::Architecture::kMobileNet, nn::Architecture::kResNet18, nn::Architecture::kResNet50}) {
      if (nn::ArchitectureName(architecture) == argv[i]) architectures.push_back(architecture);
    }
  }
  if (architectures.empty()) {
    architectures = {nn::Architecture::kMobileNet, nn::Architecture::kResNet50};
  }
  fmt::print("a step of {} workers, ms, the fastest of {}\n", kWorkers, kSteps);
  fmt::print("{:<10} {:>5} {:<9} {:<8} {:>6} {:>11} {:>9} {:>7} {:>10} {:>11}\n", "network",
             "batch", "channel", "", "MB", "computation", "exchange", "both", "hidden",
             "of exchange");
  for (const nn::Architecture architecture : architectures) {
    for (const bool is_linked : {false, true}) {
      for (const auto precision : {wire::Precision::kFloat32, wire::Precision::kFloat16}) {
        Bench(architecture, is_linked, precision);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace lambdaml

int main(int argc, char** argv) {
  try {
    return lambdaml::Run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "overlap_bench: {}\n", error.what());
    return 1;
  }
}

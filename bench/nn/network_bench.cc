// Training steps (forward, backward, update) against PyTorch, and against the machine.
//
//   network_bench [BATCH_SIZE [THREADS…]]      default: 64, 1 and 2 threads
//
// For each network and thread count, in turns in the same run: one step here, one step in PyTorch
// (python3-torch, a child process) with the same weights and images and as many threads. Printed:
// the fastest steps, their ratio, and the share of the float32 peak: the arithmetic of the
// convolutions' definition over the time, against a large matrix product of oneDNN in the same run.
// Winograd's algorithm needs fewer operations than the definition, so the share may pass what
// direct kernels can reach.
//
// And peak memory per batch size: what MemoryBytes plans, and what a fresh process that makes one
// step has resident at most.
// Verified first: the loss of the first step is PyTorch's to 1e-4.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <omp.h>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <dnnl.hpp>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"
#include "lambdaml/base/units.h"
#include "lambdaml/nn/blueprint.h"
#include "lambdaml/nn/momentum_sgd.h"
#include "lambdaml/nn/network.h"

namespace lambdaml {
namespace {

constexpr int kRepetitions = 8;
constexpr nn::Architecture kAll[] = {nn::Architecture::kMobileNet, nn::Architecture::kResNet18,
                                     nn::Architecture::kResNet50};

double SecondsOf(const std::function<void()>& work) {
  const base::TimePoint start = base::SystemClock().Now();
  work();
  return base::Seconds(base::SystemClock().Now() - start);
}

// The fastest of some steps: what others do on the machine only makes steps slower.
class Fastest {
 public:
  void Add(double seconds) { least_s_ = std::min(least_s_, seconds); }
  double ms() const { return 1e3 * least_s_; }

 private:
  double least_s_ = 1e9;
};

struct Batch {
  std::vector<float> images;
  std::vector<int32_t> labels;
};

Batch MakeBatch(int64_t rows) {
  base::Random random(1);
  Batch batch;
  for (int64_t i = 0; i < rows * nn::kImageValues; ++i) {
    batch.images.push_back(static_cast<float>(random.Normal()));
  }
  for (int64_t r = 0; r < rows; ++r) batch.labels.push_back(static_cast<int32_t>(random.Below(10)));
  return batch;
}

// A network that makes steps.
class Trainer {
 public:
  Trainer(nn::Architecture architecture, const Batch& batch, int thread_count)
      : batch_(batch),
        network_({.architecture = architecture,
                  .batch_size_max = static_cast<int64_t>(batch.labels.size()),
                  .thread_count = thread_count}),
        sgd_{.learning_rate = 0.001F,
             .momentum = 0.9F,
             .weight_decay = 5e-4F,
             .thread_count = thread_count},
        velocity_(network_.parameters().size()) {
    network_.Initialise(1);
  }

  std::span<const float> parameters() { return network_.parameters(); }

  double Step() {
    const nn::BatchStats stats = network_.Backpropagate(batch_.images, batch_.labels);
    sgd_.Apply(network_.gradients(), velocity_, network_.parameters());
    return stats.loss_sum / static_cast<double>(stats.rows);
  }

 private:
  const Batch& batch_;
  nn::Network network_;
  nn::MomentumSgd sgd_;
  std::vector<float> velocity_;
};

template <typename Number>
void WriteRaw(const std::string& path, std::span<const Number> values) {
  base::WriteFileAtomic(path, std::as_bytes(values));
}

// The same steps in PyTorch.
class Peer {
 public:
  Peer(nn::Architecture architecture, std::span<const float> parameters, const Batch& batch,
       int thread_count)
      : folder_("/tmp", "network_bench-") {
    const std::string turn = folder_.path() + "/turn";
    WriteRaw<float>(folder_.path() + "/parameters.f32", parameters);
    WriteRaw<float>(folder_.path() + "/images.f32", batch.images);
    WriteRaw<int32_t>(folder_.path() + "/labels.i32", batch.labels);
    if (::mkfifo(turn.c_str(), 0600) != 0) return;
    answers_ = ::popen(
        fmt::format("/usr/bin/python3 {} {} {} {} {} {} 2>/dev/null", LAMBDAML_BENCH_TORCH_SCRIPT,
                    LAMBDAML_BENCH_TORCH_NETWORKS, folder_.path(),
                    nn::ArchitectureName(architecture), batch.labels.size(), thread_count)
            .c_str(),
        "r");
    is_there_ = answers_ != nullptr && std::fscanf(answers_, "%lf %lf", &loss_, &import_s_) == 2;
    if (is_there_) turns_.open(turn);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    turns_.close();
    if (answers_ != nullptr) ::pclose(answers_);
  }

  bool is_there() const { return is_there_; }
  double loss() const { return loss_; }
  double import_s() const { return import_s_; }

  double StepSeconds() {
    turns_ << '.' << std::flush;
    double seconds = 0;
    if (std::fscanf(answers_, "%lf", &seconds) != 1) {
      fmt::print(stderr, "network_bench: PyTorch ended\n");
      std::exit(1);
    }
    return seconds;
  }

 private:
  base::TemporaryDirectory folder_;
  FILE* answers_ = nullptr;
  std::ofstream turns_;
  bool is_there_ = false;
  double loss_ = 0;
  double import_s_ = 0;
};

// Floating-point operations of a step by definition: every multiplication and addition of the
// convolutions, forward, by their inputs and by their weights.
double StepFlops(nn::Architecture architecture, int64_t rows) {
  const nn::Blueprint blueprint = nn::MakeBlueprint(architecture, 10);
  double flops = 0;
  for (const nn::LayerSpec& layer : blueprint.layers) {
    if (layer.kind != nn::LayerSpec::Kind::kConvolution) continue;
    const nn::ValueShape& in = blueprint.values[static_cast<size_t>(layer.input)];
    const nn::ValueShape& out = blueprint.values[static_cast<size_t>(layer.output)];
    const int64_t products = out.size() * in.channels / layer.groups * layer.kernel * layer.kernel;
    flops += (layer.input == 0 ? 2.0 : 3.0) * 2.0 * static_cast<double>(rows * products);
  }
  return flops;
}

// Operations per second of a 2048 x 2048 x 2048 product, the best of some.
double PeakFlops(int thread_count) {
  constexpr dnnl_dim_t kSide = 2048;
  omp_set_num_threads(thread_count);
  const std::vector<float> a(kSide * kSide, 0.5F);
  std::vector<float> c(kSide * kSide);
  double best_s = 1e9;
  for (int i = 0; i < 20; ++i) {
    best_s = std::min(best_s, SecondsOf([&] {
                        dnnl_sgemm('N', 'N', kSide, kSide, kSide, 1, a.data(), kSide, a.data(),
                                   kSide, 0, c.data(), kSide);
                      }));
  }
  return 2.0 * kSide * kSide * kSide / best_s;
}

// Returns the seconds that PyTorch's import took; 0: PyTorch is not there.
double BenchSteps(nn::Architecture architecture, const Batch& batch, int thread_count,
                  double peak) {
  Trainer trainer(architecture, batch, thread_count);
  Peer peer(architecture, trainer.parameters(), batch, thread_count);
  double loss = 0;
  const double first_s = SecondsOf([&] { loss = trainer.Step(); });
  if (peer.is_there() && std::abs(loss - peer.loss()) > 1e-4) {
    fmt::print(stderr, "network_bench: wrong result: loss {}, PyTorch's {}\n", loss, peer.loss());
    std::exit(1);
  }
  Fastest ours;
  Fastest theirs;
  for (int i = 0; i < kRepetitions; ++i) {
    ours.Add(SecondsOf([&] { trainer.Step(); }));
    if (peer.is_there()) theirs.Add(peer.StepSeconds());
  }
  const double flops =
      StepFlops(architecture, static_cast<int64_t>(batch.labels.size())) / (1e-3 * ours.ms());
  fmt::print("{:<10} {:>7} {:>9.1f} {:>9.1f}", nn::ArchitectureName(architecture), thread_count,
             1e3 * first_s, ours.ms());
  if (peer.is_there()) {
    fmt::print(" {:>9.1f} {:>7.2f}", theirs.ms(), theirs.ms() / ours.ms());
  } else {
    fmt::print(" {:>9} {:>7}", "-", "-");
  }
  fmt::print(" {:>9.0f} {:>7.0f} {:>6.0f} %\n", 1e-9 * flops, 1e-9 * peak, 100 * flops / peak);
  std::fflush(stdout);
  return peer.import_s();
}

// The most memory that a fresh process has resident while it makes two steps.
double ResidentBytes(nn::Architecture architecture, int64_t rows) {
  const pid_t child = ::fork();
  if (child == 0) {
    const Batch batch = MakeBatch(rows);
    Trainer trainer(architecture, batch, 1);
    trainer.Step();
    trainer.Step();
    ::_exit(0);
  }
  int status = 0;
  rusage usage = {};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child || status != 0) {
    fmt::print(stderr, "network_bench: a child process failed\n");
    std::exit(1);
  }
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

void BenchMemory() {
  fmt::print("peak memory per batch size, MB: planned, and resident in a process that trains\n");
  fmt::print("{:<10}", "");
  constexpr int64_t kBatchSizes[] = {1, 8, 16, 32, 64, 128};
  for (const int64_t rows : kBatchSizes) fmt::print(" {:>14}", rows);
  fmt::print("\n");
  for (const nn::Architecture architecture : kAll) {
    fmt::print("{:<10}", nn::ArchitectureName(architecture));
    for (const int64_t rows : kBatchSizes) {
      const double planned = static_cast<double>(
          nn::MemoryBytes({.architecture = architecture, .batch_size_max = rows}));
      fmt::print(" {:>6.0f} {:>7.0f}", 1e-6 * planned, 1e-6 * ResidentBytes(architecture, rows));
      std::fflush(stdout);
    }
    fmt::print("\n");
  }
}

int Run(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atoi(argv[1]) : 64;
  std::vector<int> thread_counts;
  for (int i = 2; i < argc; ++i) thread_counts.push_back(std::atoi(argv[i]));
  if (thread_counts.empty()) thread_counts = {1, 2};
  BenchMemory();  // before this process has threads: it forks
  const Batch batch = MakeBatch(rows);
  fmt::print("\ntraining step, batch {}, the fastest of {}\n", rows, kRepetitions);
  fmt::print("{:<10} {:>7} {:>9} {:>9} {:>9} {:>7} {:>9} {:>7} {:>8}\n", "network", "threads",
             "first ms", "ms", "torch ms", "ratio", "GFLOP/s", "peak", "share");
  Fastest import;
  std::vector<double> peaks;
  for (const int threads : thread_counts) peaks.push_back(PeakFlops(threads));
  for (const nn::Architecture architecture : kAll) {
    for (size_t i = 0; i < peaks.size(); ++i) {
      import.Add(BenchSteps(architecture, batch, thread_counts[i], peaks[i]));
    }
  }
  if (import.ms() > 0) {
    fmt::print(
        "first ms: plan, generated code, memory touched, one step. PyTorch's import: {:.0f} "
        "ms\n",
        import.ms());
  } else {
    fmt::print("PyTorch is not installed (Debian: python3-torch): no comparison\n");
  }
  return 0;
}

}  // namespace
}  // namespace lambdaml

int main(int argc, char** argv) {
  try {
    return lambdaml::Run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "network_bench: {}\n", error.what());
    return 1;
  }
}

// K-means against scikit-learn.
//
//   kmeans_bench [NAME...]   for each case (default: all): seconds of an epoch of Lloyd's
//   iterations
//                            from the same rows, on one core, as a multiple of those of KMeans
//                            (python3-sklearn with OpenBLAS), a child process in the same run; the
//                            first epoch, in which nothing can be pruned, also by itself; and the
//                            gain from a second thread, beside that of two such runs at the same
//                            time, which share nothing but the machine.
//
// Rows are drawn from a mixture of overlapping clusters that lie in few dimensions with noise in
// all of them, as images do. Assignments are verified in float64 before anything is timed, and the
// inertia reached must be the peer's.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/random.h"
#include "lambdaml/model/kmeans_shard.h"

namespace lambdaml {
namespace {

using model::Centroids;
using model::KMeansShard;

struct Case {
  std::string name;
  bool dense;
  int64_t rows;
  int64_t n_features;
  int64_t k;
  int epochs;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"dense-28-10", true, 500'000, 28, 10, 10},
      {"dense-28-1000", true, 100'000, 28, 1000, 10},
      {"dense-784-10", true, 60'000, 784, 10, 10},
      {"dense-784-1000", true, 20'000, 784, 1000, 10},
      {"sparse-47236-10", false, 100'000, 47'236, 10, 10},
      {"sparse-47236-1000", false, 20'000, 47'236, 1000, 5},
  };
  return cases;
}

struct Set {
  std::vector<float> table;
  std::vector<int64_t> row_offsets;
  std::vector<int32_t> columns;
  std::vector<float> values;
  data::Dataset dataset;
};

std::unique_ptr<Set> MakeDense(const Case& c) {
  constexpr int64_t kLatent = 16;
  constexpr int64_t kComponents = 100;
  constexpr double kNoise = 0.5;
  auto set = std::make_unique<Set>();
  base::Random random(1);
  std::vector<float> map(static_cast<size_t>(kLatent * c.n_features));
  for (float& value : map) value = static_cast<float>(random.Normal() / 4);
  std::vector<double> centres(static_cast<size_t>(kComponents * kLatent));
  for (double& value : centres) value = 1.5 * random.Normal();
  set->table.resize(static_cast<size_t>(c.rows * c.n_features));
  // Noise from a table of random numbers: 47 million normal ones would take longer than the bench.
  std::vector<float> noise(1 << 20);
  for (float& value : noise) value = static_cast<float>(kNoise * random.Normal());
  for (int64_t r = 0; r < c.rows; ++r) {
    float* const x = set->table.data() + r * c.n_features;
    const auto component = static_cast<int64_t>(random.Below(kComponents));
    const size_t from = random.Below(noise.size() - static_cast<size_t>(c.n_features));
    std::copy_n(noise.data() + from, c.n_features, x);
    for (int64_t l = 0; l < kLatent; ++l) {
      const auto z = static_cast<float>(centres[static_cast<size_t>(component * kLatent + l)] +
                                        random.Normal());
      const float* const direction = map.data() + l * c.n_features;
      for (int64_t j = 0; j < c.n_features; ++j) x[j] += z * direction[j];
    }
  }
  set->dataset.features = data::DenseRows{c.rows, c.n_features, set->table};
  return set;
}

// Rows like RCV1's: cosine-normalised, about 75 non-zeros, columns of very unequal frequency, half
// of them from the vocabulary of the row's topic.
std::unique_ptr<Set> MakeSparse(const Case& c) {
  constexpr uint64_t kTopics = 100;
  auto set = std::make_unique<Set>();
  base::Random random(2);
  set->row_offsets.push_back(0);
  std::vector<int32_t> columns;
  const std::vector<int64_t> column_of_rank = base::Permutation(c.n_features, 7);
  const auto n_features = static_cast<size_t>(c.n_features);
  for (int64_t r = 0; r < c.rows; ++r) {
    columns.clear();
    const uint64_t topic = random.Below(kTopics);
    const uint64_t tries = 40 + random.Below(100);
    for (uint64_t i = 0; i < tries; ++i) {
      // Rank with density 1/rank: log-uniform.
      const double rank = std::pow(static_cast<double>(c.n_features), random.Uniform());
      const size_t shift = i % 2 == 0 ? 0 : topic * 461;
      columns.push_back(
          static_cast<int32_t>(column_of_rank[(static_cast<size_t>(rank) + shift) % n_features]));
    }
    std::ranges::sort(columns);
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    double square = 0;
    std::vector<double> weights;
    for (size_t i = 0; i < columns.size(); ++i) {
      weights.push_back(0.5 + random.Uniform());
      square += weights.back() * weights.back();
    }
    for (size_t i = 0; i < columns.size(); ++i) {
      set->columns.push_back(columns[i]);
      set->values.push_back(static_cast<float>(weights[i] / std::sqrt(square)));
    }
    set->row_offsets.push_back(static_cast<int64_t>(set->columns.size()));
  }
  set->dataset.features =
      data::SparseRows{c.rows, c.n_features, set->row_offsets, set->columns, set->values};
  return set;
}

void Require(bool condition, const std::string& what) {
  if (condition) return;
  fmt::print(stderr, "kmeans_bench: wrong result: {}\n", what);
  std::exit(1);
}

void Verify(const Set& set, const KMeansShard& shard, const Centroids& centroids) {
  constexpr int64_t kRowsChecked = 50;
  const int64_t stride = std::max<int64_t>(1, set.dataset.rows() / kRowsChecked);
  for (int64_t r = 0; r < set.dataset.rows(); r += stride) {
    int64_t nearest = 0;
    double best = model::SquaredDistance(set.dataset, r, centroids.row(0));
    for (int64_t c = 1; c < centroids.k; ++c) {
      const double distance = model::SquaredDistance(set.dataset, r, centroids.row(c));
      if (distance < best) {
        best = distance;
        nearest = c;
      }
    }
    Require(shard.assignments()[static_cast<size_t>(r)] == nearest, fmt::format("row {}", r));
  }
}

// Processor time, which other work on the machine disturbs less than elapsed time.
double ProcessorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Of one epoch, seconds.
struct Times {
  double processor = 0;
  double elapsed = 0;
};

class Stopwatch {
 public:
  Times Read() const {
    return {ProcessorSeconds() - processor_, base::Seconds(base::SystemClock().Now() - start_)};
  }

 private:
  double processor_ = ProcessorSeconds();
  base::TimePoint start_ = base::SystemClock().Now();
};

struct Run {
  std::vector<Times> epochs;
  double scored_share = 0;   // by the last
  double inertia = 0;        // after all
  int64_t changed_rows = 0;  // by the last
};

Run RunEpochs(const Case& c, const Set& set, int threads, bool verify) {
  base::ThreadPool pool(threads);
  KMeansShard shard(set.dataset, pool);
  const auto d = static_cast<size_t>(c.n_features);
  Centroids centroids{c.k, c.n_features, std::vector<float>(static_cast<size_t>(c.k) * d)};
  for (int64_t i = 0; i < c.k; ++i) model::CopyRow(set.dataset, i, {centroids.row(i), d});
  std::vector<double> sums(centroids.values.size());
  std::vector<int64_t> counts(static_cast<size_t>(c.k));
  Run run;
  for (int epoch = 0; epoch < c.epochs; ++epoch) {
    if (verify && epoch + 1 == c.epochs) {
      KMeansShard unpruned(set.dataset, pool, {.prune = false});
      unpruned.Assign(centroids, {}, {});
      Verify(set, unpruned, centroids);
      shard.Assign(centroids, sums, counts);
      Require(std::ranges::equal(shard.assignments(), unpruned.assignments()), "pruned rows");
      break;
    }
    const Stopwatch watch;
    run.changed_rows = shard.Assign(centroids, sums, counts).changed_rows;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      const double scale = 1 / static_cast<double>(counts[i]);
      for (size_t j = i * d; j < (i + 1) * d; ++j) {
        centroids.values[j] = static_cast<float>(sums[j] * scale);
      }
    }
    run.epochs.push_back(watch.Read());
    run.scored_share = shard.scored_share();
    if (std::getenv("LAMBDAML_BENCH_EPOCHS") != nullptr) {
      fmt::print("    epoch {}: {:.1f} ms, {} rows changed, {:.1f} % scored\n", epoch,
                 1e3 * run.epochs.back().processor, run.changed_rows, 100 * run.scored_share);
    }
  }
  run.inertia = shard.Assign(centroids, {}, {}).inertia;
  return run;
}

double ElapsedOf(const Run& run) {
  double elapsed = 0;
  for (const Times& times : run.epochs) elapsed += times.elapsed;
  return elapsed;
}

// Seconds that two runs on one thread each take, begun at the same time.
double SideBySide(const Case& c, const Set& set) {
  double first = 0;
  std::thread other([&] { first = ElapsedOf(RunEpochs(c, set, 1, false)); });
  const double second = ElapsedOf(RunEpochs(c, set, 1, false));
  other.join();
  return std::max(first, second);
}

struct Peer {
  double epoch_s = 0;
  int epochs = 0;
  double inertia = 0;
};

template <typename Number>
void WriteRaw(const std::string& path, const std::vector<Number>& values) {
  base::WriteFileAtomic(path, std::as_bytes(std::span(values)));
}

Peer RunPeer(const Case& c, const Set& set) {
  const base::TemporaryDirectory folder("/tmp", "kmeans_bench-");
  if (c.dense) {
    WriteRaw(folder.path() + "/table", set.table);
  } else {
    WriteRaw(folder.path() + "/row_offsets", set.row_offsets);
    WriteRaw(folder.path() + "/columns", set.columns);
    WriteRaw(folder.path() + "/values", set.values);
  }
  const std::string command =
      fmt::format("OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 /usr/bin/python3 {} {} {} {} {} {}",
                  LAMBDAML_BENCH_KMEANS_SCRIPT, folder.path(), c.rows, c.n_features, c.k, c.epochs);
  Peer peer;
  FILE* pipe = popen(command.c_str(), "r");
  const bool ok = pipe != nullptr &&
                  std::fscanf(pipe, "%lf %d %lf", &peer.epoch_s, &peer.epochs, &peer.inertia) == 3;
  if (pipe == nullptr || pclose(pipe) != 0 || !ok) return {};
  return peer;
}

void Bench(const Case& c) {
  const std::unique_ptr<Set> set = c.dense ? MakeDense(c) : MakeSparse(c);
  fmt::print("{}: {} x {}, k = {}, {} epochs\n", c.name, c.rows, c.n_features, c.k, c.epochs);
  RunEpochs(c, *set, 1, true);
  const Run run = RunEpochs(c, *set, 1, false);
  const Run again = RunEpochs(c, *set, 1, false);
  double total_s = 0;
  double elapsed_s = 0;
  for (size_t i = 0; i < run.epochs.size(); ++i) {
    total_s += std::min(run.epochs[i].processor, again.epochs[i].processor);
    elapsed_s += std::min(run.epochs[i].elapsed, again.epochs[i].elapsed);
  }
  const double first_s = std::min(run.epochs[0].processor, again.epochs[0].processor);
  const double epoch_s = total_s / c.epochs;
  fmt::print(
      "  first epoch {:.1f} ms, mean {:.1f} ms, last {:.1f} ms ({:.1f} % of the distances "
      "computed, {} rows changed)\n",
      1e3 * first_s, 1e3 * epoch_s, 1e3 * again.epochs.back().processor, 100 * run.scored_share,
      run.changed_rows);
  const Run two = RunEpochs(c, *set, 2, false);
  const double two_s = std::min(ElapsedOf(two), ElapsedOf(RunEpochs(c, *set, 2, false)));
  const double side_by_side_s = std::min(SideBySide(c, *set), SideBySide(c, *set));
  fmt::print("  two threads: {:.2f} x as fast as one; two runs side by side: {:.2f} x\n",
             elapsed_s / two_s, 2 * elapsed_s / side_by_side_s);
  Require(two.inertia == run.inertia, "the inertia of two threads");
  std::fflush(stdout);
  const Peer peer = RunPeer(c, *set);
  if (peer.epoch_s == 0) {
    fmt::print("  scikit-learn is not installed (Debian: python3-sklearn): no comparison\n");
    return;
  }
  fmt::print(
      "  KMeans: {:.1f} ms an epoch, {} epochs; mean {:.2f} x, first epoch {:.2f} x as fast; "
      "inertia {:.9g}, KMeans {:.9g}\n",
      1e3 * peer.epoch_s, peer.epochs, peer.epoch_s / epoch_s, peer.epoch_s / first_s, run.inertia,
      peer.inertia);
  Require(peer.epochs < c.epochs || std::abs(run.inertia / peer.inertia - 1) < 1e-3,
          "the inertia is not KMeans's");
}

}  // namespace
}  // namespace lambdaml

int main(int argc, char** argv) {
  const std::vector<std::string> names(argv + 1, argv + argc);
  for (const std::string& name : names) {
    const bool is_case = std::ranges::any_of(
        lambdaml::Cases(), [&](const lambdaml::Case& c) { return c.name == name; });
    if (!is_case) {
      fmt::print(stderr, "kmeans_bench: no case is called {}\n", name);
      return 2;
    }
  }
  for (const lambdaml::Case& c : lambdaml::Cases()) {
    if (names.empty() || std::ranges::find(names, c.name) != names.end()) lambdaml::Bench(c);
    std::fflush(stdout);
  }
  return 0;
}

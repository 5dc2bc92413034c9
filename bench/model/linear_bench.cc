// Linear models against memory and against scikit-learn.
//
//   linear_bench            prints, per core: the time of one epoch of dense logistic regression
//                           over 1,000,000 x 28 rows in batches of 10,000 as a multiple of the time
//                           to read the matrix once; the same for 784 x 10 classes; and rows per
//                           second of sparse logistic regression on RCV1-like rows as a multiple of
//                           SGDClassifier's (python3-sklearn), a child process in the same run.
//
// Each result is verified before anything is timed. Times are medians over repetitions in which
// both sides take turns.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/random.h"
#include "lambdaml/model/linear_objective.h"
#include "lambdaml/model/simd.h"
#include "lambdaml/optim/local_sgd.h"

namespace lambdaml {
namespace {

using model::LinearLoss;
using model::LinearObjective;
using model::LinearShape;
using model::RowRange;

constexpr int kRepetitions = 11;

double SecondsOf(const std::function<void()>& work) {
  const base::TimePoint start = base::SystemClock().Now();
  work();
  return base::Seconds(base::SystemClock().Now() - start);
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void Require(bool condition, const std::string& what) {
  if (condition) return;
  fmt::print(stderr, "linear_bench: wrong result: {}\n", what);
  std::exit(1);
}

struct Set {
  std::vector<float> table;
  std::vector<int64_t> row_offsets;
  std::vector<int32_t> columns;
  std::vector<float> values;
  std::vector<int32_t> classes;
  data::Dataset dataset;
};

std::unique_ptr<Set> MakeDense(int64_t rows, int64_t n_features, int n_classes) {
  auto set = std::make_unique<Set>();
  base::Random random(1);
  set->table.resize(static_cast<size_t>(rows * n_features));
  for (float& value : set->table) value = static_cast<float>(2 * random.Uniform() - 1);
  for (int64_t r = 0; r < rows; ++r) {
    set->classes.push_back(static_cast<int32_t>(random.Below(static_cast<uint64_t>(n_classes))));
  }
  set->dataset.features = data::DenseRows{rows, n_features, set->table};
  return set;
}

// Rows like RCV1's: cosine-normalised, about 75 non-zeros, columns of very unequal frequency.
std::unique_ptr<Set> MakeSparse(int64_t rows, int64_t n_features) {
  auto set = std::make_unique<Set>();
  base::Random random(2);
  set->row_offsets.push_back(0);
  std::vector<int32_t> columns;
  const std::vector<int64_t> column_of_rank = base::Permutation(n_features, 7);
  for (int64_t r = 0; r < rows; ++r) {
    columns.clear();
    const uint64_t tries = 40 + random.Below(100);
    for (uint64_t i = 0; i < tries; ++i) {
      // Rank with density 1/rank: log-uniform.
      const double rank = std::pow(static_cast<double>(n_features), random.Uniform());
      columns.push_back(static_cast<int32_t>(
          column_of_rank[static_cast<size_t>(rank) % static_cast<size_t>(n_features)]));
    }
    std::ranges::sort(columns);
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    const auto value = 1 / std::sqrt(static_cast<float>(columns.size()));
    double score = 0;
    for (const int32_t j : columns) {
      set->columns.push_back(j);
      set->values.push_back(value);
      score += (j % 3 - 1) * static_cast<double>(value);
    }
    set->row_offsets.push_back(static_cast<int64_t>(set->columns.size()));
    set->classes.push_back(score + 0.5 * random.Normal() > 0 ? 1 : 0);
  }
  set->dataset.features =
      data::SparseRows{rows, n_features, set->row_offsets, set->columns, set->values};
  return set;
}

// Logistic loss and gradient of the first `rows` dense rows in double.
void VerifyDense(const Set& set, LinearObjective& objective, int64_t rows,
                 std::span<const float> w) {
  const data::DenseRows& x = set.dataset.dense();
  const auto n_outputs = static_cast<size_t>(objective.shape().n_outputs());
  const auto n_features = static_cast<size_t>(x.n_features);
  std::vector<double> expected(w.size(), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> scores(n_outputs);
    for (size_t k = 0; k < n_outputs; ++k) {
      scores[k] = static_cast<double>(w[n_features * n_outputs + k]);
      for (size_t j = 0; j < n_features; ++j) {
        scores[k] += static_cast<double>(x.row(r)[j]) * static_cast<double>(w[j * n_outputs + k]);
      }
    }
    double total = n_outputs == 1 ? 1 : 0;
    for (const double s : scores) total += std::exp(s);
    const int32_t y = set.classes[static_cast<size_t>(r)];
    for (size_t k = 0; k < n_outputs; ++k) {
      const bool own = y == (n_outputs == 1 ? 1 : static_cast<int32_t>(k));
      const double residual = std::exp(scores[k]) / total - (own ? 1 : 0);
      for (size_t j = 0; j < n_features; ++j) {
        expected[j * n_outputs + k] += residual * static_cast<double>(x.row(r)[j]);
      }
      expected[n_features * n_outputs + k] += residual;
    }
  }
  std::vector<float> gradient(w.size());
  objective.Gradient({0, rows}, w, gradient);
  for (size_t i = 0; i < w.size(); ++i) {
    Require(
        std::abs(static_cast<double>(gradient[i]) - expected[i]) < 1e-6 * static_cast<double>(rows),
        fmt::format("gradient[{}] = {}, not {}", i, gradient[i], expected[i]));
  }
}

// The sum of all numbers with as many independent chains as the core can run.
float ReadAll(std::span<const float> values) {
  using model::simd::F8;
  constexpr size_t kChains = 8;
  F8 sums[kChains] = {};
  size_t i = 0;
  for (; i + kChains * model::simd::kLanes <= values.size(); i += kChains * model::simd::kLanes) {
#pragma GCC unroll 8
    for (size_t c = 0; c < kChains; ++c) {
      sums[c] += model::simd::Load(values.data() + i + c * model::simd::kLanes);
    }
  }
  float total = 0;
  for (; i < values.size(); ++i) total += values[i];
  for (const F8& sum : sums) {
    for (int lane = 0; lane < model::simd::kLanes; ++lane) total += sum[lane];
  }
  return total;
}

void BenchDense(int64_t rows, int64_t n_features, int n_classes, int64_t batch) {
  const std::unique_ptr<Set> set = MakeDense(rows, n_features, n_classes);
  base::ThreadPool pool(1);
  const LinearShape shape{n_features, n_classes, true};
  LinearObjective objective(set->dataset, set->classes, shape, LinearLoss::kLogistic, pool);
  std::vector<float> w(static_cast<size_t>(shape.parameter_count()), 0.01F);
  VerifyDense(*set, objective, std::min<int64_t>(rows, 3000), w);

  std::vector<double> read_s;
  std::vector<double> epoch_s;
  std::vector<double> evaluate_s;
  float sink = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    read_s.push_back(SecondsOf([&] { sink += ReadAll(set->table); }));
    epoch_s.push_back(SecondsOf([&] {
      for (int64_t begin = 0; begin < rows; begin += batch) {
        objective.Descend({begin, std::min(begin + batch, rows)}, 1e-5F, w);
      }
    }));
    evaluate_s.push_back(SecondsOf([&] { objective.Evaluate({0, rows}, w); }));
  }
  Require(std::isfinite(sink), "the sum of the table");
  const double bytes = 4.0 * static_cast<double>(set->table.size());
  fmt::print(
      "dense {} x {}, {} classes, batch {}: read {:.1f} ms ({:.1f} GB/s), "
      "epoch {:.1f} ms = {:.2f} x read, evaluation {:.2f} x read\n",
      rows, n_features, n_classes, batch, 1e3 * Median(read_s), 1e-9 * bytes / Median(read_s),
      1e3 * Median(epoch_s), Median(epoch_s) / Median(read_s), Median(evaluate_s) / Median(read_s));
}

template <typename Number>
void WriteRaw(const std::string& path, const std::vector<Number>& values) {
  base::WriteFileAtomic(path, std::as_bytes(std::span(values)));
}

struct Peer {
  double epoch_s = 0;
  double loss = 0;
};

Peer RunSgdClassifier(const Set& set, int64_t n_features, int n_epochs, double eta, double alpha) {
  const base::TemporaryDirectory folder("/tmp", "linear_bench-");
  WriteRaw(folder.path() + "/row_offsets", set.row_offsets);
  WriteRaw(folder.path() + "/columns", set.columns);
  WriteRaw(folder.path() + "/values", set.values);
  WriteRaw(folder.path() + "/classes", set.classes);
  const std::string command =
      fmt::format("OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 /usr/bin/python3 {} {} {} {} {} {}",
                  LAMBDAML_BENCH_SCRIPT, folder.path(), n_features, n_epochs, eta, alpha);
  Peer peer;
  FILE* pipe = popen(command.c_str(), "r");
  const bool ok = pipe != nullptr && std::fscanf(pipe, "%lf %lf", &peer.epoch_s, &peer.loss) == 2;
  if (pipe == nullptr || pclose(pipe) != 0 || !ok) return {};
  return peer;
}

void BenchSparse(int64_t rows, int64_t n_features) {
  constexpr int kEpochs = 3;
  constexpr double kEta = 0.5;
  constexpr double kAlpha = 1e-5;
  const std::unique_ptr<Set> set = MakeSparse(rows, n_features);
  base::ThreadPool pool(1);
  const LinearShape shape{n_features, 2, true};
  LinearObjective objective(set->dataset, set->classes, shape, LinearLoss::kLogistic, pool);
  const auto count = static_cast<size_t>(shape.parameter_count());
  fmt::print("sparse {} x {}, {:.1f} non-zeros a row\n", rows, n_features,
             static_cast<double>(set->values.size()) / static_cast<double>(rows));
  const Peer peer = RunSgdClassifier(*set, n_features, kEpochs, kEta, kAlpha);
  if (peer.epoch_s == 0) {
    fmt::print("scikit-learn is not installed (Debian: python3-sklearn): no comparison\n");
  } else {
    fmt::print("  SGDClassifier: {:.0f} rows/s, loss {:.4f} after {} epochs\n",
               static_cast<double>(rows) / peer.epoch_s, peer.loss, kEpochs);
  }
  const auto report = [&](const std::string& what, double epoch_s, double loss) {
    fmt::print("  {}: {:.0f} rows/s = {:.2f} x SGDClassifier, loss {:.4f}\n", what,
               static_cast<double>(rows) / epoch_s, peer.epoch_s / epoch_s, loss);
  };
  for (const int64_t batch : {1, 10, 100, 1000}) {
    optim::LocalSgd sgd(objective, {batch, 0, {optim::RegularizerKind::kL2, kAlpha}});
    // A larger batch affords a larger step, up to what the curvature allows.
    const double eta = std::min(kEta * static_cast<double>(batch), 4.0);
    const optim::LearningRate lr(optim::Schedule::kConstant, eta, 1);
    std::vector<double> epoch_s;
    std::vector<float> w(count, 0.0F);
    double loss = 0;
    for (int i = 0; i < kRepetitions; ++i) {
      const std::vector<int64_t> order =
          base::Permutation((rows + batch - 1) / batch, static_cast<uint64_t>(i));
      epoch_s.push_back(SecondsOf([&] { sgd.RunEpoch(lr, 0, order, w); }));
      if (i + 1 == kEpochs) {
        loss = objective.Evaluate({0, rows}, w).loss_sum / static_cast<double>(rows);
        Require(loss < 0.99 * std::log(2.0), fmt::format("loss {}", loss));
      }
    }
    report(fmt::format("local SGD, batch {}", batch), Median(epoch_s), loss);
  }
  for (const int64_t batch : {1000, 10000}) {
    std::vector<float> w(count, 0.0F);
    std::vector<float> gradient(count);
    std::vector<double> epoch_s;
    for (int i = 0; i < kRepetitions; ++i) {
      epoch_s.push_back(SecondsOf([&] {
        for (int64_t begin = 0; begin < rows; begin += batch) {
          objective.Gradient({begin, std::min(begin + batch, rows)}, w, gradient);
          const float step = 10 / static_cast<float>(batch);
          for (size_t p = 0; p < count; ++p) w[p] -= step * gradient[p];
        }
      }));
    }
    report(fmt::format("gradient, batch {}", batch), Median(epoch_s),
           objective.Evaluate({0, rows}, w).loss_sum / static_cast<double>(rows));
  }
}

}  // namespace
}  // namespace lambdaml

int main() {
  lambdaml::BenchDense(1'000'000, 28, 2, 10'000);
  lambdaml::BenchDense(60'000, 784, 2, 1000);
  lambdaml::BenchDense(60'000, 784, 10, 1000);
  lambdaml::BenchDense(60'000, 784, 10, 100);
  lambdaml::BenchSparse(100'000, 47'236);
  return 0;
}

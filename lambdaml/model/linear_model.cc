#include "lambdaml/model/linear_model.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"

namespace lambdaml::model {
namespace {

constexpr int64_t kBlockRows = 1024;

// Scores of one row after the other, in double.
class Scorer {
 public:
  Scorer(const LinearModel& model, const data::Dataset& dataset)
      : model_(model),
        dataset_(dataset),
        n_outputs_(model.shape.n_outputs()),
        scores_(static_cast<size_t>(n_outputs_)) {}

  // Valid until the next call.
  std::span<const double> Score(int64_t r) {
    const float* bias = model_.weights.data() + model_.shape.bias_offset();
    for (size_t k = 0; k < scores_.size(); ++k) {
      scores_[k] = model_.shape.bias ? static_cast<double>(bias[k]) : 0.0;
    }
    if (dataset_.is_dense()) {
      const data::DenseRows& x = dataset_.dense();
      for (int64_t j = 0; j < x.n_features; ++j) Add(j, x.row(r)[j]);
    } else {
      const data::SparseRows& x = dataset_.sparse();
      const auto begin = static_cast<size_t>(x.row_offsets[static_cast<size_t>(r)]);
      const auto end = static_cast<size_t>(x.row_offsets[static_cast<size_t>(r) + 1]);
      for (size_t i = begin; i < end; ++i) Add(x.columns[i], x.values[i]);
    }
    return scores_;
  }

  int64_t ignored_entries() const { return ignored_entries_; }

 private:
  void Add(int64_t j, float value) {
    if (value == 0) return;
    if (j >= model_.shape.n_features) {
      ++ignored_entries_;
      return;
    }
    const float* w = model_.weights.data() + j * n_outputs_;
    for (size_t k = 0; k < scores_.size(); ++k) {
      scores_[k] += static_cast<double>(value) * static_cast<double>(w[k]);
    }
  }

  const LinearModel& model_;
  const data::Dataset& dataset_;
  int64_t n_outputs_;
  std::vector<double> scores_;
  int64_t ignored_entries_ = 0;
};

int32_t PredictedClass(std::span<const double> scores) {
  if (scores.size() == 1) return scores[0] > 0 ? 1 : 0;
  return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

// log(1 + exp(m)) without overflow.
double Softplus(double m) { return std::max(m, 0.0) + std::log1p(std::exp(-std::abs(m))); }

double LogSumExp(std::span<const double> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const double value : values) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

// The logarithm of each class's probability.
void LogProbabilities(const LinearModel& model, std::span<const double> scores,
                      std::vector<double>* log_p) {
  if (scores.size() == 1) {
    *log_p = {-Softplus(scores[0]), -Softplus(-scores[0])};
    return;
  }
  log_p->assign(scores.begin(), scores.end());
  if (model.one_vs_rest) {
    for (double& value : *log_p) value = -Softplus(-value);
  }
  const double total = LogSumExp(*log_p);
  for (double& value : *log_p) value -= total;
}

double HingeLoss(std::span<const double> scores, int32_t y) {
  if (scores.size() == 1) return std::max(0.0, 1 - (y == 1 ? scores[0] : -scores[0]));
  double loss = 0;
  for (size_t k = 0; k < scores.size(); ++k) {
    loss += std::max(0.0, 1 - (static_cast<int32_t>(k) == y ? scores[k] : -scores[k]));
  }
  return loss;
}

void CheckModel(const LinearModel& model) {
  LAMBDAML_CHECK(model.shape.n_classes >= 2);
  LAMBDAML_CHECK(static_cast<int64_t>(model.weights.size()) == model.shape.parameter_count());
}

size_t RowBlockCount(int64_t rows) {
  return static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows);
}

// Calls work(block, rows) for fixed blocks of rows.
template <typename Work>
void ForEachRowBlock(int64_t rows, base::ThreadPool& pool, const Work& work) {
  pool.ForEachBlock(RowBlockCount(rows), [&](size_t block) {
    const int64_t begin = static_cast<int64_t>(block) * kBlockRows;
    work(block, RowRange{begin, std::min(begin + kBlockRows, rows)});
  });
}

}  // namespace

Predictions Predict(const LinearModel& model, const data::Dataset& dataset,
                    base::ThreadPool& pool) {
  CheckModel(model);
  const auto rows = static_cast<size_t>(dataset.rows());
  const auto n_classes = static_cast<size_t>(model.shape.n_classes);
  Predictions predictions;
  predictions.classes.resize(rows);
  const bool has_probabilities = model.loss == LinearLoss::kLogistic;
  if (has_probabilities) predictions.probabilities.resize(rows * n_classes);
  std::vector<int64_t> ignored(RowBlockCount(dataset.rows()));
  ForEachRowBlock(dataset.rows(), pool, [&](size_t block, RowRange range) {
    Scorer scorer(model, dataset);
    std::vector<double> log_p;
    for (int64_t r = range.begin; r < range.end; ++r) {
      const std::span<const double> scores = scorer.Score(r);
      const auto at = static_cast<size_t>(r);
      predictions.classes[at] = PredictedClass(scores);
      if (!has_probabilities) continue;
      LogProbabilities(model, scores, &log_p);
      for (size_t c = 0; c < n_classes; ++c) {
        predictions.probabilities[at * n_classes + c] = static_cast<float>(std::exp(log_p[c]));
      }
    }
    ignored[block] = scorer.ignored_entries();
  });
  for (const int64_t count : ignored) predictions.ignored_entries += count;
  return predictions;
}

LossStats Evaluate(const LinearModel& model, const data::Dataset& dataset,
                   std::span<const int32_t> classes, base::ThreadPool& pool) {
  CheckModel(model);
  const auto fits = [&](int32_t c) { return c >= 0 && c < model.shape.n_classes; };
  if (static_cast<int64_t>(classes.size()) != dataset.rows() ||
      !std::all_of(classes.begin(), classes.end(), fits)) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("evaluation of {} rows needs as many classes in [0, {})",
                                  dataset.rows(), model.shape.n_classes));
  }
  std::vector<LossStats> block_stats(RowBlockCount(dataset.rows()));
  ForEachRowBlock(dataset.rows(), pool, [&](size_t block, RowRange range) {
    Scorer scorer(model, dataset);
    std::vector<double> log_p;
    LossStats stats{.rows = range.size()};
    for (int64_t r = range.begin; r < range.end; ++r) {
      const std::span<const double> scores = scorer.Score(r);
      const int32_t y = classes[static_cast<size_t>(r)];
      stats.correct += PredictedClass(scores) == y ? 1 : 0;
      if (model.loss == LinearLoss::kHinge) {
        stats.loss_sum += HingeLoss(scores, y);
      } else {
        LogProbabilities(model, scores, &log_p);
        stats.loss_sum -= log_p[static_cast<size_t>(y)];
      }
    }
    block_stats[block] = stats;
  });
  LossStats total;
  for (const LossStats& stats : block_stats) total += stats;
  return total;
}

}  // namespace lambdaml::model

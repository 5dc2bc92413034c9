#include "lambdaml/train/cnn_metrics.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"

namespace lambdaml::train {
namespace {

constexpr size_t kSumCount = 11;

void Put(const nn::BatchStats& stats, std::vector<double>& values) {
  values.push_back(stats.loss_sum);
  values.push_back(static_cast<double>(stats.correct));
  values.push_back(static_cast<double>(stats.rows));
}

nn::BatchStats Get(std::span<const double> values, size_t at) {
  return {.loss_sum = values[at],
          .correct = static_cast<int64_t>(values[at + 1]),
          .rows = static_cast<int64_t>(values[at + 2])};
}

void VisitState(std::string_view name, nn::BatchStats& stats, wire::State& state) {
  state.Visit(fmt::format("{}_loss", name), stats.loss_sum);
  state.Visit(fmt::format("{}_correct", name), stats.correct);
  state.Visit(fmt::format("{}_rows", name), stats.rows);
}

}  // namespace

void VisitState(std::string_view name, CnnSums& sums, wire::State& state) {
  VisitState(fmt::format("{}_train", name), sums.train, state);
  VisitState(fmt::format("{}_valid", name), sums.valid, state);
  VisitState(fmt::format("{}_test", name), sums.test, state);
  state.Visit(fmt::format("{}_seconds", name), sums.seconds);
  state.Visit(fmt::format("{}_waiting", name), sums.waiting_s);
}

void SumsCourier::Attach(const CnnSums& mine) {
  LAMBDAML_CHECK(outgoing_.empty());
  for (const nn::BatchStats& stats : {mine.train, mine.valid, mine.test}) Put(stats, outgoing_);
  outgoing_.push_back(mine.seconds);
  outgoing_.push_back(mine.waiting_s);
  LAMBDAML_CHECK(outgoing_.size() == kSumCount);
}

void SumsCourier::Arrived() {
  if (outgoing_.empty()) return;
  summed_ = CnnSums{.train = Get(outgoing_, 0),
                    .valid = Get(outgoing_, 3),
                    .test = Get(outgoing_, 6),
                    .seconds = outgoing_[9],
                    .waiting_s = outgoing_[10]};
  outgoing_.clear();
}

std::optional<CnnSums> SumsCourier::Take() { return std::exchange(summed_, std::nullopt); }

}  // namespace lambdaml::train

#include "lambdaml/train/exchange.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lambdaml/base/check.h"

namespace lambdaml::train {
namespace {

constexpr size_t kSumCount = 11;

std::array<double, kSumCount> Pack(const EpochSums& sums) {
  const auto count = [](int64_t value) { return static_cast<double>(value); };
  return {sums.train.loss_sum, count(sums.train.correct), count(sums.train.rows),
          sums.valid.loss_sum, count(sums.valid.correct), count(sums.valid.rows),
          sums.seconds,        sums.communicating_s,      sums.primal_residual_sq,
          sums.local_norm_sq,  sums.dual_norm_sq};
}

EpochSums Unpack(std::span<const double, kSumCount> values) {
  const auto count = [](double value) { return static_cast<int64_t>(value); };
  return {.train = {values[0], count(values[1]), count(values[2])},
          .valid = {values[3], count(values[4]), count(values[5])},
          .seconds = values[6],
          .communicating_s = values[7],
          .primal_residual_sq = values[8],
          .local_norm_sq = values[9],
          .dual_norm_sq = values[10]};
}

void VisitOptional(std::string_view name, std::optional<EpochSums>& sums, wire::State& state) {
  bool has_value = sums.has_value();
  state.Visit(name, has_value);
  if (has_value) {
    if (!sums) sums.emplace();
    VisitState(name, *sums, state);
  } else {
    sums.reset();
  }
}

}  // namespace

void Exchange::Sum(std::span<double> scalars, std::span<float> vector) {
  if (!attached_) {
    communicator_.AllReduceSum(scalars, vector);
    return;
  }
  buffer_.assign(scalars.begin(), scalars.end());
  const auto packed = Pack(*attached_);
  buffer_.insert(buffer_.end(), packed.begin(), packed.end());
  communicator_.AllReduceSum(buffer_, vector);
  std::copy_n(buffer_.begin(), scalars.size(), scalars.begin());
  const std::span<const double> sums = std::span(buffer_).subspan(scalars.size());
  summed_ = Unpack(sums.first<kSumCount>());
  attached_.reset();
}

void Exchange::Attach(const EpochSums& mine) {
  LAMBDAML_CHECK(!attached_);
  attached_ = mine;
}

std::optional<EpochSums> Exchange::TakeSums() { return std::exchange(summed_, std::nullopt); }

void Exchange::Flush() {
  if (attached_) Sum({}, {});
}

void Exchange::VisitState(wire::RankState& state) {
  VisitOptional("attached", attached_, state.own);
  VisitOptional("summed", summed_, state.shared);
}

void VisitState(std::string_view name, EpochSums& sums, wire::State& state) {
  std::array<double, kSumCount> packed = Pack(sums);
  state.Visit(name, std::span<double>(packed));
  sums = Unpack(packed);
}

}  // namespace lambdaml::train

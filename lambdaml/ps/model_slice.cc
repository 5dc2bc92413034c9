#include "lambdaml/ps/model_slice.h"

#include <fmt/format.h>
#include <memory>
#include <numeric>

#include "lambdaml/base/error.h"

namespace lambdaml::ps {
namespace {

using base::Error;
using base::ErrorCode;

struct MessageOwner {
  wire::MessageEncoder encoder;
  MemoryBudget::Reservation reservation;
};

void Add(const wire::VectorView& change, std::vector<float>& values) {
  if (change.is_sparse) {
    for (size_t k = 0; k < change.indices.size(); ++k)
      values[change.indices[k]] += change.values[k];
  } else {
    for (size_t i = 0; i < values.size(); ++i) values[i] += change.values[i];
  }
}

}  // namespace

ModelSlice::ModelSlice(uint32_t slice, int worker_count)
    : slice_(slice), merges_(static_cast<size_t>(worker_count)) {}

void ModelSlice::CheckJoined() const {
  if (is_joined_) return;
  throw Error(
      ErrorCode::kNotFound,
      fmt::format("slice {} of the shared model: no worker has joined with it yet", slice_));
}

void ModelSlice::CheckFits(const wire::VectorView& vector) const {
  if (vector.precision != wire::Precision::kFloat32) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("slice {} of the shared model takes changes of float32 only", slice_));
  }
  if (vector.element_count == values_.size()) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("slice {} of the shared model has {} elements, not {}", slice_,
                          values_.size(), vector.element_count));
}

void ModelSlice::Join(const wire::VectorView& start, MemoryBudget& budget, const Recorder& record) {
  const std::lock_guard lock(mutex_);
  if (is_joined_) return CheckFits(start);
  reservation_ = budget.Reserve(start.element_count * sizeof(float));
  record();
  values_.resize(start.element_count);
  wire::ExpandVector(start, values_);
  is_joined_ = true;
}

void ModelSlice::Restore(const wire::VectorView& state, MemoryBudget& budget) {
  const std::lock_guard lock(mutex_);
  reservation_ = budget.Reserve(state.element_count * sizeof(float));
  values_.resize(state.element_count);
  wire::ExpandVector(state, values_);
  if (state.scalars.size() == merges_.size()) {
    merges_.assign(state.scalars.begin(), state.scalars.end());
  }
  is_joined_ = true;
}

void ModelSlice::Merge(int rank, uint64_t number, const wire::VectorView& change,
                       const Recorder& record) {
  const std::lock_guard lock(mutex_);
  CheckJoined();
  CheckFits(change);
  double& merges = merges_[static_cast<size_t>(rank)];
  const auto number_max = static_cast<uint64_t>(merges) + 1;
  if (number < number_max) return;
  if (number > number_max) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("merge {} of rank {} cannot follow its merge {}", number, rank,
                            number_max - 1));
  }
  record();
  Add(change, values_);
  merges = static_cast<double>(number);
}

base::Blob ModelSlice::Encode(MemoryBudget& budget) const {
  auto owner = std::make_shared<MessageOwner>();
  const std::lock_guard lock(mutex_);
  CheckJoined();
  owner->reservation = budget.Reserve(wire::DenseSizeBytes(merges_.size(), values_.size()));
  const double total = std::accumulate(merges_.begin(), merges_.end(), 0.0);
  const wire::MessageId id = {wire::MessageKind::kModel, static_cast<uint64_t>(total), 0, slice_};
  const base::ByteSpan message = owner->encoder.EncodeVector(id, merges_, values_);
  return {message, std::move(owner)};
}

bool ModelSlice::is_joined() const {
  const std::lock_guard lock(mutex_);
  return is_joined_;
}

uint64_t ModelSlice::length() const {
  const std::lock_guard lock(mutex_);
  return values_.size();
}

uint64_t ModelSlice::merge_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint64_t>(std::accumulate(merges_.begin(), merges_.end(), 0.0));
}

}  // namespace lambdaml::ps

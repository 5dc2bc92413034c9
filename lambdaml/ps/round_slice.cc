#include "lambdaml/ps/round_slice.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <string_view>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/ps/gathered.h"
#include "lambdaml/wire/rank_order_sum.h"

namespace lambdaml::ps {
namespace {

using base::Error;
using base::ErrorCode;
using wire::Message;
using wire::MessageKind;

// An encoder whose buffer the result is, paid for while the result lives.
struct ResultOwner {
  wire::MessageEncoder encoder;
  MemoryBudget::Reservation reservation;
};

std::string_view FormOf(const Message& message) {
  if (message.id.kind == MessageKind::kGathered) return " as a blob";
  return message.vector.precision == wire::Precision::kFloat16 ? " of float16" : "";
}

// Throws unless `message` can be merged with `other`.
void CheckFits(const Message& message, const Message& other) {
  const bool is_same_kind = message.id.kind == other.id.kind;
  if (is_same_kind && message.vector.element_count == other.vector.element_count &&
      message.vector.scalars.size() == other.vector.scalars.size() &&
      message.vector.precision == other.vector.precision) {
    return;
  }
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("rank {} contributes {} scalars and {} elements to slice {} of round {}{}, where "
                  "rank {} has contributed {} and {}{}: the ranks run different jobs",
                  message.id.rank, message.vector.scalars.size(), message.vector.element_count,
                  message.id.part, message.id.round, FormOf(message), other.id.rank,
                  other.vector.scalars.size(), other.vector.element_count, FormOf(other)));
}

base::Blob Sum(std::span<const Message> contributions, MemoryBudget& budget) {
  const wire::MessageId& id = contributions.front().id;
  const wire::VectorView& shape = contributions.front().vector;
  std::vector<wire::VectorView> terms;
  for (const Message& contribution : contributions) terms.push_back(contribution.vector);
  std::vector<double> scalars(shape.scalars.size());
  auto owner = std::make_shared<ResultOwner>();
  owner->reservation =
      budget.Reserve(wire::DenseSizeBytes(scalars.size(), shape.element_count, shape.precision));
  const std::span<float> sums = owner->encoder.VectorSpace(scalars.size(), shape.element_count);
  wire::SumInRankOrder(terms, scalars, sums);
  if (shape.precision == wire::Precision::kFloat16) {
    wire::RoundToFloat16(sums, fmt::format("the sum of slice {} of round {}", id.part, id.round));
  }
  const base::ByteSpan message = owner->encoder.EncodeVector(
      {MessageKind::kMerged, id.round, 0, id.part}, scalars, sums, 0, shape.precision);
  return {message, std::move(owner)};
}

base::Blob Gather(std::span<const Message> contributions, MemoryBudget& budget) {
  const wire::MessageId& id = contributions.front().id;
  std::vector<base::ByteSpan> blobs;
  uint64_t size = wire::kMessageHeaderSizeBytes;
  for (const Message& contribution : contributions) {
    blobs.push_back(contribution.payload);
    size += contribution.payload.size() + sizeof(uint64_t);
  }
  auto owner = std::make_shared<ResultOwner>();
  owner->reservation = budget.Reserve(size);
  const base::ByteSpan message = owner->encoder.EncodeBytes(
      {MessageKind::kGathered, id.round, 0, id.part}, EncodeGathered(blobs));
  return {message, std::move(owner)};
}

}  // namespace

base::Blob MergeContributions(std::span<const Message> contributions, MemoryBudget& budget) {
  LAMBDAML_CHECK(!contributions.empty());
  return contributions.front().id.kind == MessageKind::kGathered ? Gather(contributions, budget)
                                                                 : Sum(contributions, budget);
}

RoundSlice::RoundSlice(int worker_count)
    : has_contributed_(static_cast<size_t>(worker_count)),
      terms_(static_cast<size_t>(worker_count)) {}

RoundSlice::RoundSlice(SliceResult result) : state_(State::kFinished), result_(std::move(result)) {}

bool RoundSlice::Contribute(Message contribution, uint64_t announcement) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kCollecting) return false;
  const size_t rank = contribution.id.rank;
  if (!has_contributed_[rank]) {
    const auto other = std::ranges::find(has_contributed_, true);
    if (other != has_contributed_.end()) {
      CheckFits(contribution, terms_[static_cast<size_t>(other - has_contributed_.begin())]);
    }
    has_contributed_[rank] = true;
    terms_[rank] = std::move(contribution);
    if (rank == 0) announcement_ = announcement;
  }
  if (std::ranges::find(has_contributed_, false) != has_contributed_.end()) return false;
  state_ = State::kMerging;
  return true;
}

void RoundSlice::Finish(SliceResult result) {
  std::vector<Message> merged;  // freed when the others have been told
  {
    const std::lock_guard lock(mutex_);
    LAMBDAML_CHECK(state_ == State::kMerging);
    state_ = State::kFinished;
    result_ = std::move(result);
    merged.swap(terms_);
  }
  changed_.notify_all();
}

void RoundSlice::GiveUpMerge() {
  const std::lock_guard lock(mutex_);
  state_ = State::kCollecting;
}

std::optional<SliceResult> RoundSlice::Wait(const base::Deadline& deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline.at(),
                      [this] { return state_ == State::kFinished || is_stopped_; });
  if (state_ != State::kFinished) return std::nullopt;
  return result_;
}

void RoundSlice::StopWaiting() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
}

std::vector<int> RoundSlice::MissingRanks() const {
  const std::lock_guard lock(mutex_);
  std::vector<int> missing;
  if (state_ == State::kFinished) return missing;
  for (size_t rank = 0; rank < has_contributed_.size(); ++rank) {
    if (!has_contributed_[rank]) missing.push_back(static_cast<int>(rank));
  }
  return missing;
}

bool RoundSlice::is_finished() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kFinished;
}

bool RoundSlice::is_begun() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kFinished ||
         std::ranges::find(has_contributed_, true) != has_contributed_.end();
}

void RoundSlice::SetResult(SliceResult result) {
  const std::lock_guard lock(mutex_);
  LAMBDAML_CHECK(state_ == State::kFinished);
  result_ = std::move(result);
}

SliceResult RoundSlice::result() const {
  const std::lock_guard lock(mutex_);
  return result_;
}

}  // namespace lambdaml::ps

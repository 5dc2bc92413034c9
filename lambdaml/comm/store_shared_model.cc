#include "lambdaml/comm/store_shared_model.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/comm/job_keys.h"

namespace lambdaml::comm {

using base::Error;
using base::ErrorCode;

StoreSharedModel::StoreSharedModel(store::Store& store, Membership membership, size_t length)
    : store_(store),
      membership_(std::move(membership)),
      length_(length),
      restarts_at_start_(store.restarts()),
      random_(base::MixSeed(base::Checksum64(base::AsBytes(membership_.job)),
                            static_cast<uint64_t>(membership_.rank))) {
  CheckMembership(membership_);
  const store::Capabilities& can = store_.capabilities();
  if (!can.can_compare_and_swap || !can.can_put_if_absent) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} cannot compare and swap, which sync_mode async needs", store_.url()));
  }
  parts_ = CutIntoParts();
}

void StoreSharedModel::Join(std::span<float> model) {
  LAMBDAML_CHECK(model.size() == length_);
  const base::ScopedTimer timer(&stats_.communicating);
  ++stats_.rounds;
  const base::Deadline deadline = RoundEnd();
  const std::vector<double> no_merges(static_cast<size_t>(membership_.worker_count), 0.0);
  for (Part& part : parts_) {
    const std::span<float> values = model.subspan(part.begin, part.size);
    part.own_merges = 0;
    if (store_.PutIfAbsent(part.key, Encode(part, no_merges, values), deadline)) continue;
    const PartState state = Read(part, values, deadline);
    part.own_merges = state.merges[static_cast<size_t>(membership_.rank)];
  }
}

uint64_t StoreSharedModel::own_merges() const {
  double merges = 0;
  for (const Part& part : parts_) merges = std::max(merges, part.own_merges);
  return static_cast<uint64_t>(merges);
}

void StoreSharedModel::Merge(std::span<const float> change, std::span<float> model) {
  LAMBDAML_CHECK(change.size() == length_ && model.size() == length_);
  const base::ScopedTimer timer(&stats_.communicating);
  ++stats_.rounds;
  for (Part& part : parts_) {
    MergePart(part, change.subspan(part.begin, part.size), model.subspan(part.begin, part.size));
  }
}

std::vector<StoreSharedModel::Part> StoreSharedModel::CutIntoParts() const {
  const uint64_t limit_bytes = store_.capabilities().value_size_max_bytes;
  const uint64_t overhead_bytes =
      wire::DenseSizeBytes(static_cast<uint64_t>(membership_.worker_count), 0);
  if (limit_bytes < overhead_bytes + sizeof(float)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the counts of {} workers do not fit a value of {}, {} bytes at most",
                            membership_.worker_count, store_.url(), limit_bytes));
  }
  const size_t size_max =
      std::min<uint64_t>((limit_bytes - overhead_bytes) / sizeof(float), length_);
  std::vector<Part> parts;
  for (size_t begin = 0; begin < length_; begin += size_max) {
    const uint64_t number = parts.size();
    parts.push_back(
        {ModelKey(membership_.job, number), number, begin, std::min(size_max, length_ - begin)});
  }
  return parts;
}

StoreSharedModel::PartState StoreSharedModel::Read(const Part& part, std::span<float> model,
                                                   const base::Deadline& deadline) {
  auto stored = store_.GetVersioned(part.key, deadline);
  if (!stored) ThrowLost(part);
  const std::string origin = fmt::format("rank {}: {}", membership_.rank, part.key);
  const wire::Message message = wire::DecodeMessage(std::move(stored->value), origin);
  if (message.id.kind != wire::MessageKind::kModel || message.id.part != part.number ||
      message.vector.element_count != part.size ||
      message.vector.scalars.size() != static_cast<size_t>(membership_.worker_count)) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: it is no part of a model of {} elements and {} workers", origin,
                            length_, membership_.worker_count));
  }
  wire::ExpandVector(message.vector, model);
  const std::span<const double> merges = message.vector.scalars;
  return {{merges.begin(), merges.end()}, std::move(stored->version)};
}

void StoreSharedModel::MergePart(Part& part, std::span<const float> change,
                                 std::span<float> model) {
  const base::Deadline deadline = RoundEnd();
  const base::Clock& clock = deadline.clock();
  const base::TimePoint start = clock.Now();
  for (int64_t failures = 0;; ++failures) {
    PartState state = Read(part, model, deadline);
    if (IsMerged(part, state, failures > 0)) break;
    for (size_t i = 0; i < model.size(); ++i) model[i] += change[i];
    ++state.merges[static_cast<size_t>(membership_.rank)];
    if (store_.CompareAndSwap(part.key, state.version, Encode(part, state.merges, model),
                              deadline)) {
      break;
    }
    const base::Duration attempt = (clock.Now() - start) / (failures + 1);
    const int64_t spread = std::min<int64_t>(failures + 1, membership_.worker_count);
    const base::Duration pause =
        base::FromSeconds(random_.Uniform() * base::Seconds(attempt) * static_cast<double>(spread));
    if (pause >= deadline.Remaining()) {
      throw Error(
          ErrorCode::kDeadlineExceeded,
          fmt::format("rank {}: could not merge into {} within {}: {} other workers were "
                      "faster",
                      membership_.rank, part.key,
                      base::FormatSeconds(base::Seconds(clock.Now() - start)), failures + 1));
    }
    clock.SleepFor(pause);
  }
  ++part.own_merges;
}

bool StoreSharedModel::IsMerged(const Part& part, const PartState& state, bool was_tried) const {
  const double merges = state.merges[static_cast<size_t>(membership_.rank)];
  if (merges == part.own_merges) return false;
  if (merges < part.own_merges) ThrowLost(part);  // this one was made anew
  if (was_tried && merges == part.own_merges + 1) return true;
  throw Error(ErrorCode::kAlreadyExists,
              fmt::format("rank {}: another worker has merged into {} as rank {}: this one started "
                          "twice, and their changes cannot be told apart",
                          membership_.rank, part.key, membership_.rank));
}

base::ByteSpan StoreSharedModel::Encode(const Part& part, std::span<const double> merges,
                                        std::span<const float> values) {
  const double total = std::accumulate(merges.begin(), merges.end(), 0.0);
  const wire::MessageId id = {wire::MessageKind::kModel, static_cast<uint64_t>(total), 0,
                              static_cast<uint32_t>(part.number)};
  return encoder_.EncodeVector(id, merges, values);
}

void StoreSharedModel::ThrowLost(const Part& part) const {
  const bool has_restarted = store_.restarts() != restarts_at_start_;
  throw Error(ErrorCode::kUnavailable,
              fmt::format("rank {}: the shared model {} is gone from {}: {}. Its merges cannot be "
                          "made again; start the job anew, or over a channel that keeps what it "
                          "holds",
                          membership_.rank, part.key, store_.url(),
                          has_restarted ? "the service has started anew and lost it"
                                        : "the service has dropped it, or somebody deleted it"));
}

base::Deadline StoreSharedModel::RoundEnd() const {
  return base::Deadline::Earlier(
      base::Deadline::After(membership_.round_timeout, membership_.end.clock()), membership_.end);
}

}  // namespace lambdaml::comm

#include "lambdaml/comm/store_shared_model.h"

#include <algorithm>
#include <fmt/format.h>
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
      random_(base::MixSeed(base::Checksum64(base::AsBytes(membership_.job)),
                            static_cast<uint64_t>(membership_.rank))) {
  CheckMembership(membership_);
  const store::Capabilities& can = store_.capabilities();
  if (!can.can_compare_and_swap || !can.can_put_if_absent) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} cannot compare and swap, which sync_mode async needs", store_.url()));
  }
  LAMBDAML_CHECK(can.value_size_max_bytes > wire::kMessageHeaderSizeBytes + sizeof(float));
}

void StoreSharedModel::Join(std::span<float> model) {
  LAMBDAML_CHECK(model.size() == length_);
  const base::ScopedTimer timer(&stats_.communicating);
  ++stats_.rounds;
  const base::Deadline deadline = RoundEnd();
  for (const Part& part : Parts()) {
    const std::span<float> values = model.subspan(part.begin, part.size);
    if (store_.PutIfAbsent(part.key, Encode(part, 0, values), deadline)) continue;
    Read(part, values, deadline);
  }
}

void StoreSharedModel::Merge(std::span<const float> change, std::span<float> model) {
  LAMBDAML_CHECK(change.size() == length_ && model.size() == length_);
  const base::ScopedTimer timer(&stats_.communicating);
  ++stats_.rounds;
  for (const Part& part : Parts()) {
    MergePart(part, change.subspan(part.begin, part.size), model.subspan(part.begin, part.size));
  }
}

std::vector<StoreSharedModel::Part> StoreSharedModel::Parts() const {
  const uint64_t values_size_max_bytes =
      store_.capabilities().value_size_max_bytes - wire::kMessageHeaderSizeBytes;
  const size_t size_max = std::min<uint64_t>(values_size_max_bytes / sizeof(float), length_);
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
  if (!stored) {
    throw Error(ErrorCode::kNotFound, fmt::format("rank {}: the shared model {} is gone from {}",
                                                  membership_.rank, part.key, store_.url()));
  }
  const std::string origin = fmt::format("rank {}: {}", membership_.rank, part.key);
  const wire::Message message = wire::DecodeMessage(std::move(stored->value), origin);
  if (message.id.kind != wire::MessageKind::kModel || message.id.part != part.number ||
      message.vector.element_count != part.size) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: it is no part of a model of {} elements", origin, length_));
  }
  wire::ExpandVector(message.vector, model);
  return {message.id.round, std::move(stored->version)};
}

void StoreSharedModel::MergePart(const Part& part, std::span<const float> change,
                                 std::span<float> model) {
  const base::Deadline deadline = RoundEnd();
  const base::Clock& clock = deadline.clock();
  const base::TimePoint start = clock.Now();
  for (int64_t failures = 0;; ++failures) {
    const PartState state = Read(part, model, deadline);
    for (size_t i = 0; i < model.size(); ++i) model[i] += change[i];
    if (store_.CompareAndSwap(part.key, state.version, Encode(part, state.merge_count + 1, model),
                              deadline)) {
      return;
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
}

base::ByteSpan StoreSharedModel::Encode(const Part& part, uint64_t merge_count,
                                        std::span<const float> values) {
  const wire::MessageId id = {wire::MessageKind::kModel, merge_count, 0,
                              static_cast<uint32_t>(part.number)};
  return encoder_.EncodeVector(id, {}, values);
}

base::Deadline StoreSharedModel::RoundEnd() const {
  return base::Deadline::Earlier(
      base::Deadline::After(membership_.round_timeout, membership_.end.clock()), membership_.end);
}

}  // namespace lambdaml::comm

#include "lambdaml/comm/ps_communicator.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::comm {

PsCommunicator::PsCommunicator(ps::Client& client, Membership membership)
    : client_(client),
      membership_(std::move(membership)),
      may_be_finished_(membership_.was_here),
      round_(membership_.rounds_before),
      round_end_(membership_.end) {
  // What earlier generations came to is needed no more once all ranks of this one come together.
  if (membership_.generation > 0) released_round_ = 0;
}

void PsCommunicator::BeginRound() {
  ++round_;
  ++stats_.rounds;
  const base::Clock& clock = membership_.end.clock();
  round_start_ = clock.Now();
  const base::Duration patience =
      round_ == 1 ? membership_.start_timeout.value_or(membership_.round_timeout)
                  : membership_.round_timeout;
  round_end_ = base::Deadline::Earlier(base::Deadline::After(patience, clock), membership_.end);
}

void PsCommunicator::AllReduceSum(std::span<double> scalars, std::span<float> vector,
                                  wire::Precision precision) {
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  const bool announces = rank() == 0 && membership_.announcement;
  if (worker_count() == 1) {
    announced_ = announces ? membership_.announcement() : Announcement{0};
    return;
  }
  if (precision == wire::Precision::kFloat16) {
    wire::RoundToFloat16(vector,
                         fmt::format("rank {}: what it contributes to round {}", rank(), round_));
  }
  ps::RoundOutcome outcome;
  if (may_be_finished_) {
    // Slices that are finished replace their parts of the vector even if others are not; to
    // contribute to them again changes nothing.
    outcome = client_.TryResult(Id(), scalars, vector, round_end_, precision);
    may_be_finished_ = outcome.is_complete;
  }
  if (!outcome.is_complete) {
    const Announcement announcement = announces ? membership_.announcement() : Announcement{0};
    outcome = client_.ReduceSum(Id(), announcement, scalars, vector, round_end_, precision);
  }
  if (!outcome.is_complete) ThrowMissing(outcome.missing_ranks);
  announced_ = static_cast<Announcement>(outcome.announcement);
  EndRound(wire::DenseSizeBytes(scalars.size(), vector.size(), precision));
}

std::vector<base::Blob> PsCommunicator::AllGather(base::ByteSpan contribution) {
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  std::vector<base::Blob> blobs;
  if (worker_count() == 1) {
    blobs.push_back(base::Blob::Copy(contribution));
    return blobs;
  }
  const ps::RoundOutcome outcome = client_.Gather(Id(), contribution, &blobs, round_end_);
  if (!outcome.is_complete) ThrowMissing(outcome.missing_ranks);
  // Another blob than its own stands for this rank: that of an earlier invocation.
  const base::ByteSpan own = blobs[static_cast<size_t>(rank())].span();
  if (!std::ranges::equal(own, contribution)) may_be_finished_ = true;
  uint64_t result_bytes = 0;
  for (const base::Blob& blob : blobs) result_bytes += blob.size();
  EndRound(result_bytes);
  return blobs;
}

void PsCommunicator::EndRound(uint64_t result_bytes) {
  if (membership_.keeps_results && rank() == 0) kept_bytes_ += result_bytes;
  if (!released_round_ || round_ <= *released_round_) return;
  Release(*released_round_ + 1);
  if (kept_bytes_ > 0) kept_bytes_ = result_bytes;
}

void PsCommunicator::DeleteReleased() {
  if (worker_count() == 1) return;
  Release(round_);
  kept_bytes_ = 0;
}

void PsCommunicator::Release(uint64_t before) {
  released_round_.reset();
  if (rank() == 0) client_.Release({membership_.generation, before}, round_end_);
}

void PsCommunicator::ThrowMissing(const std::vector<int>& ranks) const {
  const double waited_s = base::Seconds(membership_.end.clock().Now() - round_start_);
  const std::string missing = fmt::format("{}", fmt::join(ranks, ", "));
  if (round_ == 1 && membership_.start_timeout) {
    throw base::Error(
        base::ErrorCode::kDeadlineExceeded,
        fmt::format("rank {}: {} of {} workers have not arrived within {}: missing rank {}", rank(),
                    ranks.size(), worker_count(), base::FormatSeconds(waited_s), missing));
  }
  throw base::Error(
      base::ErrorCode::kDeadlineExceeded,
      fmt::format("rank {}: no contribution of rank{} {} to round {} within {}", rank(),
                  ranks.size() == 1 ? "" : "s", missing, round_, base::FormatSeconds(waited_s)));
}

}  // namespace lambdaml::comm

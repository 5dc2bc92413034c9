#include "lambdaml/ps/job.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"

namespace lambdaml::ps {

using base::Error;
using base::ErrorCode;
using wire::MessageKind;

// Counts a call, so that the job does not pass for idle meanwhile.
class Job::Use {
 public:
  explicit Use(Job& job) : job_(job) {
    job_.calls_.fetch_add(1);
    job_.ThrowIfStopped();
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    job_.last_used_.store(base::SystemClock().Now());
    job_.calls_.fetch_sub(1);
  }

 private:
  Job& job_;
};

Job::Job(JobSpec spec, uint64_t incarnation, MemoryBudget& budget)
    : spec_(std::move(spec)),
      incarnation_(incarnation),
      budget_(budget),
      keeps_rounds_(spec_.keeps_rounds),
      last_used_(base::SystemClock().Now()) {}

// ---- Calls ----

void Job::ThrowIfStopped() const {
  switch (end_.load()) {
    case End::kNone:
      return;
    case End::kStopped:
      throw Error(ErrorCode::kUnavailable, "the parameter server is stopping");
    case End::kClosed:
      throw Error(ErrorCode::kNotFound, fmt::format("job {} has been closed", spec_.job));
  }
}

void Job::CheckCall(const SliceCall& call) const {
  if (call.rank < 0 || call.rank >= spec_.worker_count) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("job {} has ranks 0 to {}, not {}", spec_.job, spec_.worker_count - 1,
                            call.rank));
  }
  if (call.slice_count == 0 || call.slice_count > kSliceCountMax ||
      call.slice >= call.slice_count) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("job {}: there is no slice {} of {}",
                                                         spec_.job, call.slice, call.slice_count));
  }
}

wire::Message Job::Decode(const SliceCall& call) const {
  const std::string origin = fmt::format("job {}, round {}, what rank {} contributes to slice {}",
                                         spec_.job, call.round.round, call.rank, call.slice);
  wire::Message message = wire::DecodeMessage(*call.message, origin, call.message_checksum);
  if (message.id.round != call.round.round || message.id.rank != static_cast<uint32_t>(call.rank) ||
      message.id.part != call.slice) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: the message itself says round {}, rank {}, slice {}", origin,
                            message.id.round, message.id.rank, message.id.part));
  }
  return message;
}

SliceAnswer Job::Exchange(const SliceCall& call) {
  const Use use(*this);
  CheckCall(call);
  std::optional<wire::Message> message;
  if (call.message) {
    message = Decode(call);
    const bool is_vector = message->id.kind == MessageKind::kContribution;
    const bool is_bytes = message->payload.data() != nullptr;
    if ((!is_vector && message->id.kind != MessageKind::kGathered) || is_vector == is_bytes) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("job {}: a round takes vectors to add or blobs to gather", spec_.job));
    }
  }
  const std::shared_ptr<RoundSlice> slice = FindSlice(call);
  if (message && slice->Contribute(*std::move(message), call.announcement)) {
    MergeSlice(call, *slice);
  }
  waiting_.fetch_add(1);
  const std::optional<SliceResult> result = slice->Wait(base::Deadline::After(call.wait));
  waiting_.fetch_sub(1);
  if (!result) ThrowIfStopped();
  return AnswerOf(call, *slice, result);
}

std::shared_ptr<RoundSlice> Job::FindSlice(const SliceCall& call) {
  const std::lock_guard lock(mutex_);
  if (call.round < kept_from_) ThrowReleased(call.round);
  auto found = rounds_.find(call.round);
  if (found == rounds_.end()) {
    if (is_draining_) {
      throw Error(ErrorCode::kUnavailable, "the parameter server is stopping: no round may begin");
    }
    found = rounds_.emplace(call.round, MakeRound(call.slice_count)).first;
    latest_round_ = std::max(latest_round_, call.round);
  }
  std::vector<std::shared_ptr<RoundSlice>>& slices = found->second.slices;
  if (slices.size() != call.slice_count) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("rank {} cuts the vector of round {} into {} slices, others into {}: "
                            "the ranks run different jobs",
                            call.rank, call.round.round, call.slice_count, slices.size()));
  }
  std::shared_ptr<RoundSlice>& slice = slices[call.slice];
  if (!slice) slice = std::make_shared<RoundSlice>(spec_.worker_count);
  return slice;
}

Job::Round Job::MakeRound(uint32_t slice_count) {
  const uint64_t slice_bytes =
      sizeof(RoundSlice) + static_cast<uint64_t>(spec_.worker_count) * sizeof(wire::Message);
  Round round;
  round.reservation = budget_.Reserve(slice_count * slice_bytes);
  round.slices.resize(slice_count);
  return round;
}

void Job::ThrowReleased(const RoundId& id) const {
  throw Error(
      ErrorCode::kNotFound,
      fmt::format("job {}: round {} of generation {} is over; rounds from {} of generation "
                  "{} on are kept",
                  spec_.job, id.round, id.generation, kept_from_.round, kept_from_.generation));
}

void Job::MergeSlice(const SliceCall& call, RoundSlice& slice) {
  try {
    SliceResult result = {.announcement = slice.announcement(),
                          .message = MergeContributions(slice.contributions(), budget_)};
    const std::shared_lock gate(journal_gate_);
    if (journal_) {
      result.place = journal_->Append({.kind = RecordKind::kResult,
                                       .generation = call.round.generation,
                                       .round = call.round.round,
                                       .announcement = result.announcement,
                                       .slice = call.slice,
                                       .slice_count = call.slice_count,
                                       .body = result.message->span()});
    }
    slice.Finish(std::move(result));
  } catch (...) {
    slice.GiveUpMerge();
    throw;
  }
  NoteFinished(call.round);
}

void Job::NoteFinished(const RoundId& id) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = rounds_.find(id);
    if (found == rounds_.end()) return;  // released meanwhile
    Round& round = found->second;
    if (++round.finished_count < round.slices.size()) return;
    ++rounds_finished_;
    if (keeps_rounds_ && journal_ && found != rounds_.begin()) {
      for (const auto& slice : std::prev(found)->second.slices) {
        if (!slice || !slice->is_finished()) continue;
        const SliceResult result = slice->result();
        if (result.place) slice->SetResult({result.announcement, std::nullopt, result.place});
      }
    }
  }
  if (!keeps_rounds_) Release(id);
}

SliceAnswer Job::AnswerOf(const SliceCall& call, const RoundSlice& slice,
                          const std::optional<SliceResult>& result) {
  if (!result) return {.missing_ranks = slice.MissingRanks()};
  SliceAnswer answer = {.is_complete = true, .announcement = result->announcement};
  const bool is_only_push = call.message && call.wait == base::Duration::zero();
  if (is_only_push) return answer;
  if (result->message) {
    answer.message = *result->message;
  } else {
    const std::shared_lock gate(journal_gate_);  // places stay what they are
    answer.message = journal_->Read(*slice.result().place);
  }
  return answer;
}

void Job::Release(const RoundId& before) {
  {
    const std::shared_lock gate(journal_gate_);
    const std::lock_guard lock(mutex_);
    if (before <= kept_from_) return;
    if (journal_) {
      journal_->Append(
          {.kind = RecordKind::kRelease, .generation = before.generation, .round = before.round});
    }
    DropBefore(before);
  }
  CompactIfWorthwhile();
}

void Job::DropBefore(const RoundId& id) {
  kept_from_ = std::max(kept_from_, id);
  const auto end = rounds_.lower_bound(kept_from_);
  for (auto round = rounds_.begin(); round != end; ++round) {
    for (const auto& slice : round->second.slices) {
      if (slice) slice->StopWaiting();
    }
  }
  rounds_.erase(rounds_.begin(), end);
}

// ---- The shared model ----

std::shared_ptr<ModelSlice> Job::FindModelSlice(const SliceCall& call) {
  const std::lock_guard lock(mutex_);
  if (model_.empty()) {
    if (call.round.round != 0) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("job {} has no shared model: no worker has joined", spec_.job));
    }
    model_.resize(call.slice_count);
  }
  if (model_.size() != call.slice_count) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("rank {} cuts the shared model into {} slices, others into {}: the "
                            "ranks run different jobs",
                            call.rank, call.slice_count, model_.size()));
  }
  std::shared_ptr<ModelSlice>& slice = model_[call.slice];
  if (!slice) slice = std::make_shared<ModelSlice>(call.slice, spec_.worker_count);
  return slice;
}

SliceAnswer Job::Merge(const SliceCall& call) {
  const Use use(*this);
  CheckCall(call);
  if (!call.message) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("job {}: a merge brings a change", spec_.job));
  }
  const wire::Message message = Decode(call);
  if (message.id.kind != MessageKind::kModel || message.payload.data() != nullptr) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("job {}: only a vector can be merged into the shared model", spec_.job));
  }
  const std::shared_ptr<ModelSlice> slice = FindModelSlice(call);
  {
    const std::shared_lock gate(journal_gate_);
    const bool is_join = call.round.round == 0;
    const auto record = [&] {
      if (!journal_) return;
      journal_->Append({.kind = is_join ? RecordKind::kModel : RecordKind::kMerge,
                        .round = call.round.round,
                        .slice = call.slice,
                        .slice_count = call.slice_count,
                        .count = static_cast<uint32_t>(call.rank),
                        .body = message.bytes.span()});
    };
    if (is_join) {
      slice->Join(message.vector, budget_, record);
    } else {
      slice->Merge(call.rank, call.round.round, message.vector, record);
    }
  }
  CompactIfWorthwhile();
  return {.is_complete = true, .message = slice->Encode(budget_)};
}

// ---- Life ----

void Job::KeepRounds() {
  if (keeps_rounds_.exchange(true)) return;
  const std::shared_lock gate(journal_gate_);
  if (journal_) WriteStart(*journal_);
}

void Job::Drain() {
  const std::lock_guard lock(mutex_);
  is_draining_ = true;
}

bool Job::has_unfinished_round() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(rounds_, [](const auto& entry) {
    const Round& round = entry.second;
    return round.finished_count < round.slices.size() &&
           std::ranges::any_of(round.slices,
                               [](const auto& slice) { return slice && slice->is_begun(); });
  });
}

void Job::Stop() {
  End running = End::kNone;
  end_.compare_exchange_strong(running, End::kStopped);
  const std::lock_guard lock(mutex_);
  for (const auto& [id, round] : rounds_) {
    for (const auto& slice : round.slices) {
      if (slice) slice->StopWaiting();
    }
  }
}

void Job::Close() {
  end_ = End::kClosed;
  Stop();
  const std::unique_lock gate(journal_gate_);
  if (journal_) journal_->Remove();
}

void Job::Sync() const {
  if (journal_) journal_->Sync();
}

bool Job::is_idle_since(base::TimePoint moment) const {
  return calls_.load() == 0 && last_used_.load() < moment;
}

JobStatus Job::status() const {
  JobStatus status = {.name = spec_.job, .worker_count = spec_.worker_count};
  status.waiting = waiting_.load();
  status.idle_seconds =
      calls_.load() > 0 ? 0 : base::Seconds(base::SystemClock().Now() - last_used_.load());
  if (journal_) status.journal_bytes = journal_->size_bytes();
  const std::lock_guard lock(mutex_);
  status.round = latest_round_;
  status.rounds_finished = rounds_finished_;
  status.rounds_kept = rounds_.size();
  for (const auto& slice : model_) {
    if (!slice) continue;
    status.model_length += slice->length();
    status.merges = std::max(status.merges, slice->merge_count());
  }
  for (const auto& [id, round] : rounds_) {
    if (round.finished_count == round.slices.size()) continue;
    for (const auto& slice : round.slices) {
      if (!slice || slice->is_finished()) continue;
      status.missing_ranks = slice->MissingRanks();
      break;
    }
    break;
  }
  return status;
}

}  // namespace lambdaml::ps

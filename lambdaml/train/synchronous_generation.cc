#include "lambdaml/train/synchronous_generation.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/comm/job_keys.h"

namespace lambdaml::train {

using base::Error;
using base::ErrorCode;

namespace {

// What may be lost to a crash: a worker that comes back goes through so much again.
constexpr base::Duration kSaveInterval = std::chrono::minutes(1);
// How long a wait for peers is kept up by the question whether it is of use.
constexpr base::Duration kQuestionMax = std::chrono::seconds(2);

// One rank keeps all results, or each a share.
uint64_t KeptBytesMax(const wire::Job& job) {
  const bool is_shared = job.sync_mode == wire::SyncMode::kReduceScatter;
  return kKeptBytesMax / static_cast<uint64_t>(is_shared ? job.n_workers : 1);
}

int64_t EpochMsOf(const base::Deadline& deadline) {
  const auto at = std::chrono::system_clock::now() + deadline.Remaining();
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

}  // namespace

SynchronousGeneration::SynchronousGeneration(GenerationOptions options,
                                             std::optional<CheckpointManifest> manifest)
    : job_(options.job),
      checkpoints_(options.checkpoints),
      manifest_(std::move(manifest)),
      visit_more_(std::move(options.visit_more)),
      is_job_over_(std::move(options.is_job_over)),
      end_(options.end),
      first_end_epoch_ms_(EpochMsOf(end_)),
      saved_at_(base::SystemClock().Now()) {
  if (job_.generation > 0 && !manifest_) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("rank {}: generation {} has no checkpoint to go on from in {}",
                            job_.worker_index, job_.generation, checkpoints_.store().url()));
  }
  if (manifest_ && std::cmp_not_equal(manifest_->ranks.size(), job_.n_workers)) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("the checkpoint in {} is of {} workers, the job has {}",
                            checkpoints_.store().url(), manifest_->ranks.size(), job_.n_workers));
  }
}

void SynchronousGeneration::Describe(comm::Membership& membership) {
  membership.generation = static_cast<uint64_t>(job_.generation);
  membership.keeps_results = job_.max_restarts > 0;
  membership.was_here = job_.attempt > 1;
  if (manifest_ && manifest_->generation == membership.generation) {
    membership.rounds_before = manifest_->rounds;
    membership.was_here = membership.was_here || manifest_->rounds > 0;
  }
  if (membership.rounds_before == 0 && job_.generation > 0) {
    // What the end of the generation before could not delete (Save).
    comm::Membership before = membership;
    before.generation = membership.generation - 1;
    membership.leftover_keys = {
        comm::BroadcastKey(before, manifest_->rounds_ended, membership.rank)};
  }
  if (membership.rank == 0) membership.announcement = [this] { return Decide(); };
  membership.is_left_behind = [this] { return IsLeftBehind(); };
}

bool SynchronousGeneration::IsLeftBehind() {
  try {
    const int64_t known = manifest_ ? manifest_->number : 0;
    const auto soon = base::Deadline::Earlier(end_, base::Deadline::After(kQuestionMax));
    return checkpoints_.HasNewer(known, soon) || is_job_over_();
  } catch (const Error&) {
    return false;  // what the place is needed for will say what is wrong with it
  }
}

void SynchronousGeneration::Join(comm::Communicator& communicator) {
  communicator_ = &communicator;
  if (communicator.rounds() > 0) return;
  base::Json hello = base::Json::EmptyObject();
  hello.Set("end", first_end_epoch_ms_);
  const int64_t checkpoint = manifest_ ? manifest_->number : 0;
  hello.Set("checkpoint", checkpoint);
  const std::string text = hello.Dump();
  for (const base::Blob& blob : communicator.AllGather(base::AsBytes(text))) {
    const base::Json peer = base::Json::Parse(blob.text(), "a worker's arrival");
    // Of two that were paused one may have seen an older checkpoint: rather no model than a wrong
    // one.
    if (const int64_t other = peer.At("checkpoint").AsInteger(); other != checkpoint) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("rank {}: generation {} begins with checkpoint {} here and with {} "
                              "at another rank",
                              job_.worker_index, job_.generation, checkpoint, other));
    }
    first_end_epoch_ms_ = std::min(first_end_epoch_ms_, peer.At("end").AsInteger());
  }
  StartPace();
}

void SynchronousGeneration::Restore(const StateVisitor& visit) {
  wire::RankState state = {
      wire::State(checkpoints_.Shared(*manifest_, end_), "the checkpoint's common part"),
      wire::State(checkpoints_.Rank(*manifest_, job_.worker_index, end_),
                  fmt::format("the checkpoint's part of rank {}", job_.worker_index))};
  const int64_t own_first_end = first_end_epoch_ms_;
  Visit(visit, state);
  state.shared.CheckEnd();
  state.own.CheckEnd();
  // The ends of a generation's invocations are known from its first round, or, to one that has
  // missed that round, from the state.
  if (pace_) first_end_epoch_ms_ = own_first_end;
  StartPace();
  // In the middle of a generation its first epoch is the state's, so that all ranks count alike.
  const bool is_first_of_generation =
      std::cmp_not_equal(manifest_->generation, job_.generation) || manifest_->rounds == 0;
  if (is_first_of_generation) first_epoch_ = manifest_->epochs;
  rounds_at_save_ = communicator_->rounds();
}

void SynchronousGeneration::StartPace() {
  pace_.emplace(base::Deadline::AtEpochMs(first_end_epoch_ms_), base::FromSeconds(job_.timeout_s),
                base::FromSeconds(longest_lap_s_), base::FromSeconds(longest_save_s_));
}

comm::Announcement SynchronousGeneration::Decide() {
  if (!pace_) return kGoOn;
  pace_->Lap();
  if (pace_->MustEnd()) return kEnd;
  if (job_.max_restarts == 0) return kGoOn;
  const bool is_due = base::SystemClock().Now() - saved_at_ > kSaveInterval ||
                      communicator_->kept_bytes() > KeptBytesMax(job_);
  return is_due ? kSave : kGoOn;
}

SynchronousGeneration::Word SynchronousGeneration::WordAt(int64_t epochs, bool epoch_ended) const {
  if (communicator_->announced() == kEnd) return kEnd;
  if (epoch_ended && job_.run_epochs && epochs - first_epoch_ >= *job_.run_epochs) return kEnd;
  const bool is_counted =
      epoch_ended && job_.checkpoint_every && epochs % *job_.checkpoint_every == 0;
  return is_counted ? kSave : static_cast<Word>(communicator_->announced());
}

bool SynchronousGeneration::GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) {
  const Word word = WordAt(epochs, epoch_ended);
  // Nothing has happened since the last time: an announcement counts once.
  if (word == kGoOn || communicator_->rounds() == rounds_at_save_) return true;
  Save(word, epochs, visit);
  return word != kEnd;
}

bool SynchronousGeneration::Meet(int64_t /*epochs*/, const StateVisitor& /*visit*/,
                                 const std::function<void()>& meet) {
  meet();
  return true;
}

void SynchronousGeneration::Visit(const StateVisitor& visit, wire::RankState& state) {
  state.shared.Visit("first_end_epoch_ms", first_end_epoch_ms_);
  state.shared.Visit("first_epoch", first_epoch_);
  state.shared.Visit("longest_lap", longest_lap_s_);
  state.shared.Visit("longest_save", longest_save_s_);
  visit_more_(state);
  visit(state);
}

void SynchronousGeneration::Save(Word word, int64_t epochs, const StateVisitor& visit) {
  const base::TimePoint start = base::SystemClock().Now();
  const int64_t number = manifest_ ? manifest_->number + 1 : 1;
  const bool is_first = job_.worker_index == 0;
  if (pace_) {
    longest_lap_s_ = base::Seconds(pace_->longest_lap());
    longest_save_s_ = base::Seconds(pace_->longest_save());
  }

  wire::RankState state;
  Visit(visit, state);
  CheckpointPart shared;
  if (is_first) {
    if (!manifest_) checkpoints_.PutJob(job_.origin, end_);
    shared = checkpoints_.PutShared(number, state.shared.TakeBytes(), end_);
  }
  const CheckpointPart own =
      checkpoints_.PutRank(number, job_.worker_index, state.own.TakeBytes(), end_);

  CheckpointManifest manifest = Agree(shared, own);
  manifest.number = number;
  manifest.job_id = job_.job_id;
  manifest.epochs = epochs;
  manifest.generation = static_cast<uint64_t>(job_.generation) + (word == kEnd ? 1 : 0);
  manifest.rounds = word == kEnd ? 0 : communicator_->rounds();
  manifest.rounds_ended = communicator_->rounds();
  if (is_first) {
    checkpoints_.PutManifest(manifest, end_);
  } else if (word == kEnd && !checkpoints_.WaitFor(number, end_)) {
    throw Error(ErrorCode::kDeadlineExceeded,
                fmt::format("rank {}: rank 0 has not finished checkpoint {} of generation {}",
                            job_.worker_index, number, job_.generation));
  }
  if (older_) checkpoints_.Delete(*older_, job_.worker_index, end_);
  communicator_->ReleaseResults();
  if (word == kEnd) communicator_->DeleteReleased();
  older_ = std::exchange(manifest_, std::move(manifest));
  rounds_at_save_ = communicator_->rounds();
  saved_at_ = base::SystemClock().Now();
  if (pace_) pace_->Saved(saved_at_ - start);
}

CheckpointManifest SynchronousGeneration::Agree(const CheckpointPart& shared,
                                                const CheckpointPart& own) {
  base::Json mine = base::Json::EmptyObject();
  mine.Set("shared", ToJson(shared));
  mine.Set("own", ToJson(own));
  const std::string text = mine.Dump();
  CheckpointManifest manifest;
  for (const base::Blob& blob : communicator_->AllGather(base::AsBytes(text))) {
    const base::Json peer = base::Json::Parse(blob.text(), "a worker's part of a checkpoint");
    if (manifest.ranks.empty()) manifest.shared = CheckpointPartFromJson(peer.At("shared"));
    manifest.ranks.push_back(CheckpointPartFromJson(peer.At("own")));
  }
  return manifest;
}

}  // namespace lambdaml::train

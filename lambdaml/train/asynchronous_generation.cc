#include "lambdaml/train/asynchronous_generation.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::train {
namespace {

constexpr base::Duration kSaveInterval = std::chrono::minutes(1);
// What a rank that waits for the slowest keeps for saving its own state.
constexpr base::Duration kMeetReserve = std::chrono::seconds(1);

}  // namespace

AsynchronousGeneration::AsynchronousGeneration(GenerationOptions options)
    : job_(options.job),
      checkpoints_(options.checkpoints),
      visit_more_(std::move(options.visit_more)),
      is_job_over_(std::move(options.is_job_over)),
      end_(options.end),
      pace_(end_, base::FromSeconds(job_.timeout_s)),
      saved_at_(base::SystemClock().Now()) {
  if (job_.generation == 0 && job_.attempt == 1) return;
  std::optional<base::Blob> bytes = checkpoints_.Async(job_.worker_index, end_);
  // Nothing was saved yet: the rank begins anew, and the shared model knows what it has done.
  if (!bytes) return;
  const std::string origin = fmt::format("the saved state of rank {}", job_.worker_index);
  wire::State whole(*std::move(bytes), origin);
  std::string shared;
  std::string own;
  whole.Visit("rounds", rounds_);
  whole.Visit("epochs", first_epoch_);
  whole.Visit("shared", shared);
  whole.Visit("own", own);
  whole.CheckEnd();
  state_.emplace(wire::RankState{wire::State(base::Blob::Copy(base::AsBytes(shared)), origin),
                                 wire::State(base::Blob::Copy(base::AsBytes(own)), origin)});
}

void AsynchronousGeneration::Describe(comm::Membership& membership) {
  // All generations meet in the same rounds, since each rank is in its own.
  membership.keeps_results = true;
  membership.was_here = job_.generation > 0 || job_.attempt > 1;
  membership.rounds_before = rounds_;
  membership.round_timeout = end_.Remaining() - kMeetReserve;
  membership.start_timeout = membership.round_timeout;
  membership.is_left_behind = [this] { return IsLeftBehind(); };
}

bool AsynchronousGeneration::IsLeftBehind() {
  try {
    return is_job_over_();
  } catch (const base::Error&) {
    return false;  // what the place is needed for will say what is wrong with it
  }
}

void AsynchronousGeneration::Join(comm::Communicator& communicator) {
  communicator_ = &communicator;
}

void AsynchronousGeneration::Restore(const StateVisitor& visit) {
  visit_more_(*state_);
  visit(*state_);
  state_->shared.CheckEnd();
  state_->own.CheckEnd();
}

bool AsynchronousGeneration::GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) {
  pace_.Lap();
  const bool enough_epochs =
      epoch_ended && job_.run_epochs && epochs - first_epoch_ >= *job_.run_epochs;
  const bool is_last = pace_.MustEnd() || enough_epochs;
  const bool is_counted =
      epoch_ended && job_.checkpoint_every && epochs % *job_.checkpoint_every == 0;
  const base::TimePoint now = base::SystemClock().Now();
  if (!is_last && !is_counted && now - saved_at_ < kSaveInterval) return true;
  Save(communicator_->rounds(), epochs, visit);
  saved_at_ = base::SystemClock().Now();
  pace_.Saved(saved_at_ - now);
  return !is_last;
}

bool AsynchronousGeneration::Meet(int64_t epochs, const StateVisitor& visit,
                                  const std::function<void()>& meet) {
  const uint64_t rounds = communicator_->rounds();
  try {
    meet();
    return true;
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::kDeadlineExceeded) throw;
  }
  Save(rounds, epochs, visit);
  return false;
}

void AsynchronousGeneration::Save(uint64_t rounds, int64_t epochs, const StateVisitor& visit) {
  if (!state_ && job_.worker_index == 0) checkpoints_.PutJob(job_.origin, end_);
  wire::RankState state;
  visit_more_(state);
  visit(state);
  const base::Bytes shared_bytes = state.shared.TakeBytes();
  const base::Bytes own_bytes = state.own.TakeBytes();
  std::string shared(base::AsText(shared_bytes));
  std::string own(base::AsText(own_bytes));
  wire::State whole;
  whole.Visit("rounds", rounds);
  whole.Visit("epochs", epochs);
  whole.Visit("shared", shared);
  whole.Visit("own", own);
  checkpoints_.PutAsync(job_.worker_index, whole.TakeBytes(), end_);
}

}  // namespace lambdaml::train

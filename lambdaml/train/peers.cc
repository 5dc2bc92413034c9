#include "lambdaml/train/peers.h"

#include <utility>

namespace lambdaml::train {
namespace {

comm::Membership MembershipOf(const wire::Job& job, const base::Deadline& end,
                              CheckpointedGeneration* generation, JobWatch* watch) {
  comm::Membership membership = {.job = job.job_id,
                                 .rank = static_cast<int>(job.worker_index),
                                 .worker_count = static_cast<int>(job.n_workers),
                                 .round_timeout = base::FromSeconds(job.round_timeout_s),
                                 .start_timeout = base::FromSeconds(job.start_timeout_s),
                                 .end = end};
  if (generation != nullptr) generation->Describe(membership);
  if (watch != nullptr && job.is_watched) {
    membership.is_left_behind = [watch, asked = std::move(membership.is_left_behind)] {
      watch->ThrowIfUnwanted();
      return asked && asked();
    };
  }
  return membership;
}

comm::Pattern PatternOf(const wire::Job& job) {
  return job.sync_mode == wire::SyncMode::kReduceScatter ? comm::Pattern::kReduceScatter
                                                         : comm::Pattern::kReduce;
}

}  // namespace

Peers::Peers(const wire::Job& job, comm::Channel& channel, const base::Deadline& end,
             CheckpointedGeneration* generation, JobWatch* watch)
    : channel_(channel),
      membership_(MembershipOf(job, end, generation, watch)),
      communicator_(channel.MakeCommunicator(PatternOf(job), membership_)) {}

comm::SharedModel& Peers::MakeSharedModel(size_t length) {
  shared_ = channel_.MakeSharedModel(membership_, length);
  return *shared_;
}

comm::CommStats Peers::stats() const {
  comm::CommStats total = communicator_->stats();
  if (shared_) {
    total.communicating += shared_->stats().communicating;
    total.rounds += shared_->stats().rounds;
  }
  return total;
}

}  // namespace lambdaml::train

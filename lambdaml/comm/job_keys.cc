#include "lambdaml/comm/job_keys.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/store/key.h"

namespace lambdaml::comm {
namespace {

constexpr size_t kJobSizeMaxBytes = 120;  // leaves room in a key for folder, round and segment

void CheckJob(const std::string& job) {
  if (job.size() <= kJobSizeMaxBytes && store::IsKey(job) && store::FolderOf(job).empty()) return;
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("'{}' cannot name a job: use 1 to {} of A-Z a-z 0-9 . _ -", job,
                                kJobSizeMaxBytes));
}

}  // namespace

std::string InboxKey(const Membership& membership, int to_rank, uint64_t round, int from_rank) {
  return fmt::format("{}/{}/to{}/{}.{}", membership.job, membership.generation, to_rank, round,
                     from_rank);
}

std::string BroadcastKey(const Membership& membership, uint64_t round, int from_rank) {
  return fmt::format("{}/{}/all/{}.{}", membership.job, membership.generation, round, from_rank);
}

std::string ModelKey(const std::string& job, uint64_t part) {
  return fmt::format("{}/model/{}", job, part);
}

void CheckMembership(const Membership& membership) {
  CheckJob(membership.job);
  if (membership.rank >= 0 && membership.rank < membership.worker_count) return;
  throw base::Error(
      base::ErrorCode::kInvalidArgument,
      fmt::format("rank {} is not one of {} workers", membership.rank, membership.worker_count));
}

void DeleteJob(store::Store& store, const std::string& job, const base::Deadline& deadline) {
  CheckJob(job);
  store.TearDown(job + "/", deadline);
}

}  // namespace lambdaml::comm

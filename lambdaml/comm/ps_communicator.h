// Collectives over a parameter server, which merges: a rank contributes, and gets the result with
// the same call.
//
// The server keeps what a round came to as long as a rank may ask for it, takes a contribution once
// however often it comes, and gives all ranks the announcement of rank 0's first. So a rank that is
// invoked again goes through the same rounds; it looks first whether a round is finished, as long
// as rounds are that an earlier invocation has seen, and spares the bytes.
//
// Requests per rank and round: one for each started MiB of the vector, and one more for each 5 s of
// waiting. Bytes: it sends its contribution and receives the result, once each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/ps/client.h"

namespace lambdaml::comm {

class PsCommunicator final : public Communicator {
 public:
  // The client must be of this rank and job, and live as long.
  PsCommunicator(ps::Client& client, Membership membership);

  int rank() const override { return membership_.rank; }
  int worker_count() const override { return membership_.worker_count; }
  CommStats stats() const override { return stats_; }
  Announcement announced() const override { return announced_; }
  uint64_t rounds() const override { return round_; }
  void ReleaseResults() override { released_round_ = round_; }
  // The server keeps a result once, for all ranks: rank 0 counts it.
  uint64_t kept_bytes() const override { return kept_bytes_; }
  void DeleteReleased() override;

  void AllReduceSum(std::span<double> scalars, std::span<float> vector,
                    wire::Precision precision) override;
  std::vector<base::Blob> AllGather(base::ByteSpan contribution) override;
  // Peers need the server only.
  void Leave() override {}

 private:
  void BeginRound();
  // Every rank has contributed to the present round, which came to so many bytes.
  void EndRound(uint64_t result_bytes);
  // Rounds before this one of the present generation are not needed any more.
  void Release(uint64_t before);
  ps::RoundId Id() const { return {membership_.generation, round_}; }
  [[noreturn]] void ThrowMissing(const std::vector<int>& ranks) const;

  ps::Client& client_;
  const Membership membership_;
  bool may_be_finished_;  // the next round, by an earlier invocation of this rank
  CommStats stats_;
  Announcement announced_ = 0;
  uint64_t round_;                          // the present one, counted from 1
  std::optional<uint64_t> released_round_;  // not yet said to the server
  uint64_t kept_bytes_ = 0;                 // of the rounds since
  base::TimePoint round_start_;
  base::Deadline round_end_;
};

}  // namespace lambdaml::comm

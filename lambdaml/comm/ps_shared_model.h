// The shared model of asynchronous training on a parameter server, which adds the changes as they
// come. Each is numbered by its rank, so that one that is repeated counts once.
//
// Requests per Join or Merge: one for each started MiB of the model. Bytes: the change there, the
// model back. A merge is atomic for each MiB, not over all.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/ps/client.h"

namespace lambdaml::comm {

class PsSharedModel final : public SharedModel {
 public:
  // The client must be of this rank and job, and live as long.
  PsSharedModel(ps::Client& client, Membership membership, size_t length);

  void Join(std::span<float> model) override;
  // Those that are in all of the model: if an invocation of this rank has ended while it merged,
  // the same merge can be made again, and completes it.
  uint64_t own_merges() const override { return own_merges_; }
  void Merge(std::span<const float> change, std::span<float> model) override;
  CommStats stats() const override { return stats_; }

 private:
  base::Deadline RoundEnd() const;

  ps::Client& client_;
  const Membership membership_;
  const size_t length_;
  uint64_t own_merges_ = 0;
  CommStats stats_;
};

}  // namespace lambdaml::comm

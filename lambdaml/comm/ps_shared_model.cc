#include "lambdaml/comm/ps_shared_model.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"

namespace lambdaml::comm {

PsSharedModel::PsSharedModel(ps::Client& client, Membership membership, size_t length)
    : client_(client), membership_(std::move(membership)), length_(length) {}

void PsSharedModel::Join(std::span<float> model) {
  LAMBDAML_CHECK(model.size() == length_);
  const base::ScopedTimer timer(&stats_.communicating);
  ++stats_.rounds;
  own_merges_ = client_.JoinModel(model, RoundEnd());
}

void PsSharedModel::Merge(std::span<const float> change, std::span<float> model) {
  LAMBDAML_CHECK(change.size() == length_ && model.size() == length_);
  const base::ScopedTimer timer(&stats_.communicating);
  ++stats_.rounds;
  const uint64_t number = own_merges_ + 1;
  const uint64_t merges = client_.MergeModel(number, change, model, RoundEnd());
  if (merges > number) {
    throw base::Error(
        base::ErrorCode::kAlreadyExists,
        fmt::format("rank {}: another worker has merged into the shared model of job {} as rank "
                    "{}: this one started twice, and their changes cannot be told apart",
                    membership_.rank, membership_.job, membership_.rank));
  }
  own_merges_ = number;
}

base::Deadline PsSharedModel::RoundEnd() const {
  return base::Deadline::Earlier(
      base::Deadline::After(membership_.round_timeout, membership_.end.clock()), membership_.end);
}

}  // namespace lambdaml::comm

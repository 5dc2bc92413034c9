#include "lambdaml/comm/reduce.h"

#include <algorithm>

#include "lambdaml/wire/rank_order_sum.h"

namespace lambdaml::comm {
namespace {

constexpr int kMerger = 0;

}  // namespace

void Reduce::SumOverRanks(std::span<double> scalars, std::span<float> vector) {
  if (rank() == kMerger) {
    Merge(scalars, vector);
  } else {
    Contribute(scalars, vector);
  }
}

void Reduce::Merge(std::span<double> scalars, std::span<float> vector) {
  std::vector<Incoming> expected;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer == kMerger) continue;
    const Route route = {wire::MessageKind::kContribution, peer, kMerger, 0};
    expected.push_back({route, scalars.size(), vector.size()});
  }
  const std::vector<wire::Message> contributions = Receive(expected);
  EveryRankHasContributed();

  std::vector<wire::VectorView> terms = {wire::VectorView::Dense(scalars, vector)};
  for (const wire::Message& contribution : contributions) terms.push_back(contribution.vector);
  wire::SumInRankOrder(terms, scalars, vector);
  const Outgoing sum = {{wire::MessageKind::kMerged, kMerger, kAllRanks, 0}, scalars, vector};
  Send(std::span(&sum, 1));
}

void Reduce::Contribute(std::span<double> scalars, std::span<float> vector) {
  const Outgoing contribution = {
      {wire::MessageKind::kContribution, rank(), kMerger, 0}, scalars, vector};
  Send(std::span(&contribution, 1));

  const Incoming expected = {
      {wire::MessageKind::kMerged, kMerger, kAllRanks, 0}, scalars.size(), vector.size()};
  const wire::Message sum = std::move(Receive(std::span(&expected, 1)).front());
  EveryRankHasContributed();
  std::ranges::copy(sum.vector.scalars, scalars.begin());
  wire::ExpandVector(sum.vector, vector);
}

}  // namespace lambdaml::comm

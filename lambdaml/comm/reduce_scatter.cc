#include "lambdaml/comm/reduce_scatter.h"

#include <algorithm>

#include "lambdaml/wire/rank_order_sum.h"

namespace lambdaml::comm {

ReduceScatter::Chunk ReduceScatter::ChunkOf(int chunk, std::span<double> scalars,
                                            std::span<float> vector) const {
  const size_t total = scalars.size() + vector.size();
  const auto bound = [&](int number) {
    return total * static_cast<size_t>(number) / static_cast<size_t>(worker_count());
  };
  const size_t begin = bound(chunk);
  const size_t end = bound(chunk + 1);
  const size_t scalar_begin = std::min(begin, scalars.size());
  const size_t scalar_end = std::min(end, scalars.size());
  const size_t vector_begin = std::max(begin, scalars.size()) - scalars.size();
  const size_t vector_end = std::max(end, scalars.size()) - scalars.size();
  return {scalars.subspan(scalar_begin, scalar_end - scalar_begin),
          vector.subspan(vector_begin, vector_end - vector_begin)};
}

void ReduceScatter::SumOverRanks(std::span<double> scalars, std::span<float> vector) {
  // From the next rank on, so that not all ranks write to rank 0 first.
  std::vector<Outgoing> outgoing;
  for (int step = 1; step < worker_count(); ++step) {
    const int peer = (rank() + step) % worker_count();
    const Chunk chunk = ChunkOf(peer, scalars, vector);
    const Route route = {wire::MessageKind::kContribution, rank(), peer,
                         static_cast<uint32_t>(peer)};
    outgoing.push_back({route, chunk.scalars, chunk.vector});
  }
  Send(outgoing);
  MergeOwnChunk(ChunkOf(rank(), scalars, vector));

  std::vector<Incoming> expected;
  std::vector<Chunk> chunks;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer == rank()) continue;
    chunks.push_back(ChunkOf(peer, scalars, vector));
    const Route route = {wire::MessageKind::kMerged, peer, kAllRanks, static_cast<uint32_t>(peer)};
    expected.push_back({route, chunks.back().scalars.size(), chunks.back().vector.size()});
  }
  const std::vector<wire::Message> sums = Receive(expected);
  for (size_t i = 0; i < chunks.size(); ++i) {
    std::ranges::copy(sums[i].vector.scalars, chunks[i].scalars.begin());
    wire::ExpandVector(sums[i].vector, chunks[i].vector);
  }
}

void ReduceScatter::MergeOwnChunk(const Chunk& own) {
  const auto chunk = static_cast<uint32_t>(rank());
  std::vector<Incoming> expected;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer == rank()) continue;
    const Route route = {wire::MessageKind::kContribution, peer, rank(), chunk};
    expected.push_back({route, own.scalars.size(), own.vector.size()});
  }
  const std::vector<wire::Message> contributions = Receive(expected);
  EveryRankHasContributed();

  std::vector<wire::VectorView> terms;
  for (const wire::Message& contribution : contributions) terms.push_back(contribution.vector);
  terms.insert(terms.begin() + rank(), wire::VectorView::Dense(own.scalars, own.vector));
  wire::SumInRankOrder(terms, own.scalars, own.vector);
  const Outgoing sum = {
      {wire::MessageKind::kMerged, rank(), kAllRanks, chunk}, own.scalars, own.vector};
  Send(std::span(&sum, 1));
}

}  // namespace lambdaml::comm

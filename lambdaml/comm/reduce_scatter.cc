#include "lambdaml/comm/reduce_scatter.h"

#include <algorithm>

namespace lambdaml::comm {

std::vector<StoreCommunicator::Chunk> ReduceScatter::ChunksOf(std::span<double> scalars,
                                                              std::span<float> vector) const {
  const size_t total = scalars.size() + vector.size();
  std::vector<Chunk> chunks;
  size_t begin = 0;
  for (int merger = 0; merger < worker_count(); ++merger) {
    const size_t end =
        total * static_cast<size_t>(merger + 1) / static_cast<size_t>(worker_count());
    const size_t scalar_begin = std::min(begin, scalars.size());
    const size_t scalar_end = std::min(end, scalars.size());
    const size_t vector_begin = std::max(begin, scalars.size()) - scalars.size();
    const size_t vector_end = std::max(end, scalars.size()) - scalars.size();
    chunks.push_back({.merger = merger,
                      .number = static_cast<uint32_t>(merger),
                      .scalars = scalars.subspan(scalar_begin, scalar_end - scalar_begin),
                      .vector = vector.subspan(vector_begin, vector_end - vector_begin)});
    begin = end;
  }
  return chunks;
}

}  // namespace lambdaml::comm

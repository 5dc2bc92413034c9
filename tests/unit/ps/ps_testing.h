// What the tests of the parameter server share: messages and calls as a rank makes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/ps/slice_call.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::ps {

inline base::Blob VectorMessage(wire::MessageKind kind, uint64_t round, int rank,
                                const std::vector<double>& scalars,
                                const std::vector<float>& vector, uint32_t slice = 0) {
  wire::MessageEncoder encoder;
  return base::Blob::Copy(
      encoder.EncodeVector({kind, round, static_cast<uint32_t>(rank), slice}, scalars, vector));
}

inline base::Blob BytesMessage(uint64_t round, int rank, std::string_view text) {
  wire::MessageEncoder encoder;
  return base::Blob::Copy(encoder.EncodeBytes(
      {wire::MessageKind::kGathered, round, static_cast<uint32_t>(rank), 0}, base::AsBytes(text)));
}

inline SliceCall Pull(uint64_t round, int rank = 0) {
  return {.job = "job", .round = {0, round}, .rank = rank};
}

inline SliceCall Push(uint64_t round, int rank, const std::vector<float>& vector,
                      const std::vector<double>& scalars = {}, uint64_t announcement = 0) {
  SliceCall call = Pull(round, rank);
  call.announcement = announcement;
  call.message = VectorMessage(wire::MessageKind::kContribution, round, rank, scalars, vector);
  return call;
}

inline SliceCall MergeCall(uint64_t number, int rank, const std::vector<float>& vector) {
  SliceCall call = Pull(number, rank);
  call.message = VectorMessage(wire::MessageKind::kModel, number, rank, {}, vector);
  return call;
}

inline std::vector<float> VectorOf(const SliceAnswer& answer) {
  const wire::Message message = wire::DecodeMessage(answer.message, "answer");
  std::vector<float> vector(message.vector.element_count);
  wire::ExpandVector(message.vector, vector);
  return vector;
}

inline std::vector<double> ScalarsOf(const SliceAnswer& answer) {
  const wire::Message message = wire::DecodeMessage(answer.message, "answer");
  return {message.vector.scalars.begin(), message.vector.scalars.end()};
}

}  // namespace lambdaml::ps

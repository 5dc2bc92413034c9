// The state of a run as bytes. The same function saves and restores it: it names its variables, one
// after the other, and a State that saves takes their values down, one that restores sets them.
//
// Format, version 1. All numbers are little-endian.
//
//   state   = magic version checksum entry*
//   entry   = type name_size count name pad values pad     ; pad: zero bytes up to a multiple of 8
//   magic   = "LMLS"; version = uint32, 1; checksum = uint64, XXH3-64 of what follows
//   type    = uint32 (1 int64, 2 float32, 3 float64, 4 byte); name_size = uint32; count = uint64
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::wire {

// Threads: one.
class State {
 public:
  // Takes values down.
  State() = default;

  // Gives out what an earlier State has taken down. `origin` names the bytes in errors.
  // Errors: kCorrupt if the bytes are no state, or damaged.
  State(base::Blob bytes, std::string origin);

  bool is_saving() const { return saving_; }

  // A variable. Restoring visits the same names in the same order, with the same types. Spans keep
  // their length. Errors, when restoring: kCorrupt if the state says otherwise; the variables
  // visited before have been set then.
  void Visit(std::string_view name, int64_t& value);
  void Visit(std::string_view name, uint64_t& value);
  void Visit(std::string_view name, double& value);
  void Visit(std::string_view name, bool& value);
  void Visit(std::string_view name, std::string& value);
  void Visit(std::string_view name, std::vector<int64_t>& values);
  void Visit(std::string_view name, std::vector<float>& values);
  void Visit(std::string_view name, std::vector<double>& values);
  void Visit(std::string_view name, std::span<float> values);
  void Visit(std::string_view name, std::span<double> values);

  // All that was taken down; the State is empty afterwards.
  base::Bytes TakeBytes();

  // Errors: kCorrupt if something was not visited.
  void CheckEnd() const;

 private:
  enum class Type : uint32_t { kInt64 = 1, kFloat32 = 2, kFloat64 = 3, kByte = 4 };

  template <typename T>
  void VisitSpan(std::string_view name, Type type, std::span<T> values);
  template <typename T>
  void VisitVector(std::string_view name, Type type, std::vector<T>& values);
  void Append(std::string_view name, Type type, uint64_t count, base::ByteSpan values);
  // The next entry's values. Errors: kCorrupt.
  base::ByteSpan Next(std::string_view name, Type type);
  [[noreturn]] void ThrowCorrupt(std::string_view cause) const;

  bool saving_ = true;
  base::Bytes saved_ = base::Bytes(kHeaderSizeBytes);
  base::Blob restored_;
  std::string origin_;
  size_t position_ = 0;  // in restored_

  static constexpr size_t kHeaderSizeBytes = 16;
};

// The state of one rank in two parts: what is the same on every rank, and is kept once, and what is
// this rank's own.
struct RankState {
  State shared;
  State own;
};

}  // namespace lambdaml::wire

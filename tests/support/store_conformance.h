// The conformance suite of stores: what every store must do. A test program that has stores to
// check links lambdaml_store_conformance and names them:
//
//   INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, testing::Values(FileBackend()),
//                            testing::PrintToStringParamName());
//
// The tests stand in store_conformance.cc (values, keys), store_conformance_races.cc and
// store_conformance_waits.cc (waiting, deadlines, counting).
#pragma once

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

#include "support/store_backend.h"

namespace lambdaml::test {

class StoreConformance : public testing::TestWithParam<StoreBackend> {
 protected:
  void SetUp() override;

  // A minute from now.
  static base::Deadline Soon();
  static base::Bytes RandomBytes(size_t size, uint64_t seed);
  // The code of the error that the call ends with, if any.
  static std::optional<base::ErrorCode> ErrorOf(const std::function<void()>& call);

  std::unique_ptr<StorePlace> place_;
  std::unique_ptr<store::Store> store_;
};

}  // namespace lambdaml::test

// Every collective at every number of ranks and length, against closed-form values: for each store
// and pattern. A test program links lambdaml_collectives_suite and names its stores:
//
//   INSTANTIATE_TEST_SUITE_P(Stores, CollectivesTest,
//                            testing::Combine(testing::Values(test::FileBackend()), kPatterns),
//                            CollectivesTest::NameOf);
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <tuple>
#include <vector>

#include "lambdaml/comm/make_communicator.h"

#include "support/store_backend.h"

namespace lambdaml::comm {

inline const auto kPatterns = testing::Values(Pattern::kReduce, Pattern::kReduceScatter);

class CollectivesTest : public testing::TestWithParam<std::tuple<test::StoreBackend, Pattern>> {
 public:
  static std::string NameOf(const testing::TestParamInfo<ParamType>& info);

 protected:
  using Terms = std::vector<std::vector<float>>;  // by rank

  void SetUp() override;
  const test::StoreBackend& backend() const { return std::get<0>(GetParam()); }

  // Runs all ranks of a job in threads, each with a store of its own.
  void RunRanks(int worker_count, const std::function<void(Communicator&)>& body) const;

  // What each rank holds after two rounds: the second one finds buffers and folders in use.
  Terms SumOf(const Terms& terms, wire::Precision precision = wire::Precision::kFloat32) const;
};

}  // namespace lambdaml::comm

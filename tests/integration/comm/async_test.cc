// The shared model of asynchronous training over real servers, and over a network that loses a
// share of requests and answers.
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/comm/make_communicator.h"

#include "support/fault_proxy.h"
#include "support/processes.h"
#include "support/servers/services.h"

namespace lambdaml::comm {
namespace {

constexpr int kWorkers = 4;
constexpr int kMerges = 15;

class AsyncTest : public testing::TestWithParam<test::ServiceKind> {
 protected:
  void SetUp() override {
    if (!GetParam().skip_reason.empty()) GTEST_SKIP() << GetParam().skip_reason;
    service_ = &GetParam().shared();
    place_ = service_->MakePlace();
  }

  static Membership MemberOf(int rank) {
    return {.job = "job", .rank = rank, .worker_count = kWorkers};
  }

  // Adds small integers, which float32 adds exactly in any order.
  void MergeFromAllWorkers(int port, size_t length) const {
    test::RunInThreads(kWorkers, [&](int rank) {
      const auto store = service_->Open(place_, port);
      const auto shared = MakeSharedModel(*store, MemberOf(rank), length);
      std::vector<float> model(length, 100.0F);
      shared->Join(model);
      const std::vector<float> change(length, static_cast<float>(rank + 1));
      for (int merge = 0; merge < kMerges; ++merge) shared->Merge(change, model);
    });
    const auto store = service_->Open(place_, service_->port());
    std::vector<float> model(length);
    MakeSharedModel(*store, MemberOf(0), length)->Join(model);
    const int expected = 100 + kMerges * kWorkers * (kWorkers + 1) / 2;
    for (const float value : model) ASSERT_EQ(value, static_cast<float>(expected));
  }

  test::Service* service_ = nullptr;
  std::string place_;  // of this test alone
};

TEST_P(AsyncTest, NoMergeIsLost) { MergeFromAllWorkers(service_->port(), 1000); }

TEST_P(AsyncTest, AModelOfSeveralPartsLosesNoMerge) {
  MergeFromAllWorkers(service_->port(), 300'000);  // 1.2 MB
}

TEST_P(AsyncTest, NoMergeIsLostOrMadeTwiceWhenRequestsFail) {
  constexpr uint64_t kSeed = 7;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  const test::FaultProxy proxy(service_->port(),
                               {.seed = kSeed,
                                .failure_probability = 0.1,
                                .speaks_http = GetParam().speaks_http,
                                .cuts_requests = GetParam().survives_half_requests});
  MergeFromAllWorkers(proxy.port(), 100);
  EXPECT_GT(proxy.failures(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Services, AsyncTest, testing::ValuesIn(test::AllServices()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace lambdaml::comm

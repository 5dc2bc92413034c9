// Jobs over real servers while requests fail, answers come late, and servers die and come back: no
// bit of any sum changes.
#include <atomic>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "lambdaml/comm/make_communicator.h"

#include "support/fault_proxy.h"
#include "support/processes.h"
#include "support/servers/services.h"

namespace lambdaml::comm {
namespace {

using std::chrono::milliseconds;

class DisturbedTest : public testing::TestWithParam<std::tuple<test::ServiceKind, Pattern>> {
 protected:
  void SetUp() override {
    if (!kind().skip_reason.empty()) GTEST_SKIP() << kind().skip_reason;
    service_ = &kind().shared();
    place_ = service_->MakePlace();
  }

  static const test::ServiceKind& kind() { return std::get<0>(GetParam()); }

  // Runs the ranks of a job until `rounds` sums are made, each checked, and a rank has seen that
  // `done` holds; returns the number of rounds.
  int RunJob(int worker_count, int rounds, int port, const std::atomic<bool>& done) const {
    std::atomic<int> rounds_made{0};
    test::RunInThreads(worker_count, [&](int rank) {
      const auto store = service_->Open(place_, port);
      const Membership membership = {.job = "job", .rank = rank, .worker_count = worker_count};
      const auto communicator = MakeCommunicator(std::get<1>(GetParam()), *store, membership);
      bool goes_on = true;
      for (int round = 1; goes_on; ++round) {
        // All stop after the same round.
        std::vector<double> wishes = {done && round >= rounds ? 1.0 : 0.0};
        std::vector<float> vector(1000, static_cast<float>(rank + round));
        communicator->AllReduceSum(wishes, vector);
        const int sum = worker_count * round + worker_count * (worker_count - 1) / 2;
        ASSERT_EQ(vector, std::vector<float>(1000, static_cast<float>(sum)));
        goes_on = wishes[0] == 0;
        rounds_made = round;
      }
      communicator->Leave();
    });
    return rounds_made;
  }

  test::Service* service_ = nullptr;
  std::string place_;  // of this test alone
};

TEST_P(DisturbedTest, FailingRequestsChangeNoBit) {
  constexpr uint64_t kSeed = 11;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  const test::FaultProxy proxy(service_->port(), {.seed = kSeed,
                                                  .failure_probability = 0.05,
                                                  .speaks_http = kind().speaks_http,
                                                  .cuts_requests = kind().survives_half_requests});
  RunJob(4, 20, proxy.port(), true);
  EXPECT_GT(proxy.failures(), 5U);
}

TEST_P(DisturbedTest, LateAnswersChangeNoBit) {
  const test::FaultProxy proxy(service_->port(), {.latency = milliseconds(100)});
  RunJob(3, 3, proxy.port(), true);
}

TEST_P(DisturbedTest, AServerThatIsKilledAndComesBackChangesNoBit) {
  std::atomic<bool> done{false};
  std::atomic<int> rounds{0};
  std::thread job([&] {
    try {
      rounds = RunJob(3, 1, service_->port(), done);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  });
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(milliseconds(300));
    service_->process().Kill();
    std::this_thread::sleep_for(milliseconds(100));
    service_->process().Start();
  }
  std::this_thread::sleep_for(milliseconds(300));
  done = true;
  job.join();
  EXPECT_GE(rounds, 3);
}

std::string NameOf(const testing::TestParamInfo<DisturbedTest::ParamType>& info) {
  const bool is_reduce = std::get<1>(info.param) == Pattern::kReduce;
  return std::get<0>(info.param).name + (is_reduce ? "Reduce" : "ReduceScatter");
}

INSTANTIATE_TEST_SUITE_P(Services, DisturbedTest,
                         testing::Combine(testing::ValuesIn(test::AllServices()),
                                          testing::Values(Pattern::kReduce,
                                                          Pattern::kReduceScatter)),
                         NameOf);

}  // namespace
}  // namespace lambdaml::comm

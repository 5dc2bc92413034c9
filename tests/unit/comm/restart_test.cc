// Channels that lose what they hold: a restart at any moment changes no bit, and the end of a job
// leaves nobody behind.
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/make_communicator.h"

#include "support/forgetful_store.h"
#include "support/processes.h"
#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class RestartTest : public testing::TestWithParam<Pattern> {
 protected:
  Membership MemberOf(int rank, int worker_count, base::Duration timeout = std::chrono::hours(1)) {
    return {.job = "job",
            .rank = rank,
            .worker_count = worker_count,
            .round_timeout = timeout,
            .end = base::Deadline::After(std::chrono::hours(9), clock_)};
  }

  // Sums and gathers in turns, the values checked, and leaves.
  static void Work(Communicator& communicator, int rounds) {
    const int count = communicator.worker_count();
    for (int round = 1; round <= rounds; ++round) {
      std::vector<double> scalars = {static_cast<double>(round)};
      std::vector<float> vector(100, static_cast<float>(communicator.rank() + round));
      communicator.AllReduceSum(scalars, vector);
      ASSERT_EQ(scalars[0], count * round);
      const int sum = count * round + count * (count - 1) / 2;
      ASSERT_EQ(vector, std::vector<float>(100, static_cast<float>(sum)));
      if (round % 4 != 0) continue;
      const std::string own = std::to_string(round + communicator.rank());
      const auto blobs = communicator.AllGather(base::AsBytes(own));
      for (int rank = 0; rank < count; ++rank) {
        ASSERT_EQ(blobs[static_cast<size_t>(rank)].text(), std::to_string(round + rank));
      }
    }
    communicator.Leave();
  }

  void RunRanks(test::ForgetfulServer& server, int worker_count, int rounds) {
    test::RunInThreads(worker_count, [&](int rank) {
      const auto store = server.Open();
      const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, worker_count));
      Work(*communicator, rounds);
    });
  }

  test::FastClock clock_;
};

TEST_P(RestartTest, RestartsAtAnyMomentChangeNoBit) {
  uint64_t restarts = 0;
  for (const int ranks : {2, 3, 4, 7}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", ranks " + std::to_string(ranks));
      test::ForgetfulServer server(0.005, seed);
      RunRanks(server, ranks, 20);
      restarts += server.restarts();
    }
  }
  EXPECT_GT(restarts, 10U);
}

TEST_P(RestartTest, WithoutRestartsNothingIsPutTwice) {
  test::ForgetfulServer server;
  constexpr uint64_t kRounds = 8;
  test::RunInThreads(3, [&](int rank) {
    const auto store = server.Open();
    const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(rank, 3));
    std::vector<float> vector(100, 1.0F);
    for (uint64_t round = 0; round < kRounds; ++round) communicator->AllReduceSum({}, vector);
    EXPECT_EQ(store->counters().put_requests, kRounds * (GetParam() == Pattern::kReduce ? 1U : 3U));
  });
}

TEST_P(RestartTest, WhoLeavesWaitsForASlowPeerToReadTheLastMessages) {
  test::ForgetfulServer server;
  // Rank 2 is about to read the sum of the last round, which the others hold already, when all is
  // lost.
  const auto lose_the_sum = [&](const std::string& key) {
    if (key != "job/0/all/1.0" || server.restarts() > 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    server.Restart();
  };
  test::RunInThreads(3, [&](int rank) {
    const auto store = rank == 2 ? server.Open(lose_the_sum) : server.Open();
    Membership membership = MemberOf(rank, 3, std::chrono::minutes(5));
    const auto communicator = MakeCommunicator(GetParam(), *store, membership);
    Work(*communicator, 1);
  });
  EXPECT_EQ(server.restarts(), 1U);
}

// A look lasts a second, a restart may take longer, and so may a long message: neither ends a wait.
TEST_P(RestartTest, WaitsOutlastOutagesAndSlowMessages) {
  for (const auto code : {base::ErrorCode::kUnavailable, base::ErrorCode::kDeadlineExceeded}) {
    test::ForgetfulServer server;
    std::atomic<int> failures{0};
    const auto fail = [&](const std::string&) {
      if (++failures > 6) return;
      clock_.SleepFor(seconds(1));
      throw base::Error(code, "injected");
    };
    test::RunInThreads(2, [&](int rank) {
      const auto store = rank == 1 ? server.Open(fail) : server.Open();
      Work(*MakeCommunicator(GetParam(), *store, MemberOf(rank, 2)), 3);
    });
    EXPECT_GT(failures, 6);
  }
}

TEST_P(RestartTest, AServiceThatStaysAwayIsReported) {
  test::ForgetfulServer server;
  const auto store = server.Open([&](const std::string&) {
    clock_.SleepFor(seconds(1));
    throw base::Error(base::ErrorCode::kUnavailable, "injected");
  });
  const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(0, 2));
  const base::TimePoint start = clock_.Now();
  try {
    communicator->AllReduceSum({}, {});
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
  }
  EXPECT_LT(clock_.Now() - start, std::chrono::minutes(30));  // not the round's hour
}

TEST_P(RestartTest, LeavingDeletesAllButTheFarewell) {
  test::ForgetfulServer server;
  RunRanks(server, 4, 10);
  const auto left = server.Open()->List("", base::Deadline::After(seconds(9)));
  EXPECT_EQ(left, std::vector<std::string>{"job/0/all/13.0"});  // 10 sums, 2 gathered, the farewell
}

TEST_P(RestartTest, WhoLeavesWithoutAnAnswerIsHeldUpByNobody) {
  // A restart has taken the farewell of rank 0, which is gone: others wait for as long as an outage
  // may last, and without a restart for a round.
  for (const bool restarts : {true, false}) {
    test::ForgetfulServer server;
    const auto store = server.Open();
    const auto timeout = restarts ? base::Duration(std::chrono::hours(1)) : seconds(5);
    const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(1, 2, timeout));
    if (restarts) server.Restart();
    const base::TimePoint start = clock_.Now();
    communicator->Leave();
    EXPECT_LT(clock_.Now() - start, std::chrono::minutes(30));
  }
}

TEST_P(RestartTest, LeavingADurableStoreAsksForNothing) {
  const auto place = test::MemoryBackend().make_place();
  const auto store = place->Open();
  MakeCommunicator(GetParam(), *store, MemberOf(0, 4))->Leave();
  EXPECT_EQ(store->counters().get_requests + store->counters().put_requests, 0U);
}

TEST_P(RestartTest, AMissingRankIsNamedTogetherWithTheRestart) {
  test::ForgetfulServer server;
  const auto store = server.Open();
  const auto communicator = MakeCommunicator(GetParam(), *store, MemberOf(0, 2, seconds(5)));
  server.Restart();
  try {
    communicator->AllReduceSum({}, {});
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(error.message(), HasSubstr("no contribution of rank 1 to round 1"));
    EXPECT_THAT(error.message(), HasSubstr("has started anew 1 time since this rank joined"));
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, RestartTest,
                         testing::Values(Pattern::kReduce, Pattern::kReduceScatter),
                         [](const testing::TestParamInfo<Pattern>& pattern) {
                           return pattern.param == Pattern::kReduce ? "Reduce" : "ReduceScatter";
                         });

}  // namespace
}  // namespace lambdaml::comm

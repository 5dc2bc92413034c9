// The parameter server as a process of its own, and clients that connect to it.
#include <atomic>
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/ps/client.h"

#include "integration/ps/ranks.h"
#include "support/expect_error.h"
#include "support/servers/ps_server.h"
#include "support/servers/tcp_proxy.h"

namespace lambdaml::test {
namespace {

using ps::Client;
using ::testing::Each;
using ::testing::ElementsAre;

// Element i of a rank's vector: sums over ranks are exact in float32.
float ElementOf(int rank, uint64_t round, size_t i) {
  return static_cast<float>((i * 7 + static_cast<size_t>(rank) + round) % 1000);
}

void FillVector(int rank, uint64_t round, std::vector<float>& vector) {
  for (size_t i = 0; i < vector.size(); ++i) vector[i] = ElementOf(rank, round, i);
}

bool IsSum(int worker_count, uint64_t round, const std::vector<float>& vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    float sum = 0;
    for (int rank = 0; rank < worker_count; ++rank) sum += ElementOf(rank, round, i);
    if (vector[i] != sum) return false;
  }
  return true;
}

TEST(PsServerTest, RanksGetTheSumsOfVectorsOfAnyLength) {
  constexpr int kWorkers = 3;
  const ps::JobSpec spec = {.job = "lengths", .worker_count = kWorkers};
  const std::vector<size_t> lengths = {0, 1, 1000, ps::kSliceLength, 3 * ps::kSliceLength + 5};
  RunRanks(PsServer::Shared().address(), spec, [&](Client& client, int rank) {
    uint64_t round = 0;
    for (const size_t length : lengths) {
      std::vector<float> vector(length);
      FillVector(rank, ++round, vector);
      std::vector<double> scalars = {0.5, static_cast<double>(rank)};
      const ps::RoundOutcome outcome =
          client.ReduceSum({0, round}, rank == 0 ? 7 + round : 0, scalars, vector, Soon());
      ASSERT_TRUE(outcome.is_complete);
      EXPECT_EQ(outcome.announcement, 7 + round);
      EXPECT_TRUE(IsSum(kWorkers, round, vector)) << length << " elements";
      EXPECT_THAT(scalars, ElementsAre(1.5, 3));
    }
    std::vector<base::Blob> blobs;
    const std::string own(static_cast<size_t>(rank) * 100'000, static_cast<char>('a' + rank));
    ASSERT_TRUE(client.Gather({0, ++round}, base::AsBytes(own), &blobs, Soon()).is_complete);
    ASSERT_EQ(blobs.size(), 3U);
    EXPECT_EQ(blobs[0].size(), 0U);
    EXPECT_EQ(blobs[2].text(), std::string(200'000, 'c'));
  });
}

TEST(PsServerTest, FiftyWorkersWaitForEachOtherRoundAfterRound) {
  constexpr int kWorkers = 50;
  PsServer server;
  const ps::JobSpec spec = {.job = "fifty", .worker_count = kWorkers};
  RunRanks(server.address(), spec, [&](Client& client, int rank) {
    std::vector<float> vector(1000);
    for (uint64_t round = 1; round <= 20; ++round) {
      FillVector(rank, round, vector);
      ASSERT_TRUE(client.ReduceSum({0, round}, 0, {}, vector, Soon()).is_complete);
      ASSERT_TRUE(IsSum(kWorkers, round, vector)) << round;
    }
    EXPECT_LE(client.counters().requests, 23U) << "hello, open_job and a call for each round";
  });
  const base::Json status = server.Status();
  EXPECT_EQ(status.At("jobs").AsArray().front().At("rounds_finished").AsInteger(), 20);
}

TEST(PsServerTest, WhoWaitsInVainLearnsWhoIsMissing) {
  const ps::JobSpec spec = {.job = "missing", .worker_count = 4};
  Client client(PsServer::Shared().address(), spec, 2);
  std::vector<float> vector(10);
  const ps::RoundOutcome outcome = client.ReduceSum(
      {0, 1}, 0, {}, vector, base::Deadline::After(std::chrono::milliseconds(300)));
  EXPECT_FALSE(outcome.is_complete);
  EXPECT_THAT(outcome.missing_ranks, ElementsAre(0, 1, 3));
}

TEST(PsServerTest, ARankThatStartsAnewFindsTheResultsOfFinishedRounds) {
  const ps::JobSpec spec = {.job = "replay", .worker_count = 2, .keeps_rounds = true};
  const ps::ServerAddress address = PsServer::Shared().address();
  RunRanks(address, spec, [](Client& client, int rank) {
    std::vector<float> vector(500'000);
    for (uint64_t round = 1; round <= 3; ++round) {
      FillVector(rank, round, vector);
      client.ReduceSum({0, round}, 0, {}, vector, Soon());
    }
  });
  Client again(address, spec, 1);
  std::vector<float> vector(500'000);
  for (uint64_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(again.TryResult({0, round}, {}, vector, Soon()).is_complete);
    EXPECT_TRUE(IsSum(2, round, vector));
  }
  EXPECT_FALSE(again.TryResult({0, 4}, {}, vector, Soon()).is_complete);
  again.Release({0, 3}, Soon());
  ExpectError(base::ErrorCode::kNotFound, "rounds from 3", [&] {
    again.TryResult({0, 2}, {}, vector, Soon());
  });
  ps::CloseJob(address, spec.job, Soon());
  ps::CloseJob(address, spec.job, Soon());
  ExpectError(base::ErrorCode::kNotFound, "no job replay", [&] {
    again.TryResult({0, 3}, {}, vector, Soon());
  });
}

TEST(PsServerTest, TheSharedModelHasEveryMergeOnce) {
  constexpr int kWorkers = 4;
  constexpr uint64_t kMerges = 25;
  constexpr size_t kLength = 2 * ps::kSliceLength;
  const ps::JobSpec spec = {.job = "async", .worker_count = kWorkers};
  const ps::ServerAddress address = PsServer::Shared().address();
  RunRanks(address, spec, [](Client& client, int /*rank*/) {
    std::vector<float> model(kLength, 3.0F);
    const std::vector<float> change(kLength, 1.0F);
    EXPECT_EQ(client.JoinModel(model, Soon()), 0U);
    for (uint64_t number = 1; number <= kMerges; ++number) {
      EXPECT_EQ(client.MergeModel(number, change, model, Soon()), number);
    }
  });
  Client again(address, spec, 3);
  std::vector<float> model(kLength);
  EXPECT_EQ(again.JoinModel(model, Soon()), kMerges) << "a rank that starts anew";
  EXPECT_THAT(model, Each(3 + kWorkers * kMerges));
}

TEST(PsServerTest, ANameInUseByAnotherJobIsRefused) {
  const ps::ServerAddress address = PsServer::Shared().address();
  Client first(address, {.job = "taken", .worker_count = 2}, 0);
  EXPECT_TRUE(first.Open(Soon()).is_new == false) << "connecting has opened it";
  Client second(address, {.job = "taken", .worker_count = 3}, 0);
  ExpectError(base::ErrorCode::kAlreadyExists, "in use", [&] { second.Open(Soon()); });
}

// ---- Restarts ----

TEST(PsServerTest, TheJobGoesOnWhenTheServerIsKilledAndStartsAgainFromItsFolder) {
  constexpr int kWorkers = 3;
  constexpr uint64_t kRounds = 60;
  PsServer server({.has_folder = true});
  const ps::JobSpec spec = {.job = "killed", .worker_count = kWorkers, .keeps_rounds = true};
  std::atomic<uint64_t> latest{0};
  std::thread ranks([&] {
    EXPECT_NO_THROW(RunRanks(server.address(), spec, [&](Client& client, int rank) {
      std::vector<float> vector(ps::kSliceLength + 100);
      for (uint64_t round = 1; round <= kRounds; ++round) {
        if (rank == 0) latest = round;
        FillVector(rank, round, vector);
        ASSERT_TRUE(client.ReduceSum({0, round}, round, {}, vector, Soon()).is_complete);
        ASSERT_TRUE(IsSum(kWorkers, round, vector)) << "round " << round;
      }
    }));
  });
  for (const uint64_t at : {10U, 30U}) {
    while (latest < at) std::this_thread::yield();
    server.process().Kill();
    server.process().Start();
  }
  ranks.join();
  Client again(server.address(), spec, 0);
  std::vector<float> vector(ps::kSliceLength + 100);
  for (uint64_t round = 1; round <= kRounds; ++round) {
    ASSERT_TRUE(again.TryResult({0, round}, {}, vector, Soon()).is_complete) << round;
    ASSERT_TRUE(IsSum(kWorkers, round, vector)) << round;
  }
}

TEST(PsServerTest, NoMergeIsLostOrDoubledWhenTheServerIsKilled) {
  constexpr int kWorkers = 3;
  constexpr uint64_t kMerges = 200;
  PsServer server({.has_folder = true});
  const ps::JobSpec spec = {.job = "merges", .worker_count = kWorkers};
  std::atomic<uint64_t> latest{0};
  std::thread ranks([&] {
    EXPECT_NO_THROW(RunRanks(server.address(), spec, [&](Client& client, int rank) {
      std::vector<float> model(1000, 0.0F);
      const std::vector<float> change(1000, 1.0F);
      client.JoinModel(model, Soon());
      for (uint64_t number = 1; number <= kMerges; ++number) {
        if (rank == 0) latest = number;
        client.MergeModel(number, change, model, Soon());
      }
    }));
  });
  while (latest < kMerges / 4) std::this_thread::yield();
  server.process().Kill();
  server.process().Start();
  ranks.join();
  Client again(server.address(), spec, 0);
  std::vector<float> model(1000);
  again.JoinModel(model, Soon());
  EXPECT_THAT(model, Each(kWorkers * kMerges));
}

TEST(PsServerTest, AnAnswerThatBreaksOffIsAskedForAgainThoughItHasReplacedTheContribution) {
  constexpr int kCuts = 5;
  std::atomic<uint64_t> passed_bytes{0};
  std::atomic<int> cuts{0};
  TcpProxy proxy(PsServer::Shared().port());
  proxy.OnReply([&](std::string* bytes) {
    const uint64_t before = passed_bytes.fetch_add(bytes->size());
    return before < 300'000 || bytes->size() < 1000 || cuts.fetch_add(1) >= kCuts;
  });
  ps::ServerAddress address = PsServer::Shared().address();
  address.port = proxy.port();
  const ps::JobSpec spec = {.job = "cut", .worker_count = 2};
  RunRanks(address, spec, [](Client& client, int rank) {
    std::vector<float> vector(200'000);
    for (uint64_t round = 1; round <= 4; ++round) {
      FillVector(rank, round, vector);
      std::vector<double> scalars = {1};
      ASSERT_TRUE(client.ReduceSum({0, round}, 0, scalars, vector, Soon()).is_complete);
      ASSERT_TRUE(IsSum(2, round, vector)) << "round " << round;
      EXPECT_THAT(scalars, ElementsAre(2));
    }
  });
  EXPECT_GE(cuts, kCuts);
}

TEST(PsServerTest, AServerThatForgetsTheJobIsNoticed) {
  PsServer server;
  Client client(server.address(), {.job = "forgotten", .worker_count = 1}, 0);
  std::vector<float> vector(10);
  client.ReduceSum({0, 1}, 0, {}, vector, Soon());
  server.process().Kill();
  server.process().Start();
  ExpectError(base::ErrorCode::kNotFound, "lost job forgotten", [&] {
    client.ReduceSum({0, 2}, 0, {}, vector, Soon());
  });
}

TEST(PsServerTest, AStoppedServerFinishesTheRoundThatHasBegun) {
  PsServer server({.has_folder = true});
  const ps::JobSpec spec = {.job = "graceful", .worker_count = 2};
  std::thread first([&] {
    Client client(server.address(), spec, 0);
    std::vector<float> vector(10, 1.0F);
    EXPECT_TRUE(client.ReduceSum({0, 1}, 0, {}, vector, Soon()).is_complete);
    EXPECT_THAT(vector, Each(3));
  });
  Client client(server.address(), spec, 1);
  client.Open(Soon());
  while (server.Status().At("jobs").AsArray().front().At("waiting").AsInteger() == 0) {
    std::this_thread::yield();
  }
  std::thread stopping([&] { server.process().Stop(); });
  while (AcceptsConnections(server.port()) && server.Status().At("is_stopping").AsBool() == false) {
    std::this_thread::yield();
  }
  std::vector<float> vector(10, 2.0F);
  EXPECT_TRUE(client.ReduceSum({0, 1}, 0, {}, vector, Soon()).is_complete);
  first.join();
  stopping.join();
  EXPECT_EQ(client.counters().retries, 0U) << "not by a server that was started again";
}

TEST(PsServerTest, IdleJobsAreDroppedAndBusyOnesAreNot) {
  PsServer server({.arguments = {"--interval", "0.2", "--expired", "1"}});
  Client idle(server.address(), {.job = "idle", .worker_count = 1}, 0);
  idle.Open(Soon());
  const ps::JobSpec spec = {.job = "busy", .worker_count = 2};
  std::thread waiting([&] {
    Client client(server.address(), spec, 0);
    std::vector<float> vector(10, 1.0F);
    EXPECT_TRUE(client.ReduceSum({0, 1}, 0, {}, vector, Soon()).is_complete);
  });
  // The first rank waits for longer than --expired.
  const auto names = [&] {
    std::vector<std::string> all;
    const base::Json status = server.Status();
    for (const base::Json& job : status.At("jobs").AsArray()) {
      all.push_back(job.At("job").AsString());
    }
    return all;
  };
  const auto is_there = [&](const std::string& name) {
    const auto all = names();
    return std::ranges::find(all, name) != all.end();
  };
  while (is_there("idle") || !is_there("busy")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_THAT(names(), ElementsAre("busy"));
  Client client(server.address(), spec, 1);
  std::vector<float> vector(10, 1.0F);
  EXPECT_TRUE(client.ReduceSum({0, 1}, 0, {}, vector, Soon()).is_complete);
  waiting.join();
  ExpectError(base::ErrorCode::kNotFound, "idle for longer than --expired", [&] {
    idle.TryResult({0, 1}, {}, vector, Soon());
  });
}

}  // namespace
}  // namespace lambdaml::test

// What a round asks of real services, against the formulas of docs/collectives.md. What each wait
// reads has been written before (PatientStore), so that no poll blurs the numbers.
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/comm/make_communicator.h"

#include "integration/comm/patient_store.h"
#include "support/processes.h"
#include "support/servers/dynamodb_server.h"
#include "support/servers/memcached_server.h"
#include "support/servers/redis_server.h"
#include "support/servers/s3_backend.h"

namespace lambdaml::comm {
namespace {

constexpr uint64_t kRounds = 3;

class ServiceRequestsTest : public testing::TestWithParam<test::StoreBackend> {
 protected:
  void SetUp() override {
    if (!GetParam().skip_reason.empty()) GTEST_SKIP() << GetParam().skip_reason;
  }

  // What each rank asked for in kRounds sums of `length` elements.
  static std::vector<store::Counters> CountersOf(Pattern pattern, int worker_count, size_t length) {
    const auto place = GetParam().make_place();
    test::WrittenKeys written;
    std::vector<store::Counters> counters(static_cast<size_t>(worker_count));
    test::RunInThreads(worker_count, [&](int rank) {
      test::PatientStore store(place->Open(), written);
      const Membership membership = {.job = "job", .rank = rank, .worker_count = worker_count};
      const auto communicator = MakeCommunicator(pattern, store, membership);
      std::vector<float> vector(length, 1.0F);
      const store::Counters before = store.counters();
      for (uint64_t round = 0; round < kRounds; ++round) communicator->AllReduceSum({}, vector);
      store::Counters& own = counters[static_cast<size_t>(rank)];
      own = store.counters();
      own.get_requests -= before.get_requests;
      own.put_requests -= before.put_requests;
    });
    return counters;
  }

  // DynamoDB reads up to 100 keys and writes up to 25 in one request.
  static bool HasBatches() { return GetParam().name == "DynamoDb"; }
};

TEST_P(ServiceRequestsTest, ReduceAsksAsOftenAsItsFormulaSays) {
  for (const uint64_t workers : {2U, 4U, 7U}) {
    const auto counters = CountersOf(Pattern::kReduce, static_cast<int>(workers), 100);
    for (uint64_t rank = 0; rank < workers; ++rank) {
      const uint64_t gets = rank == 0 && !HasBatches() ? workers - 1 : 1;
      EXPECT_EQ(counters[rank].get_requests, kRounds * gets) << workers;
      EXPECT_EQ(counters[rank].put_requests, kRounds) << workers;
      EXPECT_EQ(counters[rank].list_requests + counters[rank].retries, 0U);
    }
  }
}

TEST_P(ServiceRequestsTest, ReduceScatterAsksAsOftenAsItsFormulaSays) {
  for (const uint64_t workers : {2U, 4U, 7U}) {
    for (const auto& counters :
         CountersOf(Pattern::kReduceScatter, static_cast<int>(workers), 100)) {
      const uint64_t gets = HasBatches() ? 2 : 2 * (workers - 1);
      const uint64_t puts = HasBatches() ? 2 : workers;
      EXPECT_EQ(counters.get_requests, kRounds * gets) << workers;
      EXPECT_EQ(counters.put_requests, kRounds * puts) << workers;
      EXPECT_EQ(counters.list_requests + counters.retries, 0U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Services, ServiceRequestsTest,
                         testing::Values(test::S3Backend(), test::MemcachedBackend(),
                                         test::RedisBackend(), test::DynamoDbBackend()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace lambdaml::comm

// Calls survive what happens to the server: killed, stopped and started again, or silent for a
// while. Against Ceph's gateway.
#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/processes.h"
#include "support/servers/rgw_server.h"
#include "support/servers/s3_backend.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;

constexpr int kWriters = 4;

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(60)); }

class S3RestartTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
    path_ = RgwServer::Shared().MakeBucket() + "/p";
  }

  // Puts numbered values, reads each back, and swaps a counter, until `done`; every call must
  // succeed. Returns how many rounds it made.
  static int Work(store::Store& s3, int worker, const std::atomic<bool>& done) {
    const std::string counter = fmt::format("counter/{}", worker);
    s3.Put(counter, AsBytes("0"), Soon());
    int round = 0;
    while (!done) {
      ++round;
      const std::string key = fmt::format("values/{}.{}", worker, round);
      s3.Put(key, AsBytes(key), Soon());
      const auto value = s3.Wait(key, Soon());
      if (!value || value->text() != key) throw std::runtime_error("lost " + key);
      // False after a lost answer: then the value tells whether the swap has been made.
      const auto seen = s3.GetVersioned(counter, Soon());
      if (!seen) throw std::runtime_error("lost " + counter);
      const std::string next = std::to_string(round);
      if (!s3.CompareAndSwap(counter, seen->version, AsBytes(next), Soon()) &&
          s3.Get(counter, Soon())->text() != next) {
        throw std::runtime_error("the swap failed, and nobody else was there");
      }
    }
    return round;
  }

  // Runs the workers while `disturb` does what it does to the server.
  template <typename Disturb>
  void WorkWhile(Disturb disturb) {
    std::atomic<bool> done{false};
    std::atomic<int> rounds{0};
    std::atomic<uint64_t> retries{0};
    std::thread workers([&] {
      try {
        RunInThreads(kWriters, [&](int worker) {
          const auto s3 = OpenS3(RgwServer::Shared(), path_);
          rounds += Work(*s3, worker, done);
          retries += s3->counters().retries;
        });
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    disturb();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    done = true;
    workers.join();
    EXPECT_GE(rounds, 2 * kWriters);
    retries_ = retries;
  }

  std::string path_;
  uint64_t retries_ = 0;
};

TEST_F(S3RestartTest, CallsSurviveAServerThatIsKilledAndComesBack) {
  WorkWhile([] {
    for (int i = 0; i < 3; ++i) {
      RgwServer::Shared().gateway().Kill();
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      RgwServer::Shared().gateway().Start();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  EXPECT_GE(retries_, 1U);
}

TEST_F(S3RestartTest, CallsSurviveAServerThatIsStoppedInGoodOrder) {
  WorkWhile([] {
    RgwServer::Shared().gateway().Stop();
    RgwServer::Shared().gateway().Start();
  });
}

TEST_F(S3RestartTest, CallsSurviveAServerThatHoldsItsBreath) {
  WorkWhile([] {
    RgwServer::Shared().gateway().Pause();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    RgwServer::Shared().gateway().Resume();
  });
}

TEST_F(S3RestartTest, ALargeUploadSurvivesAServerThatIsKilled) {
  const auto s3 = OpenS3(RgwServer::Shared(), path_,
                         {.range_bytes = 1 << 20, .multipart_min_bytes = 1, .part_bytes = 5 << 20});
  const base::Bytes value(60 << 20, std::byte{7});
  std::thread writer([&] { s3->Put("large", value, Soon()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  RgwServer::Shared().gateway().Kill();
  RgwServer::Shared().gateway().Start();
  writer.join();
  std::optional<base::Blob> read;
  std::thread reader([&] { read = s3->Get("large", Soon()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  RgwServer::Shared().gateway().Kill();
  RgwServer::Shared().gateway().Start();
  reader.join();
  ASSERT_TRUE(read);
  EXPECT_TRUE(std::ranges::equal(read->span(), value));
}

}  // namespace
}  // namespace lambdaml::test

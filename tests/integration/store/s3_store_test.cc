// What the conformance suite cannot know of S3: ranges, parts, pages, prefixes, conditions, and how
// many requests each takes. Against Ceph's gateway.
#include "lambdaml/store/s3_store.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

#include "support/processes.h"
#include "support/servers/rgw_server.h"
#include "support/servers/s3_backend.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using store::S3Sizes;
using store::S3Store;
using testing::HasSubstr;
using Keys = std::vector<std::string>;

constexpr uint64_t kMi = 1 << 20;
constexpr S3Sizes kSmallRanges = {.range_bytes = 1000};
constexpr S3Sizes kSmallestParts = {.multipart_min_bytes = 6 * kMi, .part_bytes = 5 * kMi};

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(60)); }

base::Bytes RandomBytes(size_t size) {
  base::Bytes bytes(size);
  base::Random random(size);
  for (size_t i = 0; i < size; i += 8) {
    const uint64_t word = random.Next();
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, size - i));
  }
  return bytes;
}

bool Equal(const std::optional<base::Blob>& value, base::ByteSpan expected) {
  return value && std::ranges::equal(value->span(), expected);
}

class S3StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
    bucket_ = RgwServer::Shared().MakeBucket();
  }

  std::unique_ptr<S3Store> Open(const std::string& prefix, const S3Sizes& sizes = {}) const {
    return OpenS3(RgwServer::Shared(), bucket_ + "/" + prefix, sizes);
  }

  // What the server answers to a GET of the bucket with this query parameter.
  std::string AskBucket(const std::string& parameter) const {
    net::AwsClientOptions options;
    options.service = "s3";
    options.region = "us-east-1";
    options.endpoint = RgwServer::Shared().endpoint();
    options.credentials = net::FixedCredentials(RgwServer::credentials());
    options.parse_error = [](const auto&, const auto&) { return std::nullopt; };
    net::AwsRequest request;
    request.operation = "ask";
    request.path = "/" + bucket_;
    request.query = {{parameter, ""}};
    return std::string(net::AwsClient(options).Send(request, Soon()).response.body.text());
  }

  std::string bucket_;
};

TEST_F(S3StoreTest, ValuesOfSeveralRangesComeBackAsTheyWere) {
  const auto s3 = Open("p", kSmallRanges);
  // Size, and the requests it takes: an empty object has no range and is asked for twice.
  const std::vector<std::pair<size_t, uint64_t>> cases = {
      {0, 2},    {1, 1},    {999, 1},  {1000, 1},    {1001, 2},
      {1999, 2}, {2000, 2}, {2001, 3}, {70'000, 70}, {123'456, 124}};
  for (const auto& [size, request_count] : cases) {
    const base::Bytes value = RandomBytes(size);
    s3->Put("value", value, Soon());
    const store::Counters before = s3->counters();
    EXPECT_TRUE(Equal(s3->Get("value", Soon()), value)) << size;
    EXPECT_EQ(s3->counters().get_requests - before.get_requests, request_count) << size;
    EXPECT_EQ(s3->counters().bytes_read - before.bytes_read, size);
  }
}

TEST_F(S3StoreTest, ValuesOfSeveralPartsComeBackAsTheyWere) {
  const auto s3 = Open("p", kSmallestParts);
  // Size, and the requests it takes: with several parts one to begin and one to complete.
  const std::vector<std::pair<size_t, uint64_t>> cases = {
      {6 * kMi - 1, 1}, {6 * kMi, 4}, {10 * kMi, 4}, {10 * kMi + 1, 5}, {20 * kMi - 1, 6}};
  for (const auto& [size, request_count] : cases) {
    const base::Bytes value = RandomBytes(size);
    const store::Counters before = s3->counters();
    s3->Put("value", value, Soon());
    EXPECT_EQ(s3->counters().put_requests - before.put_requests, request_count) << size;
    EXPECT_TRUE(Equal(s3->Get("value", Soon()), value)) << size;
  }
  EXPECT_EQ(s3->counters().retries, 0U);
}

TEST_F(S3StoreTest, AnUploadThatFailsIsAborted) {
  const auto s3 = Open("p", {.multipart_min_bytes = 1000, .part_bytes = 1000});
  try {
    s3->Put("value", RandomBytes(5000), Soon());
    ADD_FAILURE() << "S3 took parts of less than 5 MiB";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("EntityTooSmall"));
  }
  EXPECT_FALSE(s3->Get("value", Soon()));
  const std::string uploads = AskBucket("uploads");
  EXPECT_THAT(uploads, HasSubstr("<ListMultipartUploadsResult"));
  EXPECT_THAT(uploads, testing::Not(HasSubstr("<UploadId>")));
}

TEST_F(S3StoreTest, ConditionsHoldForLargeValuesToo) {
  const auto s3 = Open("p", kSmallestParts);
  const base::Bytes first = RandomBytes(12 * kMi);
  const base::Bytes second = RandomBytes(11 * kMi);
  EXPECT_TRUE(s3->PutIfAbsent("value", first, Soon()));
  EXPECT_FALSE(s3->PutIfAbsent("value", second, Soon()));
  EXPECT_TRUE(Equal(s3->Get("value", Soon()), first));

  s3->Put("value", first, Soon());  // in parts, whose ETag is of another form
  const auto seen = s3->GetVersioned("value", Soon());
  EXPECT_TRUE(s3->CompareAndSwap("value", seen->version, second, Soon()));
  EXPECT_FALSE(s3->CompareAndSwap("value", seen->version, first, Soon()));
  EXPECT_TRUE(Equal(s3->Get("value", Soon()), second));
}

TEST_F(S3StoreTest, AValueReplacedBetweenItsRangesIsReadAgain) {
  const auto s3 = Open("p", kSmallRanges);
  const auto value_of = [](int writer) {
    return base::Bytes(20'000 + static_cast<size_t>(writer), static_cast<std::byte>(writer));
  };
  s3->Put("value", value_of(1), Soon());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; !done; ++i) s3->Put("value", value_of(1 + i % 3), Soon());
  });
  const store::Counters before = s3->counters();
  constexpr int kReads = 10;
  for (int i = 0; i < kReads; ++i) {
    const auto value = s3->Get("value", Soon());
    ASSERT_TRUE(value);
    EXPECT_TRUE(Equal(value, value_of(static_cast<int>(value->data()[0]))));
  }
  done = true;
  writer.join();
  // 21 ranges each, if nothing had been replaced.
  EXPECT_GT(s3->counters().get_requests - before.get_requests, 21U * kReads);
}

TEST_F(S3StoreTest, MoreKeysThanAPageHoldsAreListedAndDeleted) {
  const auto s3 = Open("p");
  constexpr int kCount = 2000;
  Keys keys;
  std::vector<store::KeyValue> entries;
  for (int i = 0; i < kCount; ++i) keys.push_back(fmt::format("k/{:05}", i));
  for (const std::string& key : keys) entries.push_back({key, AsBytes("x")});
  s3->PutAll(entries, Soon());
  EXPECT_EQ(s3->List("", Soon()), keys);
  s3->Put("other", AsBytes("x"), Soon());
  s3->DeletePrefix("k/", Soon());
  EXPECT_EQ(s3->List("", Soon()), Keys{"other"});
  const store::Counters counters = s3->counters();
  EXPECT_EQ(counters.put_requests, kCount + 1U);
  EXPECT_EQ(counters.list_requests, 2U + 2U + 1U);
  EXPECT_EQ(counters.delete_requests, 2U);
}

TEST_F(S3StoreTest, JobsOfOneBucketDoNotSeeEachOther) {
  const auto root = OpenS3(RgwServer::Shared(), bucket_);
  const auto job = Open("job");
  const auto job1 = Open("job1");
  const auto inner = Open("job/inner");
  for (auto* s3 : {root.get(), job.get(), job1.get(), inner.get()}) {
    s3->Put("key", AsBytes(s3->url()), Soon());
  }
  EXPECT_EQ(job1->List("", Soon()), Keys{"key"});
  EXPECT_EQ(job->List("", Soon()), (Keys{"inner/key", "key"}));
  EXPECT_EQ(root->List("", Soon()), (Keys{"job/inner/key", "job/key", "job1/key", "key"}));
  job->DeletePrefix("", Soon());
  EXPECT_EQ(root->List("", Soon()), (Keys{"job1/key", "key"}));
  EXPECT_EQ(job1->Get("key", Soon())->text(), job1->url());
}

TEST_F(S3StoreTest, ObjectsWhoseNamesAreNoKeysAreLeftAlone) {
  const auto s3 = Open("p");
  const auto foreign = Open("p/of somebody + else & \xC3\xA9");
  foreign->Put("key", AsBytes("theirs"), Soon());
  s3->Put("key", AsBytes("ours"), Soon());
  EXPECT_EQ(s3->List("", Soon()), Keys{"key"});
  s3->DeletePrefix("", Soon());
  EXPECT_EQ(foreign->List("", Soon()), Keys{"key"});
  EXPECT_EQ(foreign->Get("key", Soon())->text(), "theirs");
  foreign->DeletePrefix("", Soon());
  EXPECT_FALSE(foreign->Get("key", Soon()));
}

TEST_F(S3StoreTest, TheBucketMayBePartOfTheHost) {
  const std::string url = fmt::format("s3://{}/p?endpoint={}&addressing=virtual", bucket_,
                                      RgwServer::Shared().host_endpoint());
  const auto location = store::LocateS3(store::StoreUrl::Parse(url));
  EXPECT_THAT(location.endpoint, HasSubstr(bucket_ + ".localhost"));
  S3Store s3(location, net::FixedCredentials(RgwServer::credentials()));
  s3.Put("key", AsBytes("value"), Soon());
  EXPECT_EQ(s3.List("", Soon()), Keys{"key"});
  EXPECT_EQ(Open("p")->Get("key", Soon())->text(), "value");
  s3.Delete(Keys{"key"}, Soon());
  EXPECT_FALSE(Open("p")->Get("key", Soon()));
}

TEST_F(S3StoreTest, AWaitAsksOnlyForWhatIsMissing) {
  const auto s3 = Open("p");
  s3->Put("a", AsBytes("1"), Soon());
  s3->Put("b", AsBytes("2"), Soon());
  const Keys keys = {"a", "b"};
  s3->WaitAll(keys, Soon());
  EXPECT_EQ(s3->counters().get_requests, 2U);

  const Keys more = {"a", "never", "b"};
  s3->WaitAll(more, base::Deadline::After(std::chrono::milliseconds(100)));
  const store::Counters counters = s3->counters();
  const uint64_t looks = counters.get_requests - 4;  // those for the key that never came
  EXPECT_GE(looks, 2U);
  EXPECT_LE(looks, 20U);  // the first pause is 5 ms at least
  EXPECT_GE(counters.waiting, std::chrono::milliseconds(100));
  EXPECT_EQ(counters.list_requests, 0U);
}

}  // namespace
}  // namespace lambdaml::test

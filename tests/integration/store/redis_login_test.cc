// Who may use a Redis server, and over what: passwords, users, databases, TLS.
#include <algorithm>
#include <cstdlib>
#include <gmock/gmock.h>
#include <thread>

#include "lambdaml/store/open_store.h"
#include "lambdaml/store/redis_store.h"

#include "redis_testing.h"
#include "support/servers/tcp_proxy.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::ErrorCode;
using store::RedisStore;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class RedisLogin : public RedisTest {
 protected:
  static void ExpectWorks(const std::string& url) {
    const auto store = store::OpenStore(url);
    store->Put("key", AsBytes("value"), Soon());
    EXPECT_EQ(store->Wait("key", Soon())->text(), "value");
    EXPECT_TRUE(store->capabilities().has_native_wait);
    EXPECT_THAT(store->url(), Not(HasSubstr("open-sesame")));
    store->DeletePrefix("", Soon());
  }
  // The message of opening, which must be refused at once and show no secret.
  static std::string Refusal(const std::string& url, ErrorCode code) {
    const base::Error error = ErrorOf([&] { RedisStore(url, std::chrono::milliseconds(300)); });
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_THAT(error.message(), Not(HasSubstr("open-sesame")));
    EXPECT_THAT(error.message(), Not(HasSubstr("wrong-word")));
    return error.message();
  }
};

TEST_F(RedisLogin, APasswordOpensTheServerFromUrlOrEnvironment) {
  const RedisServer server({"--requirepass", "open-sesame"});
  ExpectWorks(server.FreshUrl(":open-sesame"));
  ExpectWorks(server.FreshUrl("default:open-sesame"));
  ::setenv("REDIS_PASSWORD", "open-sesame", 1);
  ExpectWorks(server.FreshUrl());
  ExpectWorks(server.FreshUrl("default"));
  EXPECT_THAT(Refusal(server.FreshUrl(":wrong-word"), ErrorCode::kPermissionDenied),
              HasSubstr("refuses the user or the password"));
  ::unsetenv("REDIS_PASSWORD");
}

TEST_F(RedisLogin, AWrongOrMissingPasswordIsToldFromEachOther) {
  const RedisServer server({"--requirepass", "open-sesame"});
  const auto denied = ErrorCode::kPermissionDenied;
  EXPECT_THAT(Refusal(server.FreshUrl(":wrong-word"), denied),
              AllOf(HasSubstr(server.place()), HasSubstr("refuses the user or the password")));
  EXPECT_THAT(Refusal(server.FreshUrl("nobody:open-sesame"), denied),
              HasSubstr("refuses the user or the password"));
  EXPECT_THAT(Refusal(server.FreshUrl(), denied),
              AllOf(HasSubstr("asks for a password"), HasSubstr("REDIS_PASSWORD")));
}

TEST_F(RedisLogin, APasswordForAServerWithoutOneIsRefused) {
  EXPECT_THAT(Refusal(RedisServer::Shared().FreshUrl(":open-sesame"), ErrorCode::kPermissionDenied),
              HasSubstr("the server has no password"));
}

TEST_F(RedisLogin, AUserNeedsOnlyTheRightsOfTheDocumentation) {
  const RedisServer server;
  // As in docs/channels.md.
  ASSERT_EQ(
      server.Ask({"ACL",       "SETUSER", "worker",       "on",      ">open-sesame", "~lambdaml/*",
                  "~test-*",   "-@all",   "+@connection", "+client", "+get",         "+set",
                  "+getrange", "+unlink", "+scan",        "+watch",  "+unwatch",     "+multi",
                  "+exec",     "+select", "+info"}),
      "OK");
  const std::string url = server.FreshUrl("worker:open-sesame");
  ExpectWorks(url);
  RedisStore store(url);
  EXPECT_TRUE(store.PutIfAbsent("once", AsBytes("x"), Soon()));
  const auto seen = store.GetVersioned("once", Soon());
  EXPECT_TRUE(store.CompareAndSwap("once", seen->version, AsBytes("y"), Soon()));
  EXPECT_EQ(store.List("", Soon()).size(), 1U);
}

TEST_F(RedisLogin, AMissingRightIsNamed) {
  const RedisServer server;
  ASSERT_EQ(server.Ask({"ACL", "SETUSER", "reader", "on", ">open-sesame", "~*", "+@all", "-set"}),
            "OK");
  RedisStore store(server.FreshUrl("reader:open-sesame"));
  const base::Error error = ErrorOf([&] { store.Put("key", AsBytes("x"), Soon()); });
  EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("put key"), HasSubstr("'set' command")));
}

TEST_F(RedisLogin, AUserWhoMayNotTrackPolls) {
  const RedisServer server;
  ASSERT_EQ(server.Ask({"ACL", "SETUSER", "poller", "on", ">open-sesame", "~*", "+@all",
                        "-client|tracking"}),
            "OK");
  const std::string url = server.FreshUrl("poller:open-sesame");
  RedisStore store(url);
  EXPECT_FALSE(store.capabilities().has_native_wait);
  std::thread writer([&] {
    RedisStore other(url);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    other.Put("key", AsBytes("value"), Soon());
  });
  EXPECT_EQ(store.Wait("key", Soon())->text(), "value");
  writer.join();
  EXPECT_GT(store.counters().get_requests, 2U);
}

TEST_F(RedisLogin, DatabasesDoNotSeeEachOther) {
  const RedisServer server;
  RedisStore zero("redis://" + server.place());
  RedisStore three("redis://" + server.place() + "/3");
  zero.Put("key", AsBytes("zero"), Soon());
  EXPECT_FALSE(three.Get("key", Soon()));
  three.Put("key", AsBytes("three"), Soon());
  EXPECT_EQ(zero.Get("key", Soon())->text(), "zero");
  EXPECT_EQ(server.Ask({"-n", "3", "KEYS", "*"}), "lambdaml/key");
  EXPECT_THAT(Refusal("redis://" + server.place() + "/99", ErrorCode::kInvalidArgument),
              HasSubstr("no database of that number"));
}

TEST_F(RedisLogin, AServerInClusterModeThatIsNotWholeIsRefusedInPlainWords) {
  const RedisServer server({"--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"});
  RedisStore store(server.FreshUrl());  // one shard with all slots would do
  server.Ask({"CLUSTER", "ADDSLOTSRANGE", "0", "100"});
  TcpProxy proxy(server.port());
  proxy.OnReply([](std::string* bytes) {
    // A neighbour has the other slots.
    if (bytes->starts_with("-CLUSTERDOWN")) *bytes = "-MOVED 866 10.0.0.7:6379\r\n";
    return true;
  });
  RedisStore through("redis://127.0.0.1:" + std::to_string(proxy.port()));
  const base::Error error = ErrorOf([&] {
    for (int i = 0; i < 1000; ++i) through.Get("key" + std::to_string(i), Soon());
  });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message(), HasSubstr("cluster mode disabled"));
}

TEST_F(RedisLogin, AReadOnlyReplicaIsRefused) {
  const RedisServer primary;
  const RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(primary.port())});
  EXPECT_THAT(Refusal(replica.FreshUrl(), ErrorCode::kUnavailable),
              HasSubstr("read-only replica: name the primary"));
}

class RedisTls : public RedisLogin {
 protected:
  void SetUp() override {
    RedisLogin::SetUp();
    if (!TestCertificates::CanBeMade()) GTEST_SKIP() << TestCertificates::kMissing;
  }
  static std::string Url(const RedisServer& server, const std::string& host,
                         const std::string& ca_file) {
    return "rediss://:open-sesame@" + host + ":" + std::to_string(server.port()) +
           (ca_file.empty() ? "" : "?ca=" + ca_file);
  }
};

TEST_F(RedisTls, WorksWithTheAuthorityOfTheUrlOrOfTheEnvironment) {
  const TestCertificates certificates("IP:127.0.0.1,DNS:localhost");
  const RedisServer server({"--requirepass", "open-sesame"}, &certificates);
  ExpectWorks(Url(server, "127.0.0.1", certificates.authority()));
  ExpectWorks(Url(server, "localhost", certificates.authority()));
  ::setenv("SSL_CERT_FILE", certificates.authority().c_str(), 1);
  ExpectWorks(Url(server, "localhost", ""));
  ::unsetenv("SSL_CERT_FILE");
}

TEST_F(RedisTls, CarriesLargeValuesBothWays) {
  const TestCertificates certificates("IP:127.0.0.1");
  const RedisServer server({"--requirepass", "open-sesame"}, &certificates);
  RedisStore store(Url(server, "127.0.0.1", certificates.authority()));
  for (const size_t size : {0U, 1U, 16'000U, 16'384U, 100'001U, 20'000'000U}) {
    base::Bytes value(size);
    for (size_t i = 0; i < size; ++i) value[i] = static_cast<std::byte>(i * 31 >> 3);
    store.Put("key", value, Soon());
    const auto read = store.Get("key", Soon());
    ASSERT_TRUE(std::ranges::equal(read->span(), value)) << size;
  }
}

TEST_F(RedisTls, RefusesACertificateOfAnotherAuthorityOrName) {
  const TestCertificates certificates("DNS:cache.example");
  const TestCertificates others("IP:127.0.0.1");
  const RedisServer server({"--requirepass", "open-sesame"}, &certificates);
  const auto denied = ErrorCode::kPermissionDenied;
  EXPECT_THAT(Refusal(Url(server, "127.0.0.1", certificates.authority()), denied),
              AllOf(HasSubstr(server.place()), HasSubstr("IP address mismatch")));
  EXPECT_THAT(Refusal(Url(server, "localhost", certificates.authority()), denied),
              HasSubstr("hostname mismatch"));
  EXPECT_THAT(Refusal(Url(server, "127.0.0.1", others.authority()), denied),
              HasSubstr("certificate is refused"));
  EXPECT_THAT(Refusal(Url(server, "127.0.0.1", ""), denied), HasSubstr("certificate is refused"));
  EXPECT_THAT(Refusal(Url(server, "127.0.0.1", certificates.key()), ErrorCode::kInvalidArgument),
              HasSubstr(certificates.key()));
}

TEST_F(RedisTls, ATlsServerSpokenToInPlainTextSaysSo) {
  const TestCertificates certificates("IP:127.0.0.1");
  const RedisServer server({}, &certificates);
  EXPECT_THAT(Refusal("redis://" + server.place(), ErrorCode::kUnavailable),
              HasSubstr("rediss://"));
}

}  // namespace
}  // namespace lambdaml::test

// HTTPS against a real TLS server, `openssl s_server`, with an authority of our own.
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/net/http_client.h"

#include "support/servers/server_process.h"
#include "support/servers/test_certificates.h"

namespace lambdaml::net {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

// A server that calls itself "localhost", by an authority that no system trusts.
class TlsServer {
 public:
  TlsServer()
      : certificates_("DNS:localhost"),
        port_(test::FreePort()),
        server_({.program = test::FindProgram("openssl"),
                 .arguments = {"s_server", "-quiet", "-www", "-key", certificates_.key(), "-cert",
                               certificates_.certificate(), "-accept",
                               "127.0.0.1:" + std::to_string(port_)},
                 .environment = {},
                 .working_directory = ::testing::TempDir()},
                [port = port_] { return test::AcceptsConnections(port); }) {}

  std::string url(const std::string& host) const {
    return "https://" + host + ":" + std::to_string(port_) + "/";
  }
  std::string authority() const { return certificates_.authority(); }

 private:
  const test::TestCertificates certificates_;
  const int port_;
  test::ServerProcess server_;
};

// Sends with AWS_CA_BUNDLE set to that path, or not set if it is empty.
HttpOutcome Send(const std::string& url, const std::string& ca_bundle) {
  if (ca_bundle.empty()) {
    unsetenv("AWS_CA_BUNDLE");
  } else {
    setenv("AWS_CA_BUNDLE", ca_bundle.c_str(), 1);
  }
  HttpClient client;
  HttpOutcome outcome = client.Send({.url = url}, Deadline::After(seconds(20)));
  unsetenv("AWS_CA_BUNDLE");
  return outcome;
}

TEST(Tls, TrustsTheBundleOfTheEnvironmentAndNothingElse) {
  if (!test::TestCertificates::CanBeMade()) GTEST_SKIP() << test::TestCertificates::kMissing;
  const TlsServer server;
  const HttpOutcome trusted = Send(server.url("localhost"), server.authority());
  ASSERT_TRUE(std::holds_alternative<HttpResponse>(trusted)) << std::get<Error>(trusted).message();
  EXPECT_EQ(std::get<HttpResponse>(trusted).status, 200);

  const HttpOutcome unknown = Send(server.url("localhost"), "");
  ASSERT_TRUE(std::holds_alternative<Error>(unknown));
  EXPECT_EQ(std::get<Error>(unknown).code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(std::get<Error>(unknown).message(),
              AllOf(HasSubstr("certificate of localhost:"), HasSubstr("AWS_CA_BUNDLE")));

  const HttpOutcome other_host = Send(server.url("127.0.0.1"), server.authority());
  ASSERT_TRUE(std::holds_alternative<Error>(other_host));
  EXPECT_EQ(std::get<Error>(other_host).code(), ErrorCode::kPermissionDenied);

  const HttpOutcome no_bundle = Send(server.url("localhost"), "/no/such/bundle.pem");
  ASSERT_TRUE(std::holds_alternative<Error>(no_bundle));
  EXPECT_THAT(std::get<Error>(no_bundle).message(), HasSubstr("/no/such/bundle.pem"));
}

}  // namespace
}  // namespace lambdaml::net

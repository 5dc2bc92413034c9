// HTTPS against a real TLS server, `openssl s_server`, with an authority of our own.
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/net/http_client.h"

#include "support/servers/server_process.h"

namespace lambdaml::net {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

// A server with a certificate for "localhost" that no system trusts.
class TlsServer {
 public:
  TlsServer() : folder_(::testing::TempDir(), "tls-"), port_(test::FreePort()) {
    const std::string openssl = test::FindProgram("openssl");
    test::RunProgram({.program = openssl,
                      .arguments = {"req", "-x509", "-newkey", "ec", "-pkeyopt",
                                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                                    "-keyout", "key.pem", "-out", "certificate.pem"},
                      .environment = {},
                      .working_directory = folder_.path()},
                     seconds(60));
    server_ = std::make_unique<test::ServerProcess>(
        test::ProgramOptions{
            .program = openssl,
            .arguments = {"s_server", "-quiet", "-www", "-key", "key.pem", "-cert",
                          "certificate.pem", "-accept", "127.0.0.1:" + std::to_string(port_)},
            .environment = {},
            .working_directory = folder_.path()},
        [port = port_] { return test::AcceptsConnections(port); });
  }

  std::string url(const std::string& host) const {
    return "https://" + host + ":" + std::to_string(port_) + "/";
  }
  std::string certificate() const { return folder_.path() + "/certificate.pem"; }

 private:
  base::TemporaryDirectory folder_;
  int port_;
  std::unique_ptr<test::ServerProcess> server_;
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
  if (!test::IsInstalled("openssl")) GTEST_SKIP() << "openssl is not installed";
  const TlsServer server;
  const HttpOutcome trusted = Send(server.url("localhost"), server.certificate());
  ASSERT_TRUE(std::holds_alternative<HttpResponse>(trusted)) << std::get<Error>(trusted).message();
  EXPECT_EQ(std::get<HttpResponse>(trusted).status, 200);

  const HttpOutcome unknown = Send(server.url("localhost"), "");
  ASSERT_TRUE(std::holds_alternative<Error>(unknown));
  EXPECT_EQ(std::get<Error>(unknown).code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(std::get<Error>(unknown).message(),
              AllOf(HasSubstr("certificate of localhost:"), HasSubstr("AWS_CA_BUNDLE")));

  const HttpOutcome other_host = Send(server.url("127.0.0.1"), server.certificate());
  ASSERT_TRUE(std::holds_alternative<Error>(other_host));
  EXPECT_EQ(std::get<Error>(other_host).code(), ErrorCode::kPermissionDenied);

  const HttpOutcome no_bundle = Send(server.url("localhost"), "/no/such/bundle.pem");
  ASSERT_TRUE(std::holds_alternative<Error>(no_bundle));
  EXPECT_THAT(std::get<Error>(no_bundle).message(), HasSubstr("/no/such/bundle.pem"));
}

}  // namespace
}  // namespace lambdaml::net

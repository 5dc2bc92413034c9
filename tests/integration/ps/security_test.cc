// Who may use the server: token, TLS, certificates; and what it says when it is open to others.
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/net/http_client.h"
#include "lambdaml/net/tcp.h"
#include "lambdaml/ps/address.h"

#include "integration/ps/ranks.h"
#include "support/servers/ps_server.h"

namespace lambdaml::test {
namespace {

using ps::Client;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSecret = "correct horse battery staple";

void ExpectRefused(const ps::ServerAddress& address, base::ErrorCode code, std::string_view said) {
  try {
    Client client(address, {.job = "secure", .worker_count = 1}, 0);
    client.Open(base::Deadline::After(std::chrono::seconds(3)));
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_THAT(error.message(), HasSubstr(said));
    EXPECT_THAT(error.message(), Not(HasSubstr(kSecret)));
  }
}

void ExpectServed(const ps::ServerAddress& address) {
  Client client(address, {.job = "secure", .worker_count = 1}, 0);
  static uint64_t round = 0;
  std::vector<float> vector(2 * ps::kSliceLength, 1.0F);
  EXPECT_TRUE(client.ReduceSum({0, ++round}, 0, {}, vector, Soon()).is_complete);
}

TEST(PsSecurityTest, AServerWithATokenServesWhoKnowsIt) {
  PsServer server({.token = kSecret});
  ExpectServed(server.address());
  ps::ServerAddress address = server.address();
  address.token = "";
  ExpectRefused(address, base::ErrorCode::kPermissionDenied, "set LAMBDAML_PS_TOKEN");
  for (const char* wrong : {"correct horse battery stapl", "Correct horse battery staple", "x"}) {
    address.token = wrong;
    ExpectRefused(address, base::ErrorCode::kPermissionDenied, "another token");
  }
}

TEST(PsSecurityTest, TlsIsVerified) {
  if (!TestCertificates::CanBeMade()) GTEST_SKIP() << TestCertificates::kMissing;
  const TestCertificates certificates("IP:127.0.0.1");
  const TestCertificates others("IP:127.0.0.1");
  PsServer server({.token = kSecret, .certificates = &certificates});
  ExpectServed(server.address());
  ps::ServerAddress address = server.address();
  address.ca_file = others.authority();
  ExpectRefused(address, base::ErrorCode::kPermissionDenied, "certificate");
  address = server.address();
  address.host = "localhost";
  ExpectRefused(address, base::ErrorCode::kPermissionDenied, "certificate");
}

TEST(PsSecurityTest, ClientsMayBeAskedForACertificate) {
  if (!TestCertificates::CanBeMade()) GTEST_SKIP() << TestCertificates::kMissing;
  const TestCertificates certificates("IP:127.0.0.1");
  const TestCertificates others("IP:127.0.0.1");
  PsServer server(
      {.arguments = {"--tls_client_ca", certificates.authority()}, .certificates = &certificates});
  ps::ServerAddress address = server.address();
  ExpectRefused(address, base::ErrorCode::kUnavailable, std::to_string(server.port()));
  address.cert_file = others.certificate();
  address.key_file = others.key();
  ExpectRefused(address, base::ErrorCode::kUnavailable, std::to_string(server.port()));
  address.cert_file = certificates.certificate();
  address.key_file = certificates.key();
  ExpectServed(address);
  address.key_file = others.key();
  ExpectRefused(address, base::ErrorCode::kInvalidArgument, "certificate and key");
}

TEST(PsSecurityTest, ASilentPeerOfATlsServerKeepsNobodyOut) {
  if (!TestCertificates::CanBeMade()) GTEST_SKIP() << TestCertificates::kMissing;
  const TestCertificates certificates("IP:127.0.0.1");
  PsServer server({.certificates = &certificates});
  const base::FileDescriptor silent = net::ConnectTcp("127.0.0.1", server.port(), Soon());
  ExpectServed(server.address());
}

TEST(PsSecurityTest, MetricsAndStatusAreThereForHttp) {
  const int metrics_port = FreePort();
  PsServer server({.arguments = {"--metrics_port", std::to_string(metrics_port)}});
  ExpectServed(server.address());
  const auto get = [&](const std::string& path) {
    net::HttpClient http;
    return std::get<net::HttpResponse>(
        http.Send({.url = fmt::format("http://127.0.0.1:{}{}", metrics_port, path)}, Soon()));
  };
  const auto metrics = get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  for (const char* line :
       {"# TYPE lambdaml_ps_calls_total counter\n",
        "lambdaml_ps_job_rounds_finished_total{job=\"secure\"} 1\n", "lambdaml_ps_jobs 1\n"}) {
    EXPECT_THAT(metrics.body.text(), HasSubstr(line));
  }
  EXPECT_EQ(base::Json::Parse(get("/status").body.text(), "status").At("jobs").AsArray().size(),
            1U);
  EXPECT_EQ(get("/other").status, 404);
}

TEST(PsSecurityTest, AnAddressThatOthersReachIsWarnedAbout) {
  const auto start = [](const std::vector<std::string>& arguments,
                        const std::string& token) -> std::string {
    ProgramOptions program = {.program = LAMBDAML_PROGRAM,
                              .arguments = {"ps", "--port", "0"},
                              .environment = {},
                              .working_directory = "/"};
    program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
    if (!token.empty()) program.environment.push_back("LAMBDAML_PS_TOKEN=" + token);
    ChildProgram child(program);
    child.WaitUntil([&] { return child.err().find("event=listening") != std::string::npos; },
                    std::chrono::seconds(30));
    return child.err();
  };
  EXPECT_THAT(start({}, ""), Not(HasSubstr("warning")));
  EXPECT_THAT(start({"--host", "0.0.0.0"}, ""), HasSubstr("set LAMBDAML_PS_TOKEN"));
  const std::string with_token = start({"--host", "0.0.0.0"}, kSecret);
  EXPECT_THAT(with_token, HasSubstr("in the clear"));
  EXPECT_THAT(with_token, Not(HasSubstr("set LAMBDAML_PS_TOKEN")));
  EXPECT_THAT(with_token, Not(HasSubstr(kSecret)));
}

}  // namespace
}  // namespace lambdaml::test

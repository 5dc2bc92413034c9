#include "support/servers/rgw_server.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "lambdaml/base/bytes.h"
#include "lambdaml/net/aws_client.h"

namespace lambdaml::test {
namespace {

constexpr base::Duration kCommandTimeout = std::chrono::seconds(60);

constexpr std::array<const char*, 6> kPrograms = {"ceph-mon",   "ceph-osd",   "radosgw",
                                                  "monmaptool", "osdmaptool", "radosgw-admin"};
// Any will do: there is one cluster to a folder.
constexpr const char* kClusterId = "6f2d5c0e-8a3b-4c1d-9e7f-1b0a2c3d4e5f";
constexpr const char* kStorageId = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e";

// One replica in memory, no authentication inside the cluster. What is not obvious:
// - ms … mode = crc: without authentication there is no key for the encrypted mode, and the gateway
//   would wait for ever;
// - paxos …: the monitor gathers changes for a second before it proposes them, and each of the
//   gateway's pools is a change;
// - tcp_nodelay: without it answers wait 40 ms for the client's delayed acknowledgement;
// - rgw s3 auth use sts: otherwise session tokens are not looked at. With it, whoever shows wrong
//   keys is denied access without being told why;
// - osd client watch timeout: otherwise, for 30 s after a gateway was killed, its successors wait
// for
//   it to hear of new buckets. Living ones show up at each objecter tick;
// - rgw gc …: deleted values give their memory back soon, but not while a reader may have them
// open.
constexpr const char* kConfig = R"([global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{monitor_port}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
log file = {folder}/$name.log
admin socket =
pid file =
crash dir = {folder}
paxos propose interval = 0.02
paxos min wait = 0.01
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 0
rgw rados pool pg num min = 1
[mon]
mon data = {folder}/monitor
[osd]
osd data = {folder}/storage
osd objectstore = memstore
memstore device bytes = 8589934592
osd class load list = *
osd class default list = *
debug osd = 1
osd client watch timeout = 3
[client]
rgw data = {folder}/gateway
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw dns name = localhost
rgw thread pool size = 64
rgw enable usage log = false
rgw enable ops log = false
rgw enable lc threads = false
rgw enable quota threads = false
rgw run sync thread = false
rgw gc obj min wait = 60
rgw gc processor period = 10
rgw s3 auth use sts = true
objecter tick interval = 1
rgw sts key = abcdefghijklmnop
)";

bool HasLine(const std::string& path, std::string_view text) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

bool RgwServer::IsInstalled() {
  return std::ranges::all_of(kPrograms, [](const char* name) { return test::IsInstalled(name); });
}

RgwServer& RgwServer::Shared() {
  static RgwServer server;
  return server;
}

RgwServer::RgwServer()
    : folder_(base::FileExists("/dev/shm") ? "/dev/shm" : "/tmp", "lambdaml_rgw_") {
  base::WriteFileAtomic(
      PathOf("ceph.conf"),
      base::AsBytes(fmt::format(fmt::runtime(kConfig), fmt::arg("cluster", kClusterId),
                                fmt::arg("folder", folder_.path()), fmt::arg("port", port_),
                                fmt::arg("monitor_port", monitor_port_))));
  for (const char* name : {"monitor", "storage", "gateway"}) base::MakeDirectories(PathOf(name));
  StartMonitor();
  StartStorage();
  StartGateway();
}

std::string RgwServer::endpoint() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::string RgwServer::host_endpoint() const { return fmt::format("http://localhost:{}", port_); }

ProgramOptions RgwServer::Command(const std::string& program,
                                  std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {"--conf", PathOf("ceph.conf")});
  return {.program = FindProgram(program),
          .arguments = std::move(arguments),
          .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
          .working_directory = folder_.path()};
}

void RgwServer::Run(const std::string& program, const std::vector<std::string>& arguments) const {
  const ProgramResult result = RunProgram(Command(program, arguments), kCommandTimeout);
  if (result.status.exit_code == 0 && result.status.signal == 0) return;
  throw std::runtime_error(
      fmt::format("{}: {}\n{}", program, result.status.ToString(), result.err));
}

void RgwServer::StartMonitor() {
  Run("monmaptool", {"--create", "--fsid", kClusterId, "--addv", "a",
                     fmt::format("[v2:127.0.0.1:{}]", monitor_port_), PathOf("monmap")});
  // With the storage daemon in the map from the start, nobody has to announce it.
  Run("osdmaptool", {"--createsimple", "1", PathOf("osdmap")});
  Run("ceph-mon",
      {"--mkfs", "-i", "a", "--monmap", PathOf("monmap"), "--osdmap", PathOf("osdmap")});
  monitor_ = std::make_unique<ServerProcess>(Command("ceph-mon", {"-f", "-i", "a"}),
                                             [this] { return AcceptsConnections(monitor_port_); });
}

void RgwServer::StartStorage() {
  Run("ceph-osd", {"--mkfs", "-i", "0", "--osd-uuid", kStorageId});
  storage_ = std::make_unique<ServerProcess>(Command("ceph-osd", {"-f", "-i", "0"}), [this] {
    return HasLine(PathOf("osd.0.log"), "state: booting -> active");
  });
}

void RgwServer::MakeUser(const std::string& name, const net::Credentials& credentials) const {
  Run("radosgw-admin", {"user", "create", "--uid", name, "--display-name", name, "--access-key",
                        credentials.access_key_id, "--secret", credentials.secret_access_key});
}

void RgwServer::StartGateway() {
  MakeUser("owner", credentials());  // makes the gateway's pools, too
  gateway_ = std::make_unique<ServerProcess>(Command("radosgw", {"-f", "-n", "client.rgw"}),
                                             [this] { return AcceptsConnections(port_); });
}

net::Credentials RgwServer::credentials() {
  net::Credentials credentials;
  credentials.access_key_id = "AKIATESTTESTTEST0001";
  credentials.secret_access_key = "testsecret/with+chars=0123456789abcdefgh";
  return credentials;
}

net::Credentials RgwServer::MakeStranger() const {
  net::Credentials credentials;
  credentials.access_key_id = "AKIATESTSTRANGER0002";
  credentials.secret_access_key = "stranger/secret+0123456789abcdefghijklmn";
  MakeUser("stranger", credentials);
  return credentials;
}

std::string RgwServer::Url(const std::string& path) const {
  return fmt::format("s3://{}?endpoint={}", path, endpoint());
}

std::vector<std::string> RgwServer::Environment() const {
  return {"AWS_ENDPOINT_URL_S3=" + endpoint(), "AWS_REGION=us-east-1",
          "AWS_ACCESS_KEY_ID=" + credentials().access_key_id,
          "AWS_SECRET_ACCESS_KEY=" + credentials().secret_access_key};
}

std::string RgwServer::MakeBucket() {
  std::string name = fmt::format("bucket-{}", ++bucket_count_);
  net::AwsClientOptions options;
  options.service = "s3";
  options.region = "us-east-1";
  options.endpoint = endpoint();
  options.credentials = net::FixedCredentials(credentials());
  options.parse_error = [](const auto&, const auto&) { return std::nullopt; };
  net::AwsRequest request;
  request.operation = "make the bucket " + name;
  request.method = "PUT";
  request.path = "/" + name;
  net::AwsClient(options).Send(request, base::Deadline::After(kCommandTimeout));
  return name;
}

}  // namespace lambdaml::test

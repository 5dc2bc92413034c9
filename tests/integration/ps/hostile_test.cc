// What a server must bear: garbage, announced sizes, slow and vanished peers, too many of them.
// After each the server still serves.
#include <algorithm>
#include <array>
#include <cstdint>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/net/tcp.h"

#include "integration/ps/ranks.h"
#include "support/servers/ps_server.h"

namespace lambdaml::test {
namespace {

using ps::Client;
using ::testing::HasSubstr;

// A connection that says whatever a test wants.
class RawPeer {
 public:
  explicit RawPeer(int port) : socket_(net::ConnectTcp("127.0.0.1", port, Soon())) {}

  // Sends as much as the server takes; it may have closed the connection already.
  void Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EAGAIN && net::WaitReady(socket_.get(), POLLOUT, Soon())) continue;
      if (count < 0) return;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }

  // All that comes until the server closes the connection; nothing if it does not in time.
  std::optional<std::string> ReadToEnd(base::Duration patience) const {
    const base::Deadline deadline = base::Deadline::After(patience);
    std::string all;
    std::array<char, 4096> part;
    while (net::WaitReady(socket_.get(), POLLIN, deadline)) {
      const ssize_t count = ::recv(socket_.get(), part.data(), part.size(), 0);
      if (count <= 0) return all;
      all.append(part.data(), static_cast<size_t>(count));
    }
    return std::nullopt;
  }
  // Whether an answer comes rather than the end of the connection.
  bool IsAnswered() const {
    char first = 0;
    return net::WaitReady(socket_.get(), POLLIN, Soon()) &&
           ::recv(socket_.get(), &first, 1, 0) == 1;
  }
  void EndSending() const { ::shutdown(socket_.get(), SHUT_WR); }

 private:
  base::FileDescriptor socket_;
};

std::string BigEndian(uint64_t value, int size) {
  std::string bytes;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> shift & 0xFF);
  }
  return bytes;
}

// The head of a call in the strict binary protocol.
std::string CallHead(const std::string& name) {
  return BigEndian(0x80010001, 4) + BigEndian(name.size(), 4) + name + BigEndian(1, 4);
}
std::string Field(int type, int id) {
  return BigEndian(static_cast<uint64_t>(type), 1) + BigEndian(static_cast<uint64_t>(id), 2);
}
std::string Text(const std::string& text) { return BigEndian(text.size(), 4) + text; }

constexpr int kDouble = 4;
constexpr int kI64 = 10;
constexpr int kString = 11;
constexpr int kStruct = 12;
constexpr int kList = 15;

std::string PingCall() { return CallHead("ping") + BigEndian(0, 1); }

constexpr int kConnectionsMax = 40;

class HostileTest : public ::testing::Test {
 protected:
  static PsServer& Server() {
    static PsServer server({.arguments = {"--connections_max", std::to_string(kConnectionsMax),
                                          "--memory_mb", "64", "--message_mb", "32"}});
    return server;
  }

  void TearDown() override {
    Client client(Server().address(), {.job = "alive", .worker_count = 1}, 0);
    std::vector<float> vector = {1, 2};
    EXPECT_TRUE(client.ReduceSum({0, ++round_}, 0, {}, vector, Soon()).is_complete);
  }

  // Sends the bytes, and expects the server to close the connection.
  static void ExpectDropped(const std::string& bytes) {
    const RawPeer peer(Server().port());
    peer.Send(bytes);
    peer.EndSending();
    EXPECT_TRUE(peer.ReadToEnd(std::chrono::seconds(30))) << "the connection is still open";
  }

 private:
  static inline uint64_t round_ = 0;
};

TEST_F(HostileTest, GarbageEndsItsConnectionOnly) {
  base::Random random(11);
  ExpectDropped("GET / HTTP/1.1\r\nHost: ps\r\n\r\n");
  ExpectDropped(std::string(100'000, '\0'));
  ExpectDropped(std::string(100'000, '\xFF'));
  for (int i = 0; i < 300; ++i) {
    std::string bytes;
    if (random.Below(2) == 0) {
      bytes = CallHead(std::vector<std::string>{"exchange", "merge", "push_grad", "hello",
                                                "open_job"}[random.Below(5)]);
    }
    const size_t size = random.Below(300);
    for (size_t k = 0; k < size; ++k) {
      // Small numbers are types and field numbers more often than not.
      bytes += static_cast<char>(random.Below(random.Below(2) == 0 ? 16 : 256));
    }
    ExpectDropped(bytes);
  }
}

TEST_F(HostileTest, ValidCallsWithDamagedBytesDoNoHarm) {
  base::Random random(12);
  const std::string slice = Field(kString, 1) + Text("alive") + Field(kI64, 2) + BigEndian(0, 8) +
                            Field(kI64, 3) + BigEndian(1, 8) + Field(8, 4) + BigEndian(0, 4) +
                            Field(8, 6) + BigEndian(1, 4) + Field(kString, 9) +
                            Text(std::string(100, 'm')) + BigEndian(0, 1);
  const std::string call = CallHead("exchange") + Field(kStruct, 1) + slice + BigEndian(0, 1);
  for (int i = 0; i < 500; ++i) {
    std::string damaged = call;
    for (uint64_t k = 0; k < 1 + random.Below(3); ++k) {
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(256));
    }
    ExpectDropped(damaged);
  }
}

TEST_F(HostileTest, AnnouncedSizesTakeNoMemory) {
  const std::string huge = BigEndian(0x7FFFFFF0, 4);
  ExpectDropped(huge);
  ExpectDropped(BigEndian(0x80010001, 4) + huge);
  ExpectDropped(BigEndian(0x80010001, 4) + BigEndian(0xFFFFFFFF, 4));
  ExpectDropped(CallHead("exist_model") + Field(kString, 1) + huge);
  const std::string grad = CallHead("push_grad") + Field(kStruct, 1) + Field(kList, 4);
  ExpectDropped(grad + BigEndian(kDouble, 1) + huge);
  ExpectDropped(grad + BigEndian(kDouble, 1) + BigEndian(0xFFFFFFF0, 4));
  for (const uint64_t count : {4'000'000U, 3'000'000U}) {
    ExpectDropped(grad + BigEndian(kDouble, 1) + BigEndian(count, 4));
  }
  ExpectDropped(CallHead("exchange") + Field(kStruct, 1) + Field(kString, 9) + huge);
  ExpectDropped(CallHead("exchange") + Field(kStruct, 1) + Field(kString, 9) +
                BigEndian(30U << 20, 4));
  EXPECT_LT(Server().Status().At("memory_used_bytes").AsNumber(), 1e6);
}

TEST_F(HostileTest, ANestedStructDoesNotExhaustTheStack) {
  std::string nested;
  for (int i = 0; i < 1'000'000; ++i) nested += Field(kStruct, 7);
  ExpectDropped(CallHead("ping") + nested);
  ExpectDropped(CallHead("exchange") + nested);
}

TEST_F(HostileTest, AMessageThatDoesNotFitIsRefusedAndTheConnectionGoesOn) {
  const RawPeer peer(Server().port());
  const size_t size = 31U << 20;
  const std::string slice = Field(kString, 1) + Text("alive") + Field(8, 6) + BigEndian(1, 4) +
                            Field(kString, 9) + BigEndian(size, 4);
  // Two of them at once are more than the server's memory, and more than one message may have.
  const RawPeer other(Server().port());
  for (const RawPeer* one : {&peer, &other}) {
    one->Send(CallHead("exchange") + Field(kStruct, 1) + slice + std::string(size - 1000, 'x'));
  }
  for (const RawPeer* one : {&peer, &other}) {
    one->Send(std::string(1000, 'x') + BigEndian(0, 1) + BigEndian(0, 1) + PingCall());
    one->EndSending();
  }
  for (const RawPeer* one : {&peer, &other}) {
    const std::string answer = one->ReadToEnd(std::chrono::seconds(30)).value_or("");
    EXPECT_THAT(answer, ::testing::AnyOf(HasSubstr("is full"), HasSubstr("no message"),
                                         HasSubstr("does not start with")));
    EXPECT_THAT(answer, HasSubstr("ping"));
  }
}

TEST_F(HostileTest, SilentPeersDoNotKeepOthersOut) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 30; ++i) {
    peers.push_back(std::make_unique<RawPeer>(Server().port()));
    peers.back()->Send(CallHead("exchange").substr(0, static_cast<size_t>(i) % 15));
  }
  Client client(Server().address(), {.job = "alive", .worker_count = 1}, 0);
  EXPECT_NO_THROW(client.Open(Soon()));
}

TEST_F(HostileTest, BeyondTheLimitOfConnectionsPeersAreTurnedAwayAtOnce) {
  // Those of earlier tests may not have gone yet, so some may be turned away before.
  std::vector<std::unique_ptr<RawPeer>> peers;
  const base::Deadline deadline = Soon();
  while (peers.size() < kConnectionsMax && !deadline.Expired()) {
    auto peer = std::make_unique<RawPeer>(Server().port());
    peer->Send(PingCall());
    if (peer->IsAnswered()) peers.push_back(std::move(peer));
  }
  ASSERT_EQ(peers.size(), kConnectionsMax);
  const RawPeer extra(Server().port());
  EXPECT_EQ(extra.ReadToEnd(std::chrono::seconds(30)), "");
  peers.clear();
}

TEST_F(HostileTest, MethodsThatDoNotExistAreAnswered) {
  const RawPeer peer(Server().port());
  peer.Send(CallHead("no_such_method") + BigEndian(0, 1) + PingCall());
  peer.EndSending();
  EXPECT_THAT(peer.ReadToEnd(std::chrono::seconds(30)).value_or(""),
              ::testing::AllOf(HasSubstr("Invalid method name"), HasSubstr("ping")));
}

TEST_F(HostileTest, AKilledWorkerLeavesNothingBehind) {
  const ps::JobSpec spec = {.job = "dying", .worker_count = 2};
  {
    const RawPeer peer(Server().port());
    Client opener(Server().address(), spec, 0);
    opener.Open(Soon());
    // A rank that dies while it waits: the connection closes under the waiting call.
    peer.Send(CallHead("exchange") + Field(kStruct, 1) + Field(kString, 1) + Text("dying") +
              Field(8, 4) + BigEndian(1, 4) + Field(8, 6) + BigEndian(1, 4) + Field(8, 8) +
              BigEndian(500, 4) + BigEndian(0, 1) + BigEndian(0, 1));
  }
  RunRanks(Server().address(), spec, [](Client& client, int /*rank*/) {
    std::vector<float> vector = {1};
    EXPECT_TRUE(client.ReduceSum({0, 0}, 0, {}, vector, Soon()).is_complete);
    EXPECT_THAT(vector, ::testing::ElementsAre(2));
  });
}

TEST(SlowPeerTest, AClientNoticesAServerThatHasStopped) {
  PsServer server;
  Client client(server.address(), {.job = "stopped", .worker_count = 1}, 0);
  std::vector<float> vector = {1};
  client.ReduceSum({0, 1}, 0, {}, vector, Soon());
  server.process().Pause();
  try {
    client.ReduceSum({0, 2}, 0, {}, vector, base::Deadline::After(std::chrono::seconds(2)));
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kDeadlineExceeded) << error.message();
    EXPECT_THAT(error.message(), HasSubstr(std::to_string(server.port())));
  }
  server.process().Resume();
  EXPECT_TRUE(client.ReduceSum({0, 2}, 0, {}, vector, Soon()).is_complete) << "a new connection";
}

}  // namespace
}  // namespace lambdaml::test

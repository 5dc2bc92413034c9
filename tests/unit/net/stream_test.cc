#include "lambdaml/net/stream.h"

#include <algorithm>
#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

#include "support/loopback_peer.h"

namespace lambdaml::net {
namespace {

using base::AsBytes;
using base::AsText;
using base::ByteSpan;
using base::Deadline;
using base::ErrorCode;
using std::chrono::milliseconds;
using test::LoopbackPeer;
using test::SendAll;
using testing::HasSubstr;

Deadline Soon() { return Deadline::After(std::chrono::seconds(30)); }

std::string ReceiveAll(int socket) {
  std::string all;
  std::array<char, 4096> buffer{};
  ssize_t count = 0;
  while ((count = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0) {
    all.append(buffer.data(), static_cast<size_t>(count));
  }
  return all;
}

Stream ConnectTo(const LoopbackPeer& peer, base::Duration silence_max = std::chrono::seconds(10)) {
  return Stream::Connect("127.0.0.1", peer.port(), {.silence_max = silence_max}, Soon());
}

template <typename Call>
std::optional<base::Error> ErrorOf(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  return std::nullopt;
}

std::string Read(Stream& stream, size_t size) {
  std::string text(size, '\0');
  stream.ReadExactly(std::as_writable_bytes(std::span(text)), Soon());
  return text;
}

TEST(Stream, ReadsLinesAndBytesInAnyMixture) {
  const LoopbackPeer peer(
      [](int socket) { SendAll(socket, "first\r\nsecond\n\r\nabcdefthird\r\nrest"); });
  Stream stream = ConnectTo(peer);
  EXPECT_EQ(stream.ReadLine(6, Soon()), "first");
  EXPECT_EQ(stream.ReadLine(100, Soon()), "second");
  EXPECT_EQ(stream.ReadLine(100, Soon()), "");
  EXPECT_EQ(Read(stream, 6), "abcdef");
  EXPECT_EQ(stream.ReadLine(100, Soon()), "third");
  EXPECT_EQ(Read(stream, 4), "rest");
  std::array<std::byte, 8> more{};
  EXPECT_EQ(stream.ReadSome(more, Soon()), 0U);
}

TEST(Stream, ReadsTheSameHoweverTheBytesAreSplit) {
  std::string sent;
  base::Random random(7);
  for (int i = 0; i < 200; ++i) {
    const std::string payload(random.Below(300), static_cast<char>('a' + i % 26));
    sent += std::to_string(payload.size()) + "\r\n" + payload;
  }
  const LoopbackPeer peer([&](int socket) {
    base::Random splits(11);
    for (size_t at = 0; at < sent.size();) {
      const size_t size = std::min<size_t>(sent.size() - at, 1 + splits.Below(40));
      SendAll(socket, std::string_view(sent).substr(at, size));
      at += size;
    }
  });
  Stream stream = ConnectTo(peer);
  std::string received;
  while (received.size() < sent.size()) {
    const std::string line(stream.ReadLine(10, Soon()));
    received += line + "\r\n" + Read(stream, std::stoul(line));
  }
  EXPECT_EQ(received, sent);
}

TEST(Stream, WritesPartsInTheirOrderThroughAFullSocket) {
  std::string received;
  base::Bytes large(20'000'000);
  base::Random random(3);
  for (std::byte& byte : large) byte = static_cast<std::byte>(random.Next() & 0xFF);
  {
    const LoopbackPeer peer([&](int socket) {
      std::this_thread::sleep_for(milliseconds(20));  // the sender's buffer is full by then
      received = ReceiveAll(socket);
    });
    Stream stream = ConnectTo(peer);
    std::vector<ByteSpan> parts = {AsBytes("header\r\n"), {}, large, AsBytes("\r\n")};
    for (int i = 0; i < 200; ++i) parts.push_back(AsBytes("more"));
    stream.WriteAll(parts, Soon());
    stream.WriteAll({}, Soon());
    stream.Close();
  }
  std::string expected = "header\r\n" + std::string(AsText(large)) + "\r\n";
  for (int i = 0; i < 200; ++i) expected += "more";
  EXPECT_TRUE(received == expected);
}

TEST(Stream, SaysWhereNobodyListens) {
  int port = 0;
  {
    port = LoopbackPeer([](int) {}).port();
  }
  const auto error = ErrorOf([&] { Stream::Connect("127.0.0.1", port, {}, Soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error->message(), HasSubstr("127.0.0.1:" + std::to_string(port)));
  EXPECT_THAT(error->message(), HasSubstr("refused"));
}

TEST(Stream, SaysThatAHostDoesNotExist) {
  const auto error = ErrorOf([&] { Stream::Connect("no-such-host.invalid", 6379, {}, Soon()); });
  ASSERT_TRUE(error);
  // A machine without any resolver says "try again" instead.
  EXPECT_THAT(error->code(), testing::AnyOf(ErrorCode::kNotFound, ErrorCode::kUnavailable));
  EXPECT_THAT(error->message(), HasSubstr("no-such-host.invalid:6379"));
}

TEST(Stream, TriesEveryAddressOfAHost) {
  // "localhost" is ::1 and 127.0.0.1 on most machines; the peer listens on the latter only.
  const LoopbackPeer peer([](int socket) { SendAll(socket, "hello\n"); });
  Stream stream = Stream::Connect("localhost", peer.port(), {}, Soon());
  EXPECT_EQ(stream.ReadLine(10, Soon()), "hello");
}

TEST(Stream, EndsEveryWaitAtItsDeadline) {
  const LoopbackPeer peer([](int socket) { ReceiveAll(socket); });
  Stream stream = ConnectTo(peer);
  std::array<std::byte, 1> byte{};
  const auto late = [] { return Deadline::After(milliseconds(20)); };
  EXPECT_FALSE(stream.WaitReadable(late()));
  EXPECT_EQ(ErrorOf([&] { stream.ReadExactly(byte, late()); })->code(),
            ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(ErrorOf([&] { stream.ReadLine(10, late()); })->code(), ErrorCode::kDeadlineExceeded);
}

TEST(Stream, EndsAWriteThatNobodyReadsAtItsDeadline) {
  std::atomic<bool> done{false};
  const LoopbackPeer peer([&](int) {
    while (!done) std::this_thread::sleep_for(milliseconds(1));
  });
  Stream stream = ConnectTo(peer);
  const base::Bytes large(64'000'000);
  const auto error = ErrorOf(
      [&] { stream.WriteAll(std::array<ByteSpan, 1>{large}, Deadline::After(milliseconds(50))); });
  done = true;
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kDeadlineExceeded);
}

TEST(Stream, NoticesASilentPeerLongBeforeAFarDeadline) {
  const LoopbackPeer peer([](int socket) { ReceiveAll(socket); });
  Stream stream = ConnectTo(peer, milliseconds(30));
  const auto error = ErrorOf([&] { stream.ReadLine(10, Soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error->message(), HasSubstr("no answer for"));
}

TEST(Stream, NoticesTheEndOfTheConnection) {
  const LoopbackPeer peer([](int socket) { SendAll(socket, "half a li"); });
  Stream stream = ConnectTo(peer);
  EXPECT_TRUE(stream.WaitReadable(Soon()));
  const auto error = ErrorOf([&] { stream.ReadLine(100, Soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error->message(), HasSubstr("closed the connection"));
}

TEST(Stream, WritingToAPeerThatHasGoneIsAnErrorAndNoSignal) {
  const LoopbackPeer peer([](int) {});
  Stream stream = ConnectTo(peer);
  EXPECT_TRUE(stream.WaitReadable(Soon()));  // the end
  const base::Bytes large(1'000'000);
  const auto error = ErrorOf([&] {
    for (int i = 0; i < 100; ++i) stream.WriteAll(std::array<ByteSpan, 1>{large}, Soon());
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUnavailable);
}

TEST(Stream, RefusesALineLongerThanItsLimit) {
  const LoopbackPeer peer([](int socket) { SendAll(socket, std::string(100'000, 'x') + "\n"); });
  Stream stream = ConnectTo(peer);
  const auto error = ErrorOf([&] { stream.ReadLine(1000, Soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error->message(), HasSubstr("1000 bytes"));
}

TEST(Stream, AClosedStreamSaysSo) {
  const LoopbackPeer peer([](int socket) { ReceiveAll(socket); });
  Stream stream = ConnectTo(peer);
  stream.Close();
  EXPECT_EQ(ErrorOf([&] { stream.WriteAll({}, Soon()); })->code(), ErrorCode::kUnavailable);
  EXPECT_EQ(ErrorOf([&] { stream.ReadLine(10, Soon()); })->code(), ErrorCode::kUnavailable);
}

TEST(Stream, APeerWithoutTlsIsAnError) {
  const LoopbackPeer peer([](int socket) { SendAll(socket, "-ERR unknown command\r\n"); });
  const auto error =
      ErrorOf([&] { Stream::Connect("127.0.0.1", peer.port(), {.use_tls = true}, Soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error->message(), HasSubstr("127.0.0.1:"));
}

TEST(Stream, AnAuthoritiesFileThatIsNoneIsTheUsersMistake) {
  const LoopbackPeer peer([](int socket) { ReceiveAll(socket); });
  const auto error = ErrorOf([&] {
    Stream::Connect("127.0.0.1", peer.port(), {.use_tls = true, .ca_file = "/nonexistent.pem"},
                    Soon());
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error->message(), HasSubstr("/nonexistent.pem"));
}

}  // namespace
}  // namespace lambdaml::net

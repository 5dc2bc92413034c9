#include "lambdaml/store/redis_protocol.h"

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

#include "support/loopback_peer.h"

namespace lambdaml::store {
namespace {

using base::AsBytes;
using base::Deadline;
using testing::HasSubstr;
using Type = RedisReply::Type;

constexpr uint64_t kSizeMaxBytes = 1'000'000;

Deadline Soon() { return Deadline::After(std::chrono::seconds(30)); }

// A server that sends a text in pieces of the given sizes, and closes.
class Script {
 public:
  Script(std::string text, std::function<size_t()> piece_size)
      : peer_([text = std::move(text), piece_size = std::move(piece_size)](int socket) {
          for (std::string_view left = text; !left.empty();) {
            const std::string_view piece = left.substr(0, piece_size());
            if (!test::SendAll(socket, piece)) return;
            left.remove_prefix(piece.size());
          }
        }),
        stream_(net::Stream::Connect("127.0.0.1", peer_.port(), {}, Soon())) {}
  ~Script() { stream_.Close(); }

  net::Stream& stream() { return stream_; }

 private:
  const test::LoopbackPeer peer_;
  net::Stream stream_;
};

RedisReply ReplyOf(const std::string& text) {
  Script script(text, [] { return size_t{1} << 20; });
  return ReadRedisReply(script.stream(), kSizeMaxBytes, Soon());
}

// A reply written so that two can be compared.
std::string Describe(const RedisReply& reply) {
  switch (reply.type) {
    case Type::kNil:
      return "nil";
    case Type::kStatus:
      return "+" + reply.text;
    case Type::kError:
      return "-" + reply.text;
    case Type::kInteger:
      return std::to_string(reply.integer);
    case Type::kBulk:
      return "'" + std::string(reply.bulk.text()) + "'";
    case Type::kArray: {
      std::string text = reply.is_push ? ">[" : "[";
      for (const RedisReply& element : reply.elements) text += Describe(element) + " ";
      return text + "]";
    }
  }
  return "?";
}

TEST(RedisProtocol, RequestsAreArraysOfByteStrings) {
  const std::string value("a\r\n\0b", 5);
  RedisRequest request;
  request.Add({"GET", "key with\r\nan end"});
  request.AddSet("k", AsBytes("head"), AsBytes(value), std::array<std::string_view, 1>{"NX"});
  request.AddSet("k", AsBytes("h"), {}, {});
  request.Add({"PING"});
  std::string text;
  for (const auto part : request.Parts()) text += base::AsText(part);
  EXPECT_EQ(text,
            "*2\r\n$3\r\nGET\r\n$16\r\nkey with\r\nan end\r\n"
            "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\nhead" +
                value +
                "\r\n$2\r\nNX\r\n"
                "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nh\r\n"
                "*1\r\n$4\r\nPING\r\n");
}

TEST(RedisProtocol, ValuesAreNotCopiedIntoARequest) {
  const base::Bytes value(100'000);
  RedisRequest request;
  request.AddSet("k", AsBytes("head"), value, {});
  EXPECT_THAT(request.Parts(),
              testing::Contains(testing::Property(&base::ByteSpan::data, value.data())));
}

TEST(RedisProtocol, KnowsEveryKindOfReply) {
  EXPECT_EQ(Describe(ReplyOf("+OK\r\n")), "+OK");
  EXPECT_EQ(Describe(ReplyOf("-ERR no\r\n")), "-ERR no");
  EXPECT_EQ(Describe(ReplyOf(":-42\r\n")), "-42");
  EXPECT_EQ(Describe(ReplyOf("$5\r\na\r\nbc\r\n")), "'a\r\nbc'");
  EXPECT_EQ(Describe(ReplyOf("$0\r\n\r\n")), "''");
  EXPECT_EQ(Describe(ReplyOf("$-1\r\n")), "nil");
  EXPECT_EQ(Describe(ReplyOf("_\r\n")), "nil");
  EXPECT_EQ(Describe(ReplyOf("*0\r\n")), "[]");
  EXPECT_EQ(Describe(ReplyOf("*-1\r\n")), "nil");
  EXPECT_EQ(Describe(ReplyOf("*3\r\n:1\r\n$-1\r\n*1\r\n$2\r\nxy\r\n")), "[1 nil ['xy' ] ]");
  EXPECT_EQ(Describe(ReplyOf("%2\r\n+a\r\n:1\r\n+b\r\n_\r\n")), "[+a 1 +b nil ]");
  EXPECT_EQ(Describe(ReplyOf("~1\r\n#t\r\n")), "[1 ]");
  EXPECT_EQ(Describe(ReplyOf("*2\r\n,1.5\r\n(123456789012345678901\r\n")),
            "[+1.5 +123456789012345678901 ]");
  EXPECT_EQ(Describe(ReplyOf("=5\r\ntxt:x\r\n")), "'txt:x'");
  EXPECT_EQ(Describe(ReplyOf(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")),
            ">['invalidate' ['k' ] ]");
}

TEST(RedisProtocol, RepliesAreTheSameHoweverTheirBytesAreSplit) {
  base::Random random(5);
  std::string sent;
  std::vector<std::string> expected;
  for (int i = 0; i < 300; ++i) {
    const std::string payload(random.Below(200), static_cast<char>(random.Below(256)));
    const std::string bulk = "$" + std::to_string(payload.size()) + "\r\n" + payload + "\r\n";
    switch (random.Below(5)) {
      case 0:
        sent += bulk;
        expected.push_back("'" + payload + "'");
        break;
      case 1:
        sent += ":" + std::to_string(i) + "\r\n";
        expected.push_back(std::to_string(i));
        break;
      case 2:
        sent += "_\r\n";
        expected.emplace_back("nil");
        break;
      case 3:
        sent += ">2\r\n+invalidate\r\n*1\r\n" + bulk;
        expected.push_back(">[+invalidate ['" + payload + "' ] ]");
        break;
      default:
        sent += "*2\r\n" + bulk + "%1\r\n+k\r\n" + bulk;
        expected.push_back("['" + payload + "' [+k '" + payload + "' ] ]");
    }
  }
  for (const uint64_t seed : {1U, 2U, 3U}) {
    auto sizes = std::make_shared<base::Random>(seed);
    Script script(sent, [sizes, seed] { return 1 + sizes->Below(1 << (3 * seed)); });
    for (const std::string& reply : expected) {
      ASSERT_EQ(Describe(ReadRedisReply(script.stream(), kSizeMaxBytes, Soon())), reply);
    }
  }
}

TEST(RedisProtocol, WhatIsNoReplyIsAnError) {
  for (const std::string text : {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                 "\r\n",
                                 "hello\r\n",
                                 "$x\r\n",
                                 "$\r\n",
                                 "$-2\r\n",
                                 "$3\r\nabcd\r\n",
                                 "$99999999999999999999\r\n",
                                 "$1000001\r\n",
                                 "*-2\r\n",
                                 "*1000001\r\n",
                                 "*9223372036854775807\r\n",
                                 "%9223372036854775807\r\n",
                                 "*1\r\n$4611686018427387904\r\n",
                                 "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
                                 ":1x\r\n",
                                 "*1\r\n?\r\n",
                                 "*2\r\n:1\r\n",
                                 "$5\r\nab",
                                 "+OK",
                                 "",
                                 "*1\r\n$2\r\nabc\r\n"}) {
    try {
      const RedisReply reply = ReplyOf(text);
      ADD_FAILURE() << text << " was taken for " << Describe(reply);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable) << text;
      EXPECT_THAT(error.message(), HasSubstr("127.0.0.1:")) << text;
    }
  }
}

TEST(RedisProtocol, RandomBytesNeverCrashIt) {
  base::Random random(9);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const std::string_view alphabet = "+-:$*%~>_=#,(\r\n\r\n0123459 ab";
    for (uint64_t i = random.Below(60); i > 0; --i) text += alphabet[random.Below(alphabet.size())];
    Script script(text, [] { return size_t{1000}; });
    try {
      while (true) ReadRedisReply(script.stream(), kSizeMaxBytes, Soon());
    } catch (const base::Error& error) {
      ASSERT_EQ(error.code(), base::ErrorCode::kUnavailable) << text;
    }
  }
}

}  // namespace
}  // namespace lambdaml::store

#include "lambdaml/store/redis_connection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;
using Type = RedisReply::Type;

// How long a server may move no byte before the connection counts as broken. Redis serves one
// command at a time, but none of ours takes seconds.
constexpr base::Duration kSilenceMax = std::chrono::seconds(5);
// How long a wait believes in a silent server.
constexpr base::Duration kHealthCheckInterval = std::chrono::seconds(2);
constexpr uint64_t kSmallValueMaxBytes = 1 << 20;  // of INFO and the like

struct KnownError {
  std::string_view start;  // of the server's message
  ErrorCode code;
  std::string_view meaning;  // instead of the server's message, if not empty
};

constexpr std::string_view kIsShard =
    "it is one of several shards of a cluster: use a server with cluster mode disabled";

constexpr std::array<KnownError, 20> kKnownErrors = {{
    {"LOADING", ErrorCode::kUnavailable, "it is still loading its data after a start"},
    {"BUSY", ErrorCode::kUnavailable, ""},
    {"TRYAGAIN", ErrorCode::kUnavailable, ""},
    {"MASTERDOWN", ErrorCode::kUnavailable, ""},
    {"CLUSTERDOWN", ErrorCode::kUnavailable, ""},
    {"NOREPLICAS", ErrorCode::kUnavailable, ""},
    {"MISCONF", ErrorCode::kUnavailable, ""},
    {"ERR max number of clients", ErrorCode::kUnavailable,
     "it has no connection left: raise its maxclients, or use fewer workers"},
    {"ERR Protocol error", ErrorCode::kUnavailable, "a request reached it damaged"},
    {"READONLY", ErrorCode::kUnavailable, "it is a read-only replica: name the primary's endpoint"},
    {"NOAUTH", ErrorCode::kPermissionDenied,
     "it asks for a password: give it in the URL, as redis://:PASSWORD@host, or in REDIS_PASSWORD"},
    {"NOPERM", ErrorCode::kPermissionDenied, ""},
    {"DENIED", ErrorCode::kPermissionDenied, ""},
    {"OOM", ErrorCode::kResourceExhausted,
     "its memory is full: raise its maxmemory, or use fewer workers or a smaller model"},
    {"MOVED", ErrorCode::kInvalidArgument, kIsShard},
    {"ASK", ErrorCode::kInvalidArgument, kIsShard},
    {"ERR SELECT is not allowed in cluster mode", ErrorCode::kInvalidArgument,
     "a server in cluster mode has database 0 only"},
    {"ERR unknown command", ErrorCode::kInvalidArgument,
     "it does not know a command: a channel needs Redis 4 or later, or Valkey"},
    {"ERR DB index", ErrorCode::kInvalidArgument, "it has no database of that number"},
    {"WRONGTYPE", ErrorCode::kCorrupt, "a key holds something that is not LambdaML's"},
}};

[[noreturn]] void RefuseLogIn(std::string_view place, const RedisReply& reply) {
  // The server's words are left out: some repeat what it was sent.
  const bool needs_none = reply.text.find("no password is set") != std::string::npos ||
                          reply.text.find("without any password") != std::string::npos;
  throw Error(ErrorCode::kPermissionDenied,
              needs_none ? fmt::format("{}: the server has no password: leave out the URL's, and "
                                       "unset REDIS_PASSWORD",
                                       place)
                         : fmt::format("{}: the server refuses the user or the password (of the "
                                       "URL, or else of REDIS_PASSWORD)",
                                       place));
}

uint64_t NumberIn(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

void ThrowRedisError(std::string_view place, const RedisReply& reply) {
  for (const KnownError& known : kKnownErrors) {
    if (!reply.IsError(known.start)) continue;
    throw Error(known.code,
                fmt::format("{}: {}", place, known.meaning.empty() ? reply.text : known.meaning));
  }
  throw Error(ErrorCode::kInternal, fmt::format("{}: the server says {}", place, reply.text));
}

RedisConnection::RedisConnection(const RedisOptions& options, bool watches,
                                 const Deadline& deadline)
    : stream_(net::Stream::Connect(
          options.host, options.port,
          {.use_tls = options.use_tls, .ca_file = options.ca_file, .silence_max = kSilenceMax},
          deadline)) {
  place_ = stream_.place();
  LogIn(options, watches, deadline);
}

void RedisConnection::LogIn(const RedisOptions& options, bool watches, const Deadline& deadline) {
  const bool has_password = !options.password.empty();
  RedisRequest request;
  // AUTH by itself: a server that does not know HELLO would repeat its arguments.
  if (has_password && options.user.empty()) request.Add({"AUTH", options.password});
  if (has_password && !options.user.empty()) request.Add({"AUTH", options.user, options.password});
  request.Add({"HELLO", "3", "SETNAME", "lambdaml"});
  request.Add({"SELECT", std::to_string(options.database)});
  request.Add({"INFO", "server"});
  request.Add({"INFO", "memory"});
  request.Add({"INFO", "replication"});
  if (watches) request.Add({"CLIENT", "TRACKING", "ON"});
  Send(request, deadline);

  RedisReply reply = ReceiveFirst(options.use_tls, deadline);
  if (has_password) {
    const bool is_refused = reply.IsError("WRONGPASS") || reply.IsError("ERR");
    if (is_refused && !reply.IsError("ERR max")) RefuseLogIn(place_, reply);
    if (reply.type == Type::kError) ThrowRedisError(place_, reply);
    reply = TryReceive(kSmallValueMaxBytes, deadline);
  }
  const RedisReply& hello = reply;
  // Servers before Redis 6 speak RESP2 only, which will do.
  const bool is_resp3 = hello.type == Type::kArray;
  if (hello.type == Type::kError && !hello.IsError("ERR unknown") && !hello.IsError("NOPROTO") &&
      !hello.IsError("NOPERM")) {
    ThrowRedisError(place_, hello);
  }
  const RedisReply selected = TryReceive(kSmallValueMaxBytes, deadline);
  // In cluster mode there is no other database than 0, and maybe no SELECT.
  if (selected.type == Type::kError && (options.database != 0 || !selected.IsError("NOPERM"))) {
    ThrowRedisError(place_, selected);
  }
  for (int section = 0; section < 3; ++section) {
    const RedisReply info = TryReceive(kSmallValueMaxBytes, deadline);
    if (info.type == Type::kBulk) ReadInfo(info.bulk.text());
  }
  if (server_.role == "slave") {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: it is a read-only replica: name the primary's endpoint", place_));
  }
  if (!watches) return;
  server_.can_track = TryReceive(kSmallValueMaxBytes, deadline).type == Type::kStatus && is_resp3;
}

RedisReply RedisConnection::ReceiveFirst(bool uses_tls, const Deadline& deadline) {
  try {
    return TryReceive(kSmallValueMaxBytes, deadline);
  } catch (const Error& error) {
    if (uses_tls || error.code() != ErrorCode::kUnavailable) throw;
    throw Error(error.code(), error.message() + " (if it speaks TLS, write rediss://)");
  }
}

void RedisConnection::ReadInfo(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 1);
    if (name == "run_id") server_.run_id = value;
    if (name == "redis_version") server_.version = value;
    if (name == "role") server_.role = value;
    if (name == "maxmemory") server_.maxmemory_bytes = NumberIn(value);
    if (name == "maxmemory_policy") server_.maxmemory_policy = value;
  }
}

void RedisConnection::Send(const RedisRequest& request, const Deadline& deadline) {
  stream_.WriteAll(request.Parts(), deadline);
}

bool RedisConnection::Note(const RedisReply& reply) {
  if (!reply.is_push) return false;
  // >2 "invalidate" [key…], or null instead of the keys: all of them. Other pushes do not concern
  // us.
  if (reply.elements.size() != 2 || reply.elements[0].bulk.text() != "invalidate") return true;
  const RedisReply& keys = reply.elements[1];
  if (keys.type == Type::kNil) written_.emplace_back();
  for (const RedisReply& key : keys.elements) written_.emplace_back(key.bulk.text());
  return true;
}

RedisReply RedisConnection::TryReceive(uint64_t value_size_max_bytes, const Deadline& deadline) {
  while (true) {
    RedisReply reply = ReadRedisReply(stream_, value_size_max_bytes, deadline);
    if (!Note(reply)) return reply;
  }
}

RedisReply RedisConnection::Receive(uint64_t value_size_max_bytes, const Deadline& deadline) {
  RedisReply reply = TryReceive(value_size_max_bytes, deadline);
  if (reply.type == Type::kError) ThrowRedisError(place_, reply);
  return reply;
}

void RedisConnection::ReadPush() {
  const Deadline patience = Deadline::After(2 * kSilenceMax);  // the stream's own comes first
  const RedisReply reply = ReadRedisReply(stream_, kSmallValueMaxBytes, patience);
  if (Note(reply)) return;
  if (reply.type == Type::kError) ThrowRedisError(place_, reply);
  throw Error(ErrorCode::kUnavailable, fmt::format("{}: sent a reply to nothing", place_));
}

void RedisConnection::Ping() {
  const Deadline patience = Deadline::After(2 * kSilenceMax);
  RedisRequest request;
  request.Add({"PING"});
  Send(request, patience);
  Receive(kSmallValueMaxBytes, patience);
}

std::vector<std::string> RedisConnection::AwaitWrites(const Deadline& deadline) {
  while (written_.empty()) {
    const Deadline check = Deadline::After(kHealthCheckInterval, deadline.clock());
    if (stream_.WaitReadable(Deadline::Earlier(deadline, check))) {
      ReadPush();
    } else if (deadline.Expired()) {
      return {};
    } else {
      Ping();
    }
  }
  // What has come together is served together.
  while (stream_.WaitReadable(Deadline::After({}, deadline.clock()))) ReadPush();
  return std::exchange(written_, {});
}

}  // namespace lambdaml::store

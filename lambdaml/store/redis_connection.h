// One connection to a Redis server: logged in, in its database, and able to say what was written.
//
// A connection that watches uses client-side caching (CLIENT TRACKING): a key that was read on it,
// even a missing one, is named in a push when somebody writes it. The server registers the key
// before it reads it, so a write cannot slip in between; and the pushes come on the connection that
// read (RESP3), so a registration cannot outlive what it serves. Such a connection is for reading
// only: Redis 6 puts the push for a write of its own into the midst of EXEC's reply, and NOLOOP,
// which would keep such pushes away, lets a full tracking table forget keys without a word.
// Source: https://redis.io/docs/reference/client-side-caching
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/net/stream.h"
#include "lambdaml/store/redis_options.h"
#include "lambdaml/store/redis_protocol.h"

namespace lambdaml::store {

// What the server says of itself. Of a server that does not let us ask: nothing.
struct RedisServerInfo {
  std::string run_id;  // another one after each start
  std::string version;
  std::string role;  // "master", "slave"
  uint64_t maxmemory_bytes = 0;
  std::string maxmemory_policy;
  bool can_track = false;  // known only where that was asked for
};

// Errors of all calls, naming host:port: kUnavailable for what may pass, kDeadlineExceeded, and
// what ThrowRedisError says. After an error the connection is of no use. Threads: one at a time.
class RedisConnection {
 public:
  // Connects, logs in, selects the database and asks who is there: one round trip after those of
  // TCP and TLS. Errors: also those of net::Stream::Connect.
  // watches: AwaitWrites will be called, if server().can_track.
  RedisConnection(const RedisOptions& options, bool watches, const base::Deadline& deadline);

  const RedisServerInfo& server() const { return server_; }

  void Send(const RedisRequest& request, const base::Deadline& deadline);

  // The next reply that is no push; values have at most value_size_max_bytes. Receive throws what
  // ThrowRedisError does; TryReceive returns the server's errors.
  RedisReply Receive(uint64_t value_size_max_bytes, const base::Deadline& deadline);
  RedisReply TryReceive(uint64_t value_size_max_bytes, const base::Deadline& deadline);

  // Forgets the pushes that have come so far.
  void ForgetWrites() { written_.clear(); }
  // Blocks until keys that were read here have been written, and returns their names: "" if the
  // server no longer knows which. Nothing if the deadline passes first. Asks an idle server now and
  // then whether it is there, so the death of one is noticed within seconds.
  std::vector<std::string> AwaitWrites(const base::Deadline& deadline);

 private:
  void LogIn(const RedisOptions& options, bool watches, const base::Deadline& deadline);
  RedisReply ReceiveFirst(bool uses_tls, const base::Deadline& deadline);
  void ReadInfo(std::string_view text);
  // False if it was no push.
  bool Note(const RedisReply& reply);
  void ReadPush();
  void Ping();

  std::string place_;
  net::Stream stream_;
  RedisServerInfo server_;
  std::vector<std::string> written_;
};

// Throws the Error for an error reply of the server at `place`:
//   kUnavailable        it is loading, busy, a replica for now, or has no connection left
//   kPermissionDenied   no or a wrong password, or no right to use the command
//   kResourceExhausted  its memory is full
//   kInvalidArgument    it is a part of a cluster, or too old
//   kCorrupt            the key holds something else than a value of ours
//   kInternal           anything else
[[noreturn]] void ThrowRedisError(std::string_view place, const RedisReply& reply);

}  // namespace lambdaml::store

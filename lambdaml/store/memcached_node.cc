#include "lambdaml/store/memcached_node.h"

#include <fmt/format.h>
#include <optional>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

namespace lambdaml::store {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;

// An answer that is none of the protocol may come from a proxy in trouble; what never answers
// otherwise is another kind of server.
constexpr int kGarbledMax = 3;

uint64_t Number(const MemcachedStats& stats, std::string_view name, const HostPort& server) {
  const auto found = stats.find(name);
  const auto number = found == stats.end() ? std::nullopt : ParseUnsigned(found->second);
  if (!number) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{}:{}: the server's statistics have no \"{}\"",
                                                 server.host, server.port, name));
  }
  return *number;
}

bool MayPass(const Error& error, int failures) {
  return error.code() == ErrorCode::kUnavailable ||
         (error.code() == ErrorCode::kCorrupt && failures + 1 < kGarbledMax);
}

}  // namespace

MemcachedNode::MemcachedNode(HostPort server, Meter& meter, base::Duration first_contact_max)
    : server_(std::move(server)),
      hash_(base::Checksum64(base::AsBytes(fmt::format("{}:{}", server_.host, server_.port)))),
      first_contact_max_(first_contact_max),
      meter_(meter) {}

base::Duration MemcachedNode::OutageMax() {
  const std::lock_guard lock(mutex_);
  return is_known_ ? net::kOutageMax : first_contact_max_;
}

void MemcachedNode::Run(std::string_view what, const Deadline& deadline, const Request& request) {
  const auto seed = static_cast<uint64_t>(deadline.clock().Now().time_since_epoch().count());
  net::Retry retry(deadline, base::MixSeed(seed, static_cast<uint64_t>(::getpid()) + ++attempts_),
                   OutageMax());
  std::optional<Error> cause;  // of the attempt before
  while (true) {
    try {
      std::unique_ptr<Line> line = TakeLine(deadline);
      request(line->connection, line->process);
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(line));
      return;
    } catch (const Error& error) {
      {
        // What broke this connection has most likely broken the others.
        const std::lock_guard lock(mutex_);
        idle_.clear();
      }
      // When the time is over in the middle of an attempt, the attempt before says more.
      if (error.code() != ErrorCode::kDeadlineExceeded || !cause) cause = error;
      if (!MayPass(error, retry.failures()) || !retry.Again()) {
        throw Error(cause->code(), fmt::format("{}: {}", what, cause->message()));
      }
      meter_.CountRetry();
    }
  }
}

std::unique_ptr<MemcachedNode::Line> MemcachedNode::TakeLine(const Deadline& deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Line> line = std::move(idle_.back());
      idle_.pop_back();
      return line;
    }
  }
  MemcachedConnection connection(server_, deadline);
  const Process process = Note(connection.Stats(deadline));
  return std::make_unique<Line>(Line{std::move(connection), process});
}

MemcachedNode::Process MemcachedNode::Note(const MemcachedStats& stats) {
  // Both run on one clock of the server, so their difference is the same whenever it is asked.
  const uint64_t time_s = Number(stats, "time", server_);
  const Process process = {.pid = Number(stats, "pid", server_),
                           .started_s = time_s - Number(stats, "uptime", server_)};
  const uint64_t evictions = Number(stats, "evictions", server_);
  const uint64_t memory_max_bytes = Number(stats, "limit_maxbytes", server_);

  const std::lock_guard lock(mutex_);
  if (is_known_ && process != process_) restarts_.fetch_add(1, std::memory_order_relaxed);
  if (!is_known_ || process != process_) evictions_before_ = is_known_ ? 0 : evictions;
  is_known_ = true;
  process_ = process;
  evictions_ = evictions;
  memory_max_bytes_ = memory_max_bytes;
  return process;
}

void MemcachedNode::CheckEvictions(std::string_view what, const Deadline& deadline) {
  Run(what, deadline,
      [&](MemcachedConnection& connection, const Process&) { Note(connection.Stats(deadline)); });
  const std::lock_guard lock(mutex_);
  if (evictions_ <= evictions_before_) return;
  throw Error(
      ErrorCode::kResourceExhausted,
      fmt::format("{}: {}:{} has thrown out {} items since this worker came, because its memory of "
                  "{} MB is full; what is waited for may be among them. Give it more memory "
                  "(memcached -m, or a larger ElastiCache node type), or more nodes; with -M "
                  "(error_on_memory_exhausted of an ElastiCache parameter group) it refuses "
                  "writes instead",
                  what, server_.host, server_.port, evictions_ - evictions_before_,
                  memory_max_bytes_ >> 20));
}

}  // namespace lambdaml::store

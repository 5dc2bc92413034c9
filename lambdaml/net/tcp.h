// TCP connections with a deadline: names resolved, every address tried.
#pragma once

#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"

namespace lambdaml::net {

// "host:port", an IPv6 address in brackets: how messages name a place.
std::string PlaceName(const std::string& host, int port);

// Whether the descriptor gets ready for `events` (POLLIN, POLLOUT) before the deadline. An error or
// hang-up counts as ready: the next read or write tells.
bool WaitReady(int descriptor, short events, const base::Deadline& deadline);

// A connected, non-blocking socket, without Nagle's delay, with keep-alive. The host's addresses
// are tried in the resolver's order, each for its share of the time left. Where the host is not an
// address, the resolver runs in a thread of its own, because it knows no deadline.
// Errors: kNotFound if there is no such host; kUnavailable "host:port: cause"; kDeadlineExceeded.
base::FileDescriptor ConnectTcp(const std::string& host, int port, const base::Deadline& deadline);

}  // namespace lambdaml::net

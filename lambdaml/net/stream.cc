#include "lambdaml/net/stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <system_error>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/net/tcp.h"
#include "lambdaml/net/tls_session.h"

namespace lambdaml::net {
namespace {

using base::ByteSpan;
using base::Deadline;
using base::Error;
using base::ErrorCode;

constexpr size_t kBufferSizeBytes = 16 * 1024;
constexpr size_t kTlsRecordMaxBytes = 16 * 1024;
constexpr size_t kPartsMax = 64;  // below every system's IOV_MAX

short EventsOf(IoResult::Need need) { return need == IoResult::Need::kWritable ? POLLOUT : POLLIN; }

// Drops `count` bytes, written already, from the front of `parts`.
void Advance(size_t count, std::vector<ByteSpan>* parts, size_t* first) {
  while (count > 0) {
    ByteSpan& part = (*parts)[*first];
    const size_t taken = std::min(count, part.size());
    part = part.subspan(taken);
    count -= taken;
    if (part.empty()) ++*first;
  }
}

}  // namespace

Stream Stream::Connect(const std::string& host, int port, const StreamOptions& options,
                       const Deadline& deadline) {
  const Deadline patience =
      Deadline::Earlier(deadline, Deadline::After(options.silence_max, deadline.clock()));
  try {
    Stream stream(PlaceName(host, port), ConnectTcp(host, port, patience), options.silence_max);
    if (options.use_tls) stream.StartTls(host, options, deadline);
    return stream;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDeadlineExceeded || deadline.Expired()) throw;
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: no answer for {:.0f} s", PlaceName(host, port),
                            base::Seconds(options.silence_max)));
  }
}

Stream::Stream(std::string place, base::FileDescriptor socket, base::Duration silence_max)
    : place_(std::move(place)), socket_(std::move(socket)), silence_max_(silence_max) {}

Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

void Stream::Close() {
  tls_.reset();
  socket_ = base::FileDescriptor();
  begin_ = end_ = 0;
}

void Stream::Fail(std::string_view what) const {
  throw Error(ErrorCode::kUnavailable, fmt::format("{}: {}", place_, what));
}

void Stream::Await(short events, const Deadline& deadline) {
  const Deadline silence = Deadline::After(silence_max_, deadline.clock());
  if (WaitReady(socket_.get(), events, Deadline::Earlier(deadline, silence))) return;
  if (!deadline.Expired()) {
    Fail(fmt::format("no answer for {:.0f} s", base::Seconds(silence_max_)));
  }
  throw Error(ErrorCode::kDeadlineExceeded,
              fmt::format("{}: no answer before the deadline", place_));
}

void Stream::StartTls(const std::string& host, const StreamOptions& options,
                      const Deadline& deadline) {
  const TlsFiles files = {
      .ca = options.ca_file, .cert = options.cert_file, .key = options.key_file};
  tls_ = std::make_unique<TlsSession>(socket_.get(), host, files);
  while (true) {
    bool is_refused = false;
    const IoResult result = tls_->Handshake(&is_refused);
    if (is_refused) {
      throw Error(ErrorCode::kPermissionDenied,
                  fmt::format("{}: {}: name the file of its authority, or use the host name that "
                              "the certificate is for",
                              place_, result.failure));
    }
    if (!result.failure.empty()) Fail(result.failure);
    if (result.is_end) Fail("closed the connection during the TLS handshake: does it speak TLS?");
    if (result.need == IoResult::Need::kNothing) return;
    Await(EventsOf(result.need), deadline);
  }
}

IoResult Stream::TryReceive(std::span<std::byte> into) {
  LAMBDAML_CHECK(!into.empty());
  if (socket_.get() < 0) Fail("the connection is closed");
  IoResult result;
  if (tls_) {
    result = tls_->Read(into.data(), into.size());
  } else {
    ssize_t count = 0;
    do {
      count = ::recv(socket_.get(), into.data(), into.size(), 0);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) {
      result.byte_count = static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      result.need = IoResult::Need::kReadable;
    } else {
      result.failure = std::generic_category().message(errno);
    }
  }
  if (!result.failure.empty()) Fail(result.failure);
  return result;
}

size_t Stream::Receive(std::span<std::byte> into, const Deadline& deadline) {
  while (true) {
    const IoResult result = TryReceive(into);
    if (result.need == IoResult::Need::kNothing) return result.byte_count;
    Await(EventsOf(result.need), deadline);
  }
}

std::span<std::byte> Stream::BufferSpace() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kBufferSizeBytes) buffer_.resize(end_ + kBufferSizeBytes);
  return std::span(buffer_).subspan(end_);
}

size_t Stream::ReadSome(std::span<std::byte> into, const Deadline& deadline) {
  if (begin_ == end_) return Receive(into, deadline);
  const size_t count = std::min(into.size(), end_ - begin_);
  std::memcpy(into.data(), buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

void Stream::ReadExactly(std::span<std::byte> into, const Deadline& deadline) {
  while (!into.empty()) {
    const size_t count = ReadSome(into, deadline);
    if (count == 0) Fail("closed the connection in the middle of an answer");
    into = into.subspan(count);
  }
}

std::string_view Stream::ReadLine(size_t size_max_bytes, const Deadline& deadline) {
  size_t searched = 0;
  while (true) {
    const std::byte* const start = buffer_.data() + begin_;
    const size_t available = end_ - begin_;
    const void* const found =
        available > searched ? std::memchr(start + searched, '\n', available - searched) : nullptr;
    const size_t size =
        found ? static_cast<size_t>(static_cast<const std::byte*>(found) - start) : available;
    if (size > size_max_bytes + (found ? 1 : 0)) {
      Fail(fmt::format("sent a line of more than {} bytes: it does not speak the protocol",
                       size_max_bytes));
    }
    if (found) {
      begin_ += size + 1;
      std::string_view line = base::AsText({start, size});
      if (line.ends_with('\r')) line.remove_suffix(1);
      return line;
    }
    searched = available;
    const size_t count = Receive(BufferSpace(), deadline);
    if (count == 0) Fail("closed the connection");
    end_ += count;
  }
}

void Stream::WriteTls(ByteSpan bytes, const Deadline& deadline) {
  while (!bytes.empty()) {
    const IoResult result = tls_->Write(bytes);
    if (!result.failure.empty()) Fail(result.failure);
    if (result.is_end) Fail("closed the connection");
    bytes = bytes.subspan(result.byte_count);
    if (result.need != IoResult::Need::kNothing) Await(EventsOf(result.need), deadline);
  }
}

void Stream::WriteAll(std::span<const ByteSpan> parts, const Deadline& deadline) {
  if (socket_.get() < 0) Fail("the connection is closed");
  if (tls_) {
    // Short parts share a record with what follows them.
    std::vector<std::byte> record;
    for (const ByteSpan part : parts) {
      const size_t joined = std::min(part.size(), kTlsRecordMaxBytes - record.size());
      record.insert(record.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(joined));
      if (record.size() < kTlsRecordMaxBytes) continue;
      WriteTls(record, deadline);
      record.clear();
      WriteTls(part.subspan(joined), deadline);
    }
    WriteTls(record, deadline);
    return;
  }
  std::vector<ByteSpan> left;
  std::ranges::copy_if(parts, std::back_inserter(left),
                       [](ByteSpan part) { return !part.empty(); });
  for (size_t first = 0; first < left.size();) {
    std::vector<iovec> vectors;
    for (size_t i = first; i < std::min(left.size(), first + kPartsMax); ++i) {
      vectors.push_back({const_cast<std::byte*>(left[i].data()), left[i].size()});
    }
    msghdr message = {};
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (count >= 0) {
      Advance(static_cast<size_t>(count), &left, &first);
    } else if (errno == EAGAIN) {
      Await(POLLOUT, deadline);
    } else if (errno != EINTR) {
      Fail(std::generic_category().message(errno));
    }
  }
}

bool Stream::WaitReadable(const Deadline& deadline) {
  while (begin_ == end_) {
    // A readable socket may hold no more than TLS's own messages: only reading tells.
    const IoResult result = TryReceive(BufferSpace());
    end_ += result.byte_count;
    if (result.need == IoResult::Need::kNothing) return true;
    if (!WaitReady(socket_.get(), EventsOf(result.need), deadline)) return false;
  }
  return true;
}

}  // namespace lambdaml::net

#include "lambdaml/ps/journal.h"

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"

namespace lambdaml::ps {
namespace {

static_assert(std::endian::native == std::endian::little, "records are views of memory");

constexpr std::array<char, 4> kMagic = {'L', 'M', 'L', 'J'};
constexpr uint32_t kKindMax = static_cast<uint32_t>(RecordKind::kName);

struct Header {
  std::array<char, 4> magic = kMagic;
  uint32_t kind = 0;
  uint64_t checksum = 0;
  uint64_t generation = 0;
  uint64_t round = 0;
  uint64_t announcement = 0;
  uint64_t body_size = 0;
  uint32_t slice = 0;
  uint32_t slice_count = 0;
  uint32_t count = 0;
  uint32_t flags = 0;
};
static_assert(sizeof(Header) == 64);

uint64_t ChecksumOf(const Header& header, base::ByteSpan body) {
  std::array<std::byte, sizeof(Header)> bytes;
  std::memcpy(bytes.data(), &header, sizeof(header));
  const base::ByteSpan fields = base::ByteSpan(bytes).subspan(offsetof(Header, generation));
  // The body's sum is mixed into the header's fields by a product, so that neither cancels the
  // other.
  return base::Checksum64(fields) * 0x9E3779B97F4A7C15U + base::Checksum64(body) + header.kind;
}

Header HeaderOf(const Record& record) {
  Header header;
  header.kind = static_cast<uint32_t>(record.kind);
  header.generation = record.generation;
  header.round = record.round;
  header.announcement = record.announcement;
  header.body_size = record.body.size();
  header.slice = record.slice;
  header.slice_count = record.slice_count;
  header.count = record.count;
  header.flags = record.flags;
  header.checksum = ChecksumOf(header, record.body);
  return header;
}

// Writes both parts at `offset`, in one call unless the disk takes less.
void WriteParts(int file, base::ByteSpan first, base::ByteSpan second, uint64_t offset,
                const std::string& path) {
  while (!first.empty() || !second.empty()) {
    std::array<iovec, 2> parts = {
        iovec{const_cast<std::byte*>(first.data()), first.size()},  // NOLINT: writev only reads
        iovec{const_cast<std::byte*>(second.data()), second.size()}};
    const ssize_t written =
        ::pwritev(file, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      base::ThrowErrno("write", path, errno);
    }
    const auto count = static_cast<size_t>(written);
    const size_t of_first = std::min(count, first.size());
    first = first.subspan(of_first);
    second = second.subspan(count - of_first);
    offset += count;
  }
}

base::FileDescriptor OpenJournal(const std::string& path, int extra_flags) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | extra_flags, 0600);
  if (file < 0) base::ThrowErrno("open", path, errno);
  return base::FileDescriptor(file);
}

// Shows all whole records; returns where the last one ends.
uint64_t Scan(base::ByteSpan bytes, const Journal::Visitor& visit) {
  uint64_t position = 0;
  while (bytes.size() - position >= sizeof(Header)) {
    Header header;
    std::memcpy(&header, bytes.data() + position, sizeof(header));
    const uint64_t body_at = position + sizeof(header);
    if (header.magic != kMagic || header.kind == 0 || header.kind > kKindMax ||
        header.body_size > bytes.size() - body_at) {
      break;
    }
    const base::ByteSpan body = bytes.subspan(body_at, header.body_size);
    if (ChecksumOf(header, body) != header.checksum) break;
    const Record record = {.kind = static_cast<RecordKind>(header.kind),
                           .generation = header.generation,
                           .round = header.round,
                           .announcement = header.announcement,
                           .slice = header.slice,
                           .slice_count = header.slice_count,
                           .count = header.count,
                           .flags = header.flags,
                           .body = body};
    visit(record, {body_at, header.body_size});
    position = body_at + header.body_size;
  }
  return position;
}

}  // namespace

Journal::Journal(std::string path, const Visitor& visit)
    : path_(std::move(path)), file_(OpenJournal(path_, 0)) {
  struct stat status = {};
  if (::fstat(file_.get(), &status) != 0) base::ThrowErrno("stat", path_, errno);
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size == 0) return;
  const base::Blob bytes = base::MapDescriptor(file_.get(), size, path_);
  end_ = Scan(bytes.span(), visit);
  if (end_ == size) return;
  base::Log(base::LogLevel::kWarning,
            fmt::format("ps journal={} cut_off_bytes={} reason=\"interrupted write\"", path_,
                        size - end_));
  if (::ftruncate(file_.get(), static_cast<off_t>(end_)) != 0) {
    base::ThrowErrno("truncate", path_, errno);
  }
}

BodyPlace Journal::Append(const Record& record) {
  const Header header = HeaderOf(record);
  const std::lock_guard lock(mutex_);
  // After a failure the next record overwrites what was written of this one.
  WriteParts(file_.get(), std::as_bytes(std::span(&header, 1)), record.body, end_, path_);
  const BodyPlace place = {end_ + sizeof(header), record.body.size()};
  end_ = place.offset + place.size;
  return place;
}

base::Blob Journal::Read(const BodyPlace& place) const {
  base::Bytes bytes(place.size);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file_.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(place.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::ThrowErrno("read", path_, errno);
    if (count == 0) {
      throw base::Error(base::ErrorCode::kCorrupt,
                        fmt::format("{}: it was truncated while in use", path_));
    }
    done += static_cast<size_t>(count);
  }
  return base::Blob(std::move(bytes));
}

void Journal::Replace(const std::function<void(Journal&)>& write) {
  const std::string temporary = path_ + ".new";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    base::ThrowErrno("delete", temporary, errno);
  }
  Journal fresh(temporary, [](const Record&, const BodyPlace&) {});
  try {
    write(fresh);
    if (std::rename(temporary.c_str(), path_.c_str()) != 0) {
      base::ThrowErrno("rename", temporary, errno);
    }
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  const std::lock_guard lock(mutex_);
  file_ = std::move(fresh.file_);
  end_ = fresh.end_;
}

void Journal::Clear() {
  const std::lock_guard lock(mutex_);
  if (::ftruncate(file_.get(), 0) != 0) base::ThrowErrno("truncate", path_, errno);
  end_ = 0;
}

void Journal::Sync() const {
  if (::fdatasync(file_.get()) != 0) base::ThrowErrno("sync", path_, errno);
}

void Journal::Remove() {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) base::ThrowErrno("delete", path_, errno);
}

uint64_t Journal::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

}  // namespace lambdaml::ps

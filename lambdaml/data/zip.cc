#include "lambdaml/data/zip.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <libdeflate.h>
#include <memory>
#include <new>
#include <type_traits>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

using base::ByteSpan;
using base::Error;
using base::ErrorCode;

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kDirectorySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kDirectoryBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocator64Bytes = 20;
constexpr size_t kCommentBytesMax = 65535;
constexpr uint16_t kVersionZip64 = 45;
constexpr uint16_t kExtraZip64 = 0x0001;
constexpr uint16_t kExtraAlignment = 0xd935;  // as Android's zipalign marks its padding
constexpr uint16_t kFlagEncrypted = 0x0001;
constexpr uint16_t kFlagUtf8 = 0x0800;
constexpr uint16_t kDate1980 = 0x0021;  // the format's earliest: equal contents, equal bytes
constexpr uint64_t kSays64 = 0xffffffff;
constexpr size_t kMembersMax = 1000;

template <typename T>
void Put(std::string& out, std::type_identity_t<T> value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));  // x86: little-endian, as ZIP
}

template <typename T>
T Get(ByteSpan bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Reads an archive's directory; every access stays inside the bytes.
class Reader {
 public:
  Reader(ByteSpan archive, std::string_view origin) : archive_(archive), origin_(origin) {}

  std::vector<ZipMember> Read() {
    const Directory directory = FindDirectory();
    const ByteSpan entries = Slice(directory.offset, directory.bytes, "directory");
    std::vector<ZipMember> members;
    size_t at = 0;
    for (uint64_t i = 0; i < directory.members; ++i) {
      members.push_back(ReadEntry(entries, &at));
      for (size_t j = 0; j + 1 < members.size(); ++j) {
        if (members[j].name == members.back().name) Fail(members[j].name + " occurs twice");
      }
    }
    return members;
  }

 private:
  struct Directory {
    uint64_t offset;
    uint64_t bytes;
    uint64_t members;
  };

  [[noreturn]] void Fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidData, fmt::format("{}: {}", origin_, what));
  }

  ByteSpan Slice(uint64_t offset, uint64_t bytes, std::string_view what) const {
    if (offset > archive_.size() || bytes > archive_.size() - offset) {
      Fail(fmt::format("truncated: the {} lies beyond the end", what));
    }
    return archive_.subspan(offset, bytes);
  }

  Directory FindDirectory() const {
    if (archive_.size() < kEndBytes) Fail("truncated: too short for an .npz file");
    const size_t last = archive_.size() - kEndBytes;
    const size_t first = last - std::min(last, kCommentBytesMax);
    for (size_t at = last + 1; at-- > first;) {
      if (Get<uint32_t>(archive_, at) != kEndSignature) continue;
      if (at + kEndBytes + Get<uint16_t>(archive_, at + 20) != archive_.size()) continue;
      Directory directory = {Get<uint32_t>(archive_, at + 16), Get<uint32_t>(archive_, at + 12),
                             Get<uint16_t>(archive_, at + 10)};
      const bool has_locator = at >= kLocator64Bytes &&
                               Get<uint32_t>(archive_, at - kLocator64Bytes) == kLocator64Signature;
      if (has_locator) directory = ReadEnd64(Get<uint64_t>(archive_, at - kLocator64Bytes + 8));
      if (directory.members > kMembersMax) {
        Fail(fmt::format("{} members are more than an .npz file of ours has", directory.members));
      }
      return directory;
    }
    Fail("truncated or no .npz file: it lacks the directory at its end");
  }

  Directory ReadEnd64(uint64_t offset) const {
    const ByteSpan end = Slice(offset, kEnd64Bytes, "Zip64 directory end");
    if (Get<uint32_t>(end, 0) != kEnd64Signature) Fail("the Zip64 directory end is malformed");
    return {Get<uint64_t>(end, 48), Get<uint64_t>(end, 40), Get<uint64_t>(end, 32)};
  }

  ZipMember ReadEntry(ByteSpan entries, size_t* at) const {
    if (entries.size() - *at < kDirectoryBytes) Fail("the directory is truncated");
    const ByteSpan entry = entries.subspan(*at);
    if (Get<uint32_t>(entry, 0) != kDirectorySignature) Fail("the directory is malformed");
    const size_t name_bytes = Get<uint16_t>(entry, 28);
    const size_t extra_bytes = Get<uint16_t>(entry, 30);
    const size_t entry_bytes =
        kDirectoryBytes + name_bytes + extra_bytes + Get<uint16_t>(entry, 32);
    if (entry.size() < entry_bytes) Fail("the directory is truncated");
    *at += entry_bytes;

    ZipMember member;
    member.name = base::AsText(entry.subspan(kDirectoryBytes, name_bytes));
    member.crc32 = Get<uint32_t>(entry, 16);
    if ((Get<uint16_t>(entry, 8) & kFlagEncrypted) != 0) Fail(member.name + " is encrypted");
    if (Get<uint16_t>(entry, 10) != 0) {
      Fail(member.name +
           " is compressed; write it with numpy.savez, or "
           "scipy.sparse.save_npz(…, compressed=False)");
    }
    uint64_t stored = Get<uint32_t>(entry, 20);
    uint64_t size = Get<uint32_t>(entry, 24);
    uint64_t offset = Get<uint32_t>(entry, 42);
    ReadExtra64(entry.subspan(kDirectoryBytes + name_bytes, extra_bytes), member.name,
                {&size, &stored, &offset});
    if (stored != size) Fail(member.name + " is malformed: stored, but of two sizes");
    member.bytes = MemberBytes(member.name, offset, size);
    return member;
  }

  // Replaces those of the 32-bit fields that say so by their 64-bit values.
  void ReadExtra64(ByteSpan extra, std::string_view name,
                   std::initializer_list<uint64_t*> fields) const {
    while (extra.size() >= 4) {
      const auto id = Get<uint16_t>(extra, 0);
      const size_t bytes = Get<uint16_t>(extra, 2);
      if (bytes > extra.size() - 4) break;
      ByteSpan values = extra.subspan(4, bytes);
      extra = extra.subspan(4 + bytes);
      if (id != kExtraZip64) continue;
      for (uint64_t* field : fields) {
        if (*field != kSays64) continue;
        if (values.size() < 8) Fail(fmt::format("{} has a malformed Zip64 entry", name));
        *field = Get<uint64_t>(values, 0);
        values = values.subspan(8);
      }
      return;
    }
  }

  ByteSpan MemberBytes(const std::string& name, uint64_t offset, uint64_t size) const {
    const ByteSpan local = Slice(offset, kLocalBytes, name);
    const size_t name_bytes = Get<uint16_t>(local, 26);
    const size_t header_bytes = kLocalBytes + name_bytes + Get<uint16_t>(local, 28);
    const ByteSpan header = Slice(offset, header_bytes, name);
    if (Get<uint32_t>(local, 0) != kLocalSignature ||
        base::AsText(header.subspan(kLocalBytes, name_bytes)) != name) {
      Fail(name + " has a header that is not the directory's");
    }
    return Slice(offset + header_bytes, size, name);
  }

  ByteSpan archive_;
  std::string_view origin_;
};

// The fields that local header and directory have in common.
void PutCommon(std::string& out, std::string_view name, uint64_t size_bytes, uint32_t crc32,
               size_t extra_bytes) {
  const auto size32 = static_cast<uint32_t>(std::min(size_bytes, kSays64));
  Put<uint16_t>(out, kVersionZip64);
  Put<uint16_t>(out, kFlagUtf8);
  Put<uint16_t>(out, 0);  // stored
  Put<uint16_t>(out, 0);  // midnight
  Put<uint16_t>(out, kDate1980);
  Put<uint32_t>(out, crc32);
  Put<uint32_t>(out, size32);
  Put<uint32_t>(out, size32);
  Put<uint16_t>(out, static_cast<uint16_t>(name.size()));
  Put<uint16_t>(out, static_cast<uint16_t>(extra_bytes));
}

}  // namespace

uint32_t Crc32(uint32_t crc, ByteSpan bytes) {
  if (bytes.empty()) return crc;  // libdeflate takes a null pointer as "start anew"
  return ::libdeflate_crc32(crc, bytes.data(), bytes.size());
}

base::Bytes Deflate(ByteSpan bytes) {
  constexpr int kLevel = 9;
  const std::unique_ptr<libdeflate_compressor, decltype(&::libdeflate_free_compressor)> compressor(
      ::libdeflate_alloc_compressor(kLevel), ::libdeflate_free_compressor);
  if (!compressor) throw std::bad_alloc();
  base::Bytes deflated(::libdeflate_deflate_compress_bound(compressor.get(), bytes.size()));
  deflated.resize(::libdeflate_deflate_compress(compressor.get(), bytes.data(), bytes.size(),
                                                deflated.data(), deflated.size()));
  return deflated;
}

std::vector<ZipMember> ReadZip(ByteSpan archive, std::string_view origin) {
  return Reader(archive, origin).Read();
}

std::string ZipWriter::BeginMember(std::string_view name, uint64_t size_bytes, uint32_t crc32) {
  entries_.push_back({std::string(name), size_bytes, crc32, position_});
  std::string extra;
  if (size_bytes >= kSays64) {
    Put<uint16_t>(extra, kExtraZip64);
    Put<uint16_t>(extra, 16);
    Put<uint64_t>(extra, size_bytes);
    Put<uint64_t>(extra, size_bytes);
  }
  constexpr size_t kPaddingHeaderBytes = 6;  // id, size, alignment
  const size_t unpadded =
      position_ + kLocalBytes + name.size() + extra.size() + kPaddingHeaderBytes;
  const size_t padding = (kMemberAlignment - unpadded % kMemberAlignment) % kMemberAlignment;
  Put<uint16_t>(extra, kExtraAlignment);
  Put<uint16_t>(extra, static_cast<uint16_t>(2 + padding));
  Put<uint16_t>(extra, kMemberAlignment);
  extra.append(padding, '\0');

  std::string header;
  Put<uint32_t>(header, kLocalSignature);
  PutCommon(header, name, size_bytes, crc32, extra.size());
  header.append(name).append(extra);
  position_ += header.size() + size_bytes;
  return header;
}

std::string ZipWriter::Finish() const {
  std::string out;
  for (const Entry& entry : entries_) {
    std::string values;
    if (entry.size_bytes >= kSays64) {
      Put<uint64_t>(values, entry.size_bytes);
      Put<uint64_t>(values, entry.size_bytes);
    }
    if (entry.offset >= kSays64) Put<uint64_t>(values, entry.offset);
    std::string extra;
    if (!values.empty()) {
      Put<uint16_t>(extra, kExtraZip64);
      Put<uint16_t>(extra, static_cast<uint16_t>(values.size()));
      extra += values;
    }
    Put<uint32_t>(out, kDirectorySignature);
    Put<uint16_t>(out, kVersionZip64);
    PutCommon(out, entry.name, entry.size_bytes, entry.crc32, extra.size());
    Put<uint16_t>(out, 0);  // comment
    Put<uint16_t>(out, 0);  // disk
    Put<uint16_t>(out, 0);  // internal attributes
    Put<uint32_t>(out, 0);  // external attributes
    Put<uint32_t>(out, static_cast<uint32_t>(std::min(entry.offset, kSays64)));
    out.append(entry.name).append(extra);
  }
  const uint64_t directory_bytes = out.size();
  if (position_ >= kSays64) {
    Put<uint32_t>(out, kEnd64Signature);
    Put<uint64_t>(out, kEnd64Bytes - 12);  // of what follows
    Put<uint16_t>(out, kVersionZip64);
    Put<uint16_t>(out, kVersionZip64);
    Put<uint32_t>(out, 0);
    Put<uint32_t>(out, 0);
    Put<uint64_t>(out, entries_.size());
    Put<uint64_t>(out, entries_.size());
    Put<uint64_t>(out, directory_bytes);
    Put<uint64_t>(out, position_);
    Put<uint32_t>(out, kLocator64Signature);
    Put<uint32_t>(out, 0);
    Put<uint64_t>(out, position_ + directory_bytes);
    Put<uint32_t>(out, 1);
  }
  Put<uint32_t>(out, kEndSignature);
  Put<uint16_t>(out, 0);
  Put<uint16_t>(out, 0);
  Put<uint16_t>(out, static_cast<uint16_t>(entries_.size()));
  Put<uint16_t>(out, static_cast<uint16_t>(entries_.size()));
  Put<uint32_t>(out, static_cast<uint32_t>(directory_bytes));
  Put<uint32_t>(out, static_cast<uint32_t>(std::min(position_, kSays64)));
  Put<uint16_t>(out, 0);
  return out;
}

}  // namespace lambdaml::data

#include "lambdaml/package/zip_archive.h"

#include <cstdint>
#include <limits>
#include <type_traits>

#include "lambdaml/base/error.h"
#include "lambdaml/data/zip.h"

namespace lambdaml::package {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kDirectorySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint16_t kVersionDeflate = 20;
constexpr uint16_t kMadeByUnix = 3 << 8 | kVersionDeflate;
constexpr uint16_t kFlagUtf8 = 0x0800;
constexpr uint16_t kMethodDeflate = 8;
constexpr uint16_t kDate1980 = 0x0021;  // the format's earliest
constexpr uint32_t kExecutableMode = 0100755;
constexpr uint32_t kPlainMode = 0100644;

class Writer {
 public:
  void Add(const FileMember& member) {
    const base::Bytes deflated = data::Deflate(member.bytes.span());
    const Entry entry = {&member, data::Crc32(0, member.bytes.span()), deflated.size(),
                         archive_.size()};
    Put<uint32_t>(kLocalSignature);
    PutCommon(entry);
    Put(base::AsBytes(member.name));
    Put(deflated);
    entries_.push_back(entry);
  }

  base::Bytes Finish() && {
    const size_t directory = archive_.size();
    for (const Entry& entry : entries_) {
      Put<uint32_t>(kDirectorySignature);
      Put<uint16_t>(kMadeByUnix);
      PutCommon(entry);
      Put<uint16_t>(0);  // comment
      Put<uint16_t>(0);  // disk
      Put<uint16_t>(0);  // internal attributes
      Put<uint32_t>((entry.member->is_executable ? kExecutableMode : kPlainMode) << 16);
      Put<uint32_t>(static_cast<uint32_t>(entry.offset));
      Put(base::AsBytes(entry.member->name));
    }
    const size_t directory_bytes = archive_.size() - directory;
    Put<uint32_t>(kEndSignature);
    Put<uint16_t>(0);
    Put<uint16_t>(0);
    Put<uint16_t>(static_cast<uint16_t>(entries_.size()));
    Put<uint16_t>(static_cast<uint16_t>(entries_.size()));
    Put<uint32_t>(static_cast<uint32_t>(directory_bytes));
    Put<uint32_t>(static_cast<uint32_t>(directory));
    Put<uint16_t>(0);
    return std::move(archive_);
  }

 private:
  struct Entry {
    const FileMember* member;
    uint32_t crc32;
    size_t deflated_bytes;
    size_t offset;
  };

  // The fields that a member's own header and its directory entry share.
  void PutCommon(const Entry& entry) {
    Put<uint16_t>(kVersionDeflate);
    Put<uint16_t>(kFlagUtf8);
    Put<uint16_t>(kMethodDeflate);
    Put<uint16_t>(0);  // midnight
    Put<uint16_t>(kDate1980);
    Put<uint32_t>(entry.crc32);
    Put<uint32_t>(static_cast<uint32_t>(entry.deflated_bytes));
    Put<uint32_t>(static_cast<uint32_t>(entry.member->bytes.size()));
    Put<uint16_t>(static_cast<uint16_t>(entry.member->name.size()));
    Put<uint16_t>(0);  // extra field
  }

  template <typename T>
  void Put(std::type_identity_t<T> value) {
    Put(std::as_bytes(std::span(&value, 1)));  // x86: little-endian, as ZIP
  }
  void Put(base::ByteSpan bytes) { archive_.insert(archive_.end(), bytes.begin(), bytes.end()); }

  base::Bytes archive_;
  std::vector<Entry> entries_;
};

}  // namespace

base::Bytes MakeZip(const std::vector<FileMember>& members) {
  uint64_t total_bytes = 0;
  for (const FileMember& member : members) {
    total_bytes += member.bytes.size() + 2 * member.name.size() + 128;
  }
  if (members.size() >= std::numeric_limits<uint16_t>::max() ||
      total_bytes >= std::numeric_limits<uint32_t>::max()) {
    throw base::Error(base::ErrorCode::kResourceExhausted,
                      "package: more files or bytes than a ZIP archive of this form holds");
  }
  Writer writer;
  for (const FileMember& member : members) writer.Add(member);
  return std::move(writer).Finish();
}

}  // namespace lambdaml::package

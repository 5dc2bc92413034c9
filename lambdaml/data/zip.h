// The part of the ZIP format that uncompressed .npz files use: stored members, Zip64 included; and
// what makers of other archives need. Source: PKWARE APPNOTE.TXT 6.3.10.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::data {

// Where the bytes of a member start, in our files: so mapped arrays are aligned for every type and
// for full vectors.
inline constexpr size_t kMemberAlignment = 64;

// Crc32 of zlib, at memory speed.
uint32_t Crc32(uint32_t crc, base::ByteSpan bytes);

// Compresses (RFC 1951, without any wrapper): slowly and well, for what is stored or sent often.
base::Bytes Deflate(base::ByteSpan bytes);

struct ZipMember {
  std::string name;
  base::ByteSpan bytes;  // into the archive
  uint32_t crc32 = 0;    // as the archive states it
};

// The members of an archive, in the order of its directory. Checks every offset and size, not the
// checksums. `origin` names the archive in errors: kInvalidData, naming the member, for whatever is
// not a whole archive of stored, unencrypted members with distinct names.
std::vector<ZipMember> ReadZip(base::ByteSpan archive, std::string_view origin);

// Lays out an archive whose members' contents the caller writes between the headers.
class ZipWriter {
 public:
  // The header of the next member, which goes before its `size_bytes` bytes.
  std::string BeginMember(std::string_view name, uint64_t size_bytes, uint32_t crc32);
  // What goes after the last member.
  std::string Finish() const;

 private:
  struct Entry {
    std::string name;
    uint64_t size_bytes;
    uint32_t crc32;
    uint64_t offset;
  };

  std::vector<Entry> entries_;
  uint64_t position_ = 0;  // in the archive, behind the last member
};

}  // namespace lambdaml::data

// ZIP archives for function code: deflated members with Unix permissions.
//
// Source: PKWARE APPNOTE.TXT 6.3.10. Equal members give equal bytes: no times, no owners.
#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::package {

struct FileMember {
  std::string name;  // path in the archive
  base::Blob bytes;
  bool is_executable = false;
};

// The members in the order given. Cost: about 25 MB/s. Errors: kResourceExhausted beyond 4 GB or
// 65,535 members, which this form of the format does not hold.
base::Bytes MakeZip(const std::vector<FileMember>& members);

}  // namespace lambdaml::package

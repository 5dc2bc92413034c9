// An answer of DynamoDB: JSON whose long strings, the values of items in base64, stay where they
// are (unless something in them is escaped, which base64 needs not). Megabytes of them pass through
// no parser, only through memchr and the base64 decoder.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/json.h"

namespace lambdaml::store {

// Calls `read`. Turns its kInvalidData, as of a member that is missing or of another type, into
// kUnavailable: "<operation>: what answers there is no DynamoDB …".
void ReadDynamoDbAnswer(std::string_view operation, const std::function<void()>& read);

class DynamoDbJson {
 public:
  // Strings of at least so many bytes are cut out; keys have 2,048 at most.
  static constexpr size_t kLongStringBytes = 4096;

  // Keeps `text` alive. Errors: kUnavailable, with the operation, if it is no JSON object.
  DynamoDbJson(base::Blob text, std::string_view operation);

  const base::Json& root() const { return root_; }

  // The bytes of {"B": "base64"}. Errors: kCorrupt, with the operation, if it is none.
  base::Blob Binary(const base::Json& json) const;

 private:
  // The text without its long strings; in place of number i stands "@i".
  std::string CutLongStrings();

  base::Blob text_;
  std::string operation_;
  std::vector<std::string_view> long_strings_;
  base::Json root_;
};

}  // namespace lambdaml::store

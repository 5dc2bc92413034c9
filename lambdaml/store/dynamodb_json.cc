#include "lambdaml/store/dynamodb_json.h"

#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/net/base64.h"

namespace lambdaml::store {
namespace {

using base::Error;
using base::ErrorCode;

// No character of base64.
constexpr char kPlaceholder = '@';

// Where the string that starts at `start`, behind its opening quote, ends; npos if it does not.
size_t EndOfString(std::string_view text, size_t start) {
  size_t quote = text.find('"', start);
  if (quote == text.npos || text.substr(start, quote - start).find('\\') == text.npos) return quote;
  for (size_t i = start; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i;
    }
  }
  return text.npos;
}

std::optional<size_t> PlaceholderIndex(std::string_view text) {
  if (!text.starts_with(kPlaceholder)) return std::nullopt;
  size_t index = 0;
  const char* end = text.data() + text.size();
  const auto [parsed_to, error] = std::from_chars(text.data() + 1, end, index);
  if (error != std::errc() || parsed_to != end) return std::nullopt;
  return index;
}

}  // namespace

void ReadDynamoDbAnswer(std::string_view operation, const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidData) throw;
    throw Error(ErrorCode::kUnavailable,
                fmt::format("{}: what answers there is no DynamoDB, by its answer: {}", operation,
                            error.message()));
  }
}

DynamoDbJson::DynamoDbJson(base::Blob text, std::string_view operation)
    : text_(std::move(text)), operation_(operation) {
  ReadDynamoDbAnswer(operation, [&] {
    root_ = base::Json::Parse(CutLongStrings(), "JSON");
    root_.AsObject();
  });
}

base::Blob DynamoDbJson::Binary(const base::Json& json) const {
  const base::Json* base64 = json.is_object() ? json.Find("B") : nullptr;
  if (base64 != nullptr && base64->is_string()) {
    std::string_view text = base64->AsString();
    if (const auto index = PlaceholderIndex(text); index && *index < long_strings_.size()) {
      text = long_strings_[*index];
    }
    if (auto bytes = net::Base64Decode(text)) return base::Blob(std::move(*bytes));
  }
  throw Error(ErrorCode::kCorrupt,
              fmt::format("{}: the item has no binary value: not written by LambdaML", operation_));
}

std::string DynamoDbJson::CutLongStrings() {
  const std::string_view text = text_.text();
  std::string rest;
  size_t copied = 0;
  for (size_t open = text.find('"'); open != text.npos;) {
    const size_t close = EndOfString(text, open + 1);
    if (close == text.npos) break;
    if (close - open > kLongStringBytes) {
      rest.append(text, copied, open + 1 - copied);
      fmt::format_to(std::back_inserter(rest), "{}{}", kPlaceholder, long_strings_.size());
      long_strings_.push_back(text.substr(open + 1, close - open - 1));
      copied = close;
    }
    open = text.find('"', close + 1);
  }
  rest.append(text, copied);
  return rest;
}

}  // namespace lambdaml::store

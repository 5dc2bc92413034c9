#include "lambdaml/store/dynamodb_json.h"

#include <charconv>
#include <fmt/format.h>
#include <iterator>
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

struct StringEnd {
  size_t quote = std::string_view::npos;  // the closing one; npos: there is none
  bool has_escapes = false;
};

// Of the string that starts at `start`, behind its opening quote.
StringEnd EndOfString(std::string_view text, size_t start) {
  const size_t quote = text.find('"', start);
  if (quote == text.npos) return {};
  const size_t backslash = text.substr(start, quote - start).find('\\');
  if (backslash == text.npos) return {.quote = quote};
  for (size_t i = start + backslash; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return {.quote = i, .has_escapes = true};
    }
  }
  return {};
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
    const StringEnd end = EndOfString(text, open + 1);
    if (end.quote == text.npos) break;
    const size_t length = end.quote - open - 1;
    if (length >= kLongStringBytes && !end.has_escapes) {
      rest.append(text, copied, open + 1 - copied);
      fmt::format_to(std::back_inserter(rest), "{}{}", kPlaceholder, long_strings_.size());
      long_strings_.push_back(text.substr(open + 1, length));
      copied = end.quote;
    }
    open = text.find('"', end.quote + 1);
  }
  rest.append(text, copied);
  return rest;
}

}  // namespace lambdaml::store

#include "lambdaml/store/dynamodb_items.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

#include "lambdaml/net/base64.h"
#include "lambdaml/store/key.h"

namespace lambdaml::store {
namespace {

constexpr uint64_t kReadUnitBytes = 4096;
constexpr uint64_t kWriteUnitBytes = 1024;

uint64_t Units(uint64_t size_bytes, uint64_t unit_bytes) {
  return std::max<uint64_t>(1, (size_bytes + unit_bytes - 1) / unit_bytes);
}

}  // namespace

uint64_t ItemSizeBytes(std::string_view key_col, std::string_view key, uint64_t value_size_bytes) {
  return key_col.size() + key.size() + kValueColumn.size() + value_size_bytes +
         kVersionColumn.size() + kVersionSizeBytes;
}

uint64_t ItemValueSizeMaxBytes(std::string_view key_col) {
  return kItemSizeMaxBytes - kKeySizeMaxBytes - ItemSizeBytes(key_col, "", 0);
}

uint64_t ReadUnits(uint64_t item_size_bytes) { return Units(item_size_bytes, kReadUnitBytes); }

uint64_t WriteUnits(uint64_t item_size_bytes) { return Units(item_size_bytes, kWriteUnitBytes); }

void AppendKey(std::string_view key_col, std::string_view key, std::string& json) {
  json += '{';
  AppendJsonString(key_col, json);
  fmt::format_to(std::back_inserter(json), R"(:{{"S":"{}"}}}})", key);
}

void AppendItem(std::string_view key_col, std::string_view key, base::ByteSpan value,
                std::string_view version, std::string& json) {
  AppendKey(key_col, key, json);
  json.back() = ',';
  fmt::format_to(std::back_inserter(json), R"("{}":{{"B":")", kValueColumn);
  json += net::Base64Encode(value);
  fmt::format_to(std::back_inserter(json), R"("}},"{}":{{"S":"{}"}}}})", kVersionColumn, version);
}

size_t ItemJsonSizeMaxBytes(std::string_view key_col, std::string_view key,
                            uint64_t value_size_bytes) {
  constexpr size_t kPunctuation = 64;
  constexpr size_t kEscapedMax = 6;  // \u0000
  return kPunctuation + kEscapedMax * key_col.size() + key.size() + kVersionSizeBytes +
         (value_size_bytes + 2) / 3 * 4;
}

void AppendJsonString(std::string_view text, std::string& json) { json += base::Json(text).Dump(); }

std::string_view StringAttribute(const base::Json& item, std::string_view name) {
  const base::Json* attribute = item.is_object() ? item.Find(name) : nullptr;
  if (attribute == nullptr || !attribute->is_object()) return {};
  const base::Json* text = attribute->Find("S");
  return text != nullptr && text->is_string() ? std::string_view(text->AsString())
                                              : std::string_view();
}

}  // namespace lambdaml::store

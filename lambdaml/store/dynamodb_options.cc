#include "lambdaml/store/dynamodb_options.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/store/dynamodb_items.h"

namespace lambdaml::store {
namespace {

constexpr size_t kTableNameMin = 3;
constexpr size_t kTableNameMax = 255;
constexpr size_t kColumnNameMax = 255;
constexpr std::array<std::string_view, 4> kParameters = {"region", "endpoint", "key_col", "create"};

[[noreturn]] void Refuse(const StoreUrl& url, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", url.redacted, what));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void CheckTableName(const StoreUrl& url, std::string_view name) {
  const auto is_allowed = [](char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '.';
  };
  if (name.size() >= kTableNameMin && name.size() <= kTableNameMax &&
      std::ranges::all_of(name, is_allowed)) {
    return;
  }
  Refuse(url, fmt::format("\"{}\" is no name of a table: {} to {} of A-Z a-z 0-9 _ - .", name,
                          kTableNameMin, kTableNameMax));
}

void CheckKeyColumn(const StoreUrl& url, std::string_view name) {
  if (name.empty() || name.size() > kColumnNameMax) {
    Refuse(url, fmt::format("key_col must have 1 to {} bytes", kColumnNameMax));
  }
  if (name == kValueColumn || name == kVersionColumn) {
    Refuse(url, fmt::format("key_col cannot be \"{}\": an item has such a column besides", name));
  }
}

std::optional<std::string> Parameter(const StoreUrl& url, std::string_view name) {
  const auto found = url.parameters.find(name);
  if (found == url.parameters.end()) return std::nullopt;
  return found->second;
}

}  // namespace

const std::string& DynamoDbOptions::TableOf(std::string_view key) const {
  constexpr std::string_view kInbox = "/to";
  const std::string_view folder = key.substr(std::min(key.find('/'), key.size()));
  if (!folder.starts_with(kInbox)) return merged_table;
  const std::string_view rank = folder.substr(kInbox.size());
  const size_t digits = static_cast<size_t>(std::ranges::find_if_not(rank, IsDigit) - rank.begin());
  return digits > 0 && rank.substr(digits).starts_with('/') ? tmp_table : merged_table;
}

std::vector<std::string> DynamoDbOptions::Tables() const {
  if (tmp_table == merged_table) return {merged_table};
  return {tmp_table, merged_table};
}

DynamoDbOptions DynamoDbOptions::FromUrl(const StoreUrl& url) {
  url.CheckParameters(kParameters);
  if (!url.path.empty() || !url.user.empty() || !url.password.empty()) {
    Refuse(url, "only names of tables, as in dynamodb://tmp_table,merged_table");
  }
  DynamoDbOptions options;
  options.url = url.redacted;
  const std::string& tables = url.authority;
  const size_t comma = tables.find(',');
  options.tmp_table = tables.substr(0, comma);
  options.merged_table = comma == tables.npos ? options.tmp_table : tables.substr(comma + 1);
  for (const std::string& table : {options.tmp_table, options.merged_table}) {
    CheckTableName(url, table);
  }
  options.key_col = Parameter(url, "key_col").value_or(options.key_col);
  CheckKeyColumn(url, options.key_col);
  const std::string create = Parameter(url, "create").value_or("false");
  if (create != "true" && create != "false") {
    Refuse(url, fmt::format("create={}: must be true or false", create));
  }
  options.create = create == "true";
  options.aws.region = Parameter(url, "region");
  options.aws.endpoint = Parameter(url, "endpoint");
  return options;
}

}  // namespace lambdaml::store

// Items of DynamoDB as this program writes them, and what they count. Pure functions.
//
// An item is {<key_col>: S the key, "value": B the value, "version": S a nonce}: the first two as
// LambdaML writes them. Every write has a new nonce, so that one can be told from another.
//
// Source: Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats" and "Read and write
// operations" (capacity units).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/json.h"

namespace lambdaml::store {

inline constexpr uint64_t kItemSizeMaxBytes = 409'600;
inline constexpr size_t kBatchWriteItemsMax = 25;
inline constexpr size_t kBatchGetItemsMax = 100;
inline constexpr std::string_view kValueColumn = "value";
inline constexpr std::string_view kVersionColumn = "version";
inline constexpr size_t kVersionSizeBytes = 16;  // hexadecimal digits

// The size of an item as DynamoDB counts it: names and contents of all attributes, in UTF-8 bytes.
uint64_t ItemSizeBytes(std::string_view key_col, std::string_view key, uint64_t value_size_bytes);

// The largest value that fits with every key, however long.
uint64_t ItemValueSizeMaxBytes(std::string_view key_col);

// Units that a strongly consistent read, or a write, of one item is billed: 1 for each started
// 4 KB, or 1 KB; a missing item counts as 1 byte.
uint64_t ReadUnits(uint64_t item_size_bytes);
uint64_t WriteUnits(uint64_t item_size_bytes);

// {"<key_col>":{"S":"<key>"}}
void AppendKey(std::string_view key_col, std::string_view key, std::string& json);

// The whole item. `version`: kVersionSizeBytes hexadecimal digits.
void AppendItem(std::string_view key_col, std::string_view key, base::ByteSpan value,
                std::string_view version, std::string& json);

// The length of what AppendItem appends, at most.
size_t ItemJsonSizeMaxBytes(std::string_view key_col, std::string_view key,
                            uint64_t value_size_bytes);

// `text` in quotes, as a JSON string.
void AppendJsonString(std::string_view text, std::string& json);

// The text of {"S": "text"} under `name` in an item or key; empty if there is none.
std::string_view StringAttribute(const base::Json& item, std::string_view name);

}  // namespace lambdaml::store

#include "lambdaml/train/kmeans_rows.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/data/npz.h"
#include "lambdaml/data/select.h"
#include "lambdaml/model/kmeans_distance.h"

namespace lambdaml::train {
namespace {

// An offer on its way: count, `count` numbers (int64), `count` keys (float64), and, unless count is
// 0, the rows as a binary shard.
template <typename T>
void AppendArray(const std::vector<T>& values, base::Bytes& to) {
  const auto bytes = std::as_bytes(std::span(values));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

base::Bytes EncodeOffer(const data::Dataset& rows, const RowNumbers& numbers,
                        std::span<const OfferedRow> offered) {
  std::vector<int64_t> places;
  std::vector<int64_t> global;
  std::vector<double> keys;
  for (const OfferedRow& offer : offered) {
    places.push_back(offer.row);
    global.push_back(numbers.NumberOf(offer.row));
    keys.push_back(offer.key);
  }
  base::Bytes bytes;
  AppendArray(std::vector<uint64_t>{offered.size()}, bytes);
  AppendArray(global, bytes);
  AppendArray(keys, bytes);
  if (offered.empty()) return bytes;
  data::EncodeNpz(data::TakeRows(rows, places), [&](base::ByteSpan piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  });
  return bytes;
}

// Takes arrays off the front of an offer.
class OfferReader {
 public:
  OfferReader(base::Blob offer, int rank) : offer_(std::move(offer)), rank_(rank) {}

  template <typename T>
  std::vector<T> Take(uint64_t count) {
    const base::ByteSpan rest = offer_.span().subspan(position_);
    if (count > rest.size() / sizeof(T)) Fail();
    std::vector<T> values(count);
    std::ranges::copy(rest.first(count * sizeof(T)),
                      std::as_writable_bytes(std::span(values)).begin());
    position_ += count * sizeof(T);
    return values;
  }

  data::Dataset TakeRows(size_t count) const {
    const base::Blob rest(offer_.span().subspan(position_), offer_.owner());
    data::Dataset rows = data::DecodeNpz(rest, fmt::format("the rows that rank {} offers", rank_));
    if (static_cast<size_t>(rows.rows()) != count) Fail();
    return rows;
  }

  [[noreturn]] void Fail() const {
    throw base::Error(base::ErrorCode::kCorrupt,
                      fmt::format("what rank {} offers is no list of rows", rank_));
  }

 private:
  const base::Blob offer_;
  const int rank_;
  size_t position_ = 0;
};

}  // namespace

RowNumbers::RowNumbers(const data::Manifest& manifest, int64_t rank, int64_t worker_count) {
  std::vector<int64_t> counts(static_cast<size_t>(worker_count), 0);
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    const size_t holder = i % counts.size();
    const int64_t size = manifest.shards[i].rows;
    if (static_cast<int64_t>(holder) == rank) runs_.push_back({counts[holder], total_, size});
    counts[holder] += size;
    total_ += size;
  }
  count_ = counts[static_cast<size_t>(rank)];
  max_ = *std::max_element(counts.begin(), counts.end());
}

int64_t RowNumbers::NumberOf(int64_t row) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), row,
                       [](int64_t value, const Run& run) { return value < run.row; });
  const Run& run = *std::prev(after);
  return run.number + row - run.row;
}

std::optional<int64_t> RowNumbers::RowOf(int64_t number) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), number,
                       [](int64_t value, const Run& run) { return value < run.number; });
  if (after == runs_.begin()) return std::nullopt;
  const Run& run = *std::prev(after);
  const int64_t offset = number - run.number;
  if (offset >= run.size) return std::nullopt;
  return run.row + offset;
}

model::Centroids RowExchange::Fetch(std::span<const int64_t> numbers) const {
  const int64_t n_features = rows_.n_features();
  model::Centroids fetched = {
      .k = static_cast<int64_t>(numbers.size()),
      .n_features = n_features,
      .values = std::vector<float>(numbers.size() * static_cast<size_t>(n_features))};
  for (size_t i = 0; i < numbers.size(); ++i) {
    const std::optional<int64_t> row = numbers_.RowOf(numbers[i]);
    if (!row) continue;
    model::CopyRow(
        rows_, *row,
        std::span(fetched.row(static_cast<int64_t>(i)), static_cast<size_t>(n_features)));
  }
  peers_.AllReduceSum({}, fetched.values);  // one rank has the row, the others zeros
  return fetched;
}

GatheredRows RowExchange::Gather(std::span<const OfferedRow> offered) const {
  const std::vector<base::Blob> offers = peers_.AllGather(EncodeOffer(rows_, numbers_, offered));
  std::vector<int64_t> numbers;
  std::vector<double> keys;
  std::vector<data::Dataset> parts;
  for (size_t rank = 0; rank < offers.size(); ++rank) {
    OfferReader reader(offers[rank], static_cast<int>(rank));
    const uint64_t count = reader.Take<uint64_t>(1).front();
    const auto more_numbers = reader.Take<int64_t>(count);
    const auto more_keys = reader.Take<double>(count);
    numbers.insert(numbers.end(), more_numbers.begin(), more_numbers.end());
    keys.insert(keys.end(), more_keys.begin(), more_keys.end());
    if (count > 0) parts.push_back(reader.TakeRows(count));
  }
  std::vector<size_t> order(numbers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
  GatheredRows gathered;
  gathered.rows.n_features = rows_.n_features();
  gathered.rows.k = static_cast<int64_t>(order.size());
  if (order.empty()) return gathered;
  const data::Dataset all = data::Concatenate(parts);
  const auto n_features = static_cast<size_t>(rows_.n_features());
  gathered.rows.values.resize(order.size() * n_features);
  for (size_t i = 0; i < order.size(); ++i) {
    gathered.numbers.push_back(numbers[order[i]]);
    gathered.keys.push_back(keys[order[i]]);
    model::CopyRow(all, static_cast<int64_t>(order[i]),
                   std::span(gathered.rows.row(static_cast<int64_t>(i)), n_features));
  }
  return gathered;
}

}  // namespace lambdaml::train

// Waiting by asking again and again, for services that can neither block nor notify.
//
// The first looks follow each other closely, since workers of one round finish at about the same
// time; then the pauses grow in proportion to the time already waited, up to a bound. So a look
// comes late by at most the time waited (or by the bound), and the number of looks grows with the
// logarithm of that time. Jitter keeps workers that began together from asking in step. Rounds are
// alike, so a wait does not begin to ask before the shortest of the last few would be nearly over.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/random.h"
#include "lambdaml/store/meter.h"

namespace lambdaml::store {

// A service's pauses between looks: the first about as long as one of its requests lasts, the
// longest a compromise between what a look costs and what a late answer costs. PollForAll makes the
// first as short as its own first look was, down to a tenth: a nearby server is asked sooner.
struct PollIntervals {
  base::Duration first;
  base::Duration longest;
};

// The pauses of one wait. Threads: one.
class PollPause {
 public:
  // `seed` should differ between those who wait at the same time.
  PollPause(const PollIntervals& intervals, uint64_t seed);

  // Sleeps between half of the present interval and all of it, never past the deadline, and makes
  // the interval longer by half.
  void Sleep(const base::Deadline& deadline);

 private:
  base::Duration interval_;
  base::Duration longest_;
  base::Random random_;
};

// How long the last waits on a store have lasted. Threads: any, at once.
class UsualWait {
 public:
  void Add(base::Duration wait);

  // Of the last four; zero before there are so many.
  base::Duration Shortest() const;

 private:
  mutable std::mutex mutex_;
  std::array<base::Duration, 4> last_{};  // guarded by mutex_
  size_t next_ = 0;                       // guarded by mutex_
};

// Looks for the keys once: result i belongs to keys[i] and is nothing if that key does not exist
// yet. Counts its requests itself. The deadline is at least a second away, so that what exists is
// found even by a wait whose own deadline is past.
using LookForKeys = std::function<std::vector<std::optional<base::Blob>>(
    std::span<const std::string> keys, const base::Deadline& deadline)>;

// Store::WaitAll by polling: looks for those keys that have not been found yet until there are none
// or the deadline has passed; the last look comes at the deadline. The first look comes after three
// quarters of the usual wait, or the longest pause if that is less. Counts the waiting time, and
// adds it to the usual wait if all were found. An error that `look` throws ends the wait: a server
// that does not answer is not a missing key.
std::vector<std::optional<base::Blob>> PollForAll(std::span<const std::string> keys,
                                                  const PollIntervals& intervals,
                                                  const base::Deadline& deadline, Meter& meter,
                                                  UsualWait& usual, const LookForKeys& look);

}  // namespace lambdaml::store

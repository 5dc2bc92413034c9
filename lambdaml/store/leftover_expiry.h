// How long what a run left behind may stay in a shared memory.
#pragma once

#include <chrono>

namespace lambdaml::store {

// A run deletes what it wrote. Values that it could not delete (its trigger was killed together
// with its guardian, or the network was gone) expire by themselves: not before any run is over, so
// that no run loses a value to it, and within the 30 days beyond which Memcached takes a time for a
// date.
inline constexpr std::chrono::hours kLeftoverExpiry{7 * 24};

}  // namespace lambdaml::store
